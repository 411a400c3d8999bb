package jwtauth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// brokenStore answers one of its verbs with a fault.
type brokenStore struct {
	*jwtauth.MemoryStore
	verb string
}

var errDisk = errors.New("disk on fire")

func (s *brokenStore) fault(verb string) error {
	if s.verb == verb {
		return errDisk
	}
	return nil
}

func (s *brokenStore) CreateUser(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
	if err := s.fault("CreateUser"); err != nil {
		return jwtauth.User{}, err
	}
	return s.MemoryStore.CreateUser(ctx, u)
}

func (s *brokenStore) UserByID(ctx context.Context, id string) (jwtauth.User, error) {
	if err := s.fault("UserByID"); err != nil {
		return jwtauth.User{}, err
	}
	return s.MemoryStore.UserByID(ctx, id)
}

func (s *brokenStore) UserByLogin(ctx context.Context, key string) (jwtauth.User, error) {
	if err := s.fault("UserByLogin"); err != nil {
		return jwtauth.User{}, err
	}
	return s.MemoryStore.UserByLogin(ctx, key)
}

func (s *brokenStore) UpdateUser(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
	if err := s.fault("UpdateUser"); err != nil {
		return jwtauth.User{}, err
	}
	return s.MemoryStore.UpdateUser(ctx, u)
}

func (s *brokenStore) DeleteUser(ctx context.Context, id string) error {
	if err := s.fault("DeleteUser"); err != nil {
		return err
	}
	return s.MemoryStore.DeleteUser(ctx, id)
}

func (s *brokenStore) CreateSession(ctx context.Context, x jwtauth.Session, l jwtauth.SessionLimit) ([]jwtauth.Session, error) {
	if err := s.fault("CreateSession"); err != nil {
		return nil, err
	}
	return s.MemoryStore.CreateSession(ctx, x, l)
}

func (s *brokenStore) Session(ctx context.Context, id string) (jwtauth.Session, error) {
	if err := s.fault("Session"); err != nil {
		return jwtauth.Session{}, err
	}
	return s.MemoryStore.Session(ctx, id)
}

func (s *brokenStore) AdvanceSession(ctx context.Context, adv jwtauth.SessionAdvance) (jwtauth.Session, bool, error) {
	if err := s.fault("AdvanceSession"); err != nil {
		return jwtauth.Session{}, false, err
	}
	return s.MemoryStore.AdvanceSession(ctx, adv)
}

func (s *brokenStore) EndSession(ctx context.Context, id string) error {
	if err := s.fault("EndSession"); err != nil {
		return err
	}
	return s.MemoryStore.EndSession(ctx, id)
}

func (s *brokenStore) EndSessions(ctx context.Context, user, except string) ([]string, error) {
	if err := s.fault("EndSessions"); err != nil {
		return nil, err
	}
	return s.MemoryStore.EndSessions(ctx, user, except)
}

func (s *brokenStore) Sessions(ctx context.Context, user string, now time.Time) ([]jwtauth.Session, error) {
	if err := s.fault("Sessions"); err != nil {
		return nil, err
	}
	return s.MemoryStore.Sessions(ctx, user, now)
}

func (s *brokenStore) Revoke(ctx context.Context, r jwtauth.Revocation) error {
	if err := s.fault("Revoke"); err != nil {
		return err
	}
	return s.MemoryStore.Revoke(ctx, r)
}

func (s *brokenStore) Revoked(ctx context.Context, ref jwtauth.TokenRef) (bool, error) {
	if err := s.fault("Revoked"); err != nil {
		return false, err
	}
	return s.MemoryStore.Revoked(ctx, ref)
}

func (s *brokenStore) Reset(ctx context.Context, key string) error {
	if err := s.fault("Reset"); err != nil {
		return err
	}
	return s.MemoryStore.Reset(ctx, key)
}

func (s *brokenStore) EraseAuditKey(ctx context.Context, userID string) error {
	if err := s.fault("EraseAuditKey"); err != nil {
		return err
	}
	return s.MemoryStore.EraseAuditKey(ctx, userID)
}

func (s *brokenStore) Append(ctx context.Context, r jwtauth.AuditRecord) error {
	if err := s.fault("Append"); err != nil {
		return err
	}
	return s.MemoryStore.Append(ctx, r)
}

// A store that does not answer refuses the request with 503, and what was not
// acknowledged can be tried again.
func TestStoreFaultsFailClosed(t *testing.T) {
	change := object{"current_password": testPassword, "new_password": "another long pass phrase"}
	cases := []struct {
		route  string
		method string
		body   object
		header bool // with the access token
		verbs  []string
	}{
		{"/token", "POST", object{"username": "alice", "password": testPassword}, false, []string{"UserByLogin", "CreateSession", "Append"}},
		{"/token", "POST", object{"username": "alice", "password": "wrong"}, false, []string{"UserByLogin", "Append"}},
		{"/register", "POST", object{"email": "new@example.test", "password": testPassword}, false, []string{"CreateUser", "CreateSession", "Append"}},
		{"/token/validate", "POST", nil, true, []string{"Revoked", "UserByID"}},
		{"/token/refresh", "POST", nil, true, []string{"Revoked", "Session", "UserByID", "AdvanceSession", "Revoke", "Append"}},
		{"/token/revoke", "POST", nil, true, []string{"Revoke", "EndSession", "Append"}},
		{"/change-password", "POST", change, true, []string{"Revoked", "UserByID", "UpdateUser", "Revoke", "EndSessions", "Append"}},
		{"/me", "GET", nil, true, []string{"Revoked", "UserByID"}},
		{"/me", "DELETE", nil, true, []string{"Revoked", "DeleteUser", "Revoke", "EndSessions", "Append"}},
		{"/sessions", "GET", nil, true, []string{"Revoked", "Sessions"}},
		{"/sessions", "DELETE", nil, true, []string{"Revoked", "Sessions", "Revoke", "EndSession", "Append"}},
	}
	for _, tc := range cases {
		for _, verb := range tc.verbs {
			t.Run(fmt.Sprintf("%s %s, %s broken", tc.method, tc.route, verb), func(t *testing.T) {
				store := &brokenStore{MemoryStore: jwtauth.NewMemoryStore()}
				a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
				g := register(t, a, "alice")
				login(t, a, "alice") // another session, to be ended
				q := request{method: tc.method, path: tc.route, body: tc.body}
				if tc.body == nil {
					q.body = nil
				}
				if tc.header {
					q.token = g.AccessToken
				}
				store.verb = verb
				r := send(t, a.Handler(), q)
				wantError(t, r, 503, "service_unavailable")
				if r.header.Get("Retry-After") == "" {
					t.Error("503 without Retry-After")
				}
				if strings.Contains(r.text, "fire") {
					t.Errorf("the cause leaked: %s", r.text)
				}
			})
		}
	}
}

// A login whose record fails is taken back: the session does not live on
// without anybody having its tokens.
func TestUnrecordedLoginLeavesNoSession(t *testing.T) {
	store := &brokenStore{MemoryStore: jwtauth.NewMemoryStore()}
	a, c := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
	u := register(t, a, "alice").User
	store.verb = "Append"
	if _, err := a.Login(bg, jwtauth.Credentials{Login: "alice", Password: testPassword}); !errors.Is(err, jwtauth.ErrUnavailable) {
		t.Fatalf("Login = %v", err)
	}
	store.verb = ""
	if list := must(store.Sessions(bg, u.ID, c.Now()))(t); len(list) != 1 {
		t.Errorf("%d sessions, want the one of the registration", len(list))
	}
}

// A refresh whose answer got lost in a fault can be repeated.
func TestRefreshAfterAFaultConverges(t *testing.T) {
	for _, verb := range []string{"Session", "UserByID", "AdvanceSession", "Revoke", "Append"} {
		t.Run(verb, func(t *testing.T) {
			store := &brokenStore{MemoryStore: jwtauth.NewMemoryStore()}
			a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
			g := register(t, a, "alice")
			store.verb = verb
			_, err := a.Refresh(bg, g.RefreshToken)
			wantErr(t, "refresh during the fault", err, jwtauth.ErrUnavailable)
			store.verb = ""
			next := must(a.Refresh(bg, g.RefreshToken))(t)
			if _, err := a.Refresh(bg, next.RefreshToken); err != nil {
				t.Errorf("successor: %v", err)
			}
		})
	}
}

// What is planted must not come out: not in logs at any level, not in events,
// not in errors, not when anything is formatted.
func TestSecretsStayInside(t *testing.T) {
	var logs bytes.Buffer
	store := jwtauth.NewMemoryStore()
	a, c := newAuth(t, func(cfg *jwtauth.Config) {
		cfg.Store = store
		cfg.Logger = slog.New(slog.NewJSONHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	g := register(t, a, "alice")
	second := must(a.Refresh(bg, g.RefreshToken))(t)
	post(t, a.Handler(), "/token", object{"username": "planted-wrong-password", "password": "planted-wrong-password"})
	post(t, a.Handler(), "/token", object{"username": "alice", "password": "planted-wrong-password"})
	post(t, a.Handler(), "/token/validate", object{"token": g.AccessToken + "x"})
	c.Add(time.Minute)
	_, reuse := a.Refresh(bg, g.RefreshToken)
	u := must(a.UserByLogin(bg, "alice"))(t)
	cfg := testConfig(t)
	cfg.Now = c.Now
	cfg.Secret = testSecret

	var text strings.Builder
	text.WriteString(logs.String())
	for _, v := range []any{must(a.Events(bg, jwtauth.EventFilter{}))(t), reuse, u, cfg, &cfg, a, cfg.Keys, must(testKey())(t),
		jwtauth.Credentials{Login: "x", Password: testPassword}, jwtauth.Registration{Password: testPassword},
		jwtauth.PasswordChange{Current: testPassword}, g, second} {
		fmt.Fprintf(&text, "%v\n%+v\n%#v\n%s\n", v, v, v, v)
	}
	secrets := map[string]string{
		"password": testPassword, "wrong password": "planted-wrong-password", "hash": string(u.PasswordHash),
		"Config.Secret": string(testSecret), "Config.Secret as numbers": fmt.Sprint(testSecret),
		"Config.Secret as Go": fmt.Sprintf("%#v", testSecret),
		"access token":        g.AccessToken, "refresh token": g.RefreshToken, "next refresh token": second.RefreshToken,
	}
	for name, secret := range secrets {
		if i := strings.Index(text.String(), secret); i >= 0 {
			t.Errorf("%s found: …%.80s…", name, text.String()[max(0, i-60):])
		}
	}
}
