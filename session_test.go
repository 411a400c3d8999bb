package jwtauth_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

var bg = context.Background()

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func TestConcurrentRefreshesShareOneSuccessor(t *testing.T) {
	a, _ := newAuth(t)
	for range 20 {
		old := must(a.Issue(bg, userOf(t, a, "alice").ID))(t).RefreshToken
		grants := race(64, func() (*jwtauth.Grant, error) { return a.Refresh(bg, old) })
		successors := map[string]bool{}
		for _, r := range grants {
			if r.err != nil {
				t.Fatalf("refresh inside the grace window: %v", r.err)
			}
			successors[r.grant.RefreshToken] = true
		}
		if len(successors) != 1 {
			t.Fatalf("%d successors of one refresh token", len(successors))
		}
	}
}

func TestWithoutGraceOneRefreshWinsAndTheSessionEnds(t *testing.T) {
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Sessions.Grace = -1 })
	for range 20 {
		g := must(a.Issue(bg, userOf(t, a, "alice").ID))(t)
		wins, next := 0, ""
		for _, r := range race(64, func() (*jwtauth.Grant, error) { return a.Refresh(bg, g.RefreshToken) }) {
			if r.err == nil {
				wins++
				next = r.grant.RefreshToken
			}
		}
		if wins > 1 {
			t.Fatalf("%d refreshes succeeded", wins)
		}
		_, err := a.Refresh(bg, next)
		wantErr(t, "successor after reuse", err, jwtauth.ErrInvalidRefreshToken)
		_, err = a.Verify(bg, g.AccessToken)
		wantErr(t, "access token after reuse", err, jwtauth.ErrInvalidToken)
	}
}

type outcome struct {
	grant *jwtauth.Grant
	err   error
}

// race calls f from n goroutines at once.
func race(n int, f func() (*jwtauth.Grant, error)) []outcome {
	out := make([]outcome, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			out[i].grant, out[i].err = f()
		})
	}
	close(start)
	wg.Wait()
	return out
}

// userOf returns an account, and makes it the first time.
func userOf(t *testing.T, a *jwtauth.Auth, name string) jwtauth.User {
	t.Helper()
	u, err := a.UserByLogin(bg, name)
	if errors.Is(err, jwtauth.ErrNotFound) {
		return register(t, a, name).User
	}
	return must(u, err)(t)
}

func TestReuseAfterGraceEndsTheSession(t *testing.T) {
	store := jwtauth.NewMemoryStore()
	a, c := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
	g := register(t, a, "alice")
	second := must(a.Refresh(bg, g.RefreshToken))(t)
	c.Add(29 * time.Second)
	again := must(a.Refresh(bg, g.RefreshToken))(t)
	if again.RefreshToken != second.RefreshToken {
		t.Error("a lost answer inside the grace window must get the same successor")
	}
	if _, err := a.Verify(bg, g.AccessToken); err != nil {
		t.Errorf("older access token inside the grace window: %v", err)
	}
	c.Add(time.Second)
	_, err := a.Verify(bg, g.AccessToken)
	wantErr(t, "older access token after the grace window", err, jwtauth.ErrInvalidToken)
	if _, err := a.Verify(bg, second.AccessToken); err != nil {
		t.Errorf("current access token: %v", err)
	}
	_, err = a.Refresh(bg, g.RefreshToken)
	wantErr(t, "reuse", err, jwtauth.ErrInvalidRefreshToken)
	_, err = a.Refresh(bg, second.RefreshToken)
	wantErr(t, "current refresh token after reuse", err, jwtauth.ErrInvalidRefreshToken)
	_, err = a.Verify(bg, second.AccessToken)
	wantErr(t, "current access token after reuse", err, jwtauth.ErrInvalidToken)
	if !hasEvent(t, a, jwtauth.EventReuse) {
		t.Error("no event token.reuse")
	}
}

func hasEvent(t testing.TB, a *jwtauth.Auth, name string) bool {
	t.Helper()
	return len(must(a.Events(bg, jwtauth.EventFilter{Name: name}))(t)) > 0
}

func TestOlderGenerationIsReuseEvenInsideGrace(t *testing.T) {
	a, _ := newAuth(t)
	g := register(t, a, "alice")
	second := must(a.Refresh(bg, g.RefreshToken))(t)
	third := must(a.Refresh(bg, second.RefreshToken))(t)
	_, err := a.Refresh(bg, g.RefreshToken)
	wantErr(t, "two generations behind", err, jwtauth.ErrInvalidRefreshToken)
	_, err = a.Refresh(bg, third.RefreshToken)
	wantErr(t, "current one after that", err, jwtauth.ErrInvalidRefreshToken)
}

// Refreshing again and again must not keep an old access token alive.
func TestFrequentRefreshesRetireEveryGeneration(t *testing.T) {
	a, c := newAuth(t)
	g := register(t, a, "alice")
	first := g.AccessToken
	for range 4 {
		g = must(a.Refresh(bg, g.RefreshToken))(t)
		c.Add(10 * time.Second)
	}
	_, err := a.Verify(bg, first)
	wantErr(t, "first access token 40 s after its refresh", err, jwtauth.ErrInvalidToken)
}

func TestSessionLimitsInTime(t *testing.T) {
	const day = 24 * time.Hour
	t.Run("absolute end counts from the login", func(t *testing.T) {
		a, c := newAuth(t, func(cfg *jwtauth.Config) { cfg.Sessions.Lifetime = 10 * day })
		g := register(t, a, "alice")
		for range 9 {
			c.Add(day)
			g = must(a.Refresh(bg, g.RefreshToken))(t)
		}
		c.Add(day)
		_, err := a.Refresh(bg, g.RefreshToken)
		wantErr(t, "refresh at the absolute end", err, jwtauth.ErrInvalidRefreshToken)
	})
	t.Run("idle session ends", func(t *testing.T) {
		a, c := newAuth(t, func(cfg *jwtauth.Config) { cfg.Sessions.Idle = day })
		g := register(t, a, "alice")
		c.Add(day - time.Second)
		g = must(a.Refresh(bg, g.RefreshToken))(t)
		c.Add(day)
		_, err := a.Refresh(bg, g.RefreshToken)
		wantErr(t, "refresh after the idle limit", err, jwtauth.ErrInvalidRefreshToken)
	})
	t.Run("access token ends at exp, not a second later", func(t *testing.T) {
		a, c := newAuth(t)
		g := register(t, a, "alice")
		c.Add(time.Hour - time.Second)
		if _, err := a.Verify(bg, g.AccessToken); err != nil {
			t.Errorf("one second before exp: %v", err)
		}
		c.Add(time.Second)
		_, err := a.Verify(bg, g.AccessToken)
		wantErr(t, "at exp", err, jwtauth.ErrInvalidToken)
	})
}

func TestDeviceLimit(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Sessions.MaxPerUser = 2 })
		register(t, a, "alice")
		login(t, a, "alice")
		_, err := a.Login(bg, jwtauth.Credentials{Login: "alice", Password: testPassword})
		wantErr(t, "third device", err, jwtauth.ErrTooManySessions)
	})
	t.Run("oldest evicted", func(t *testing.T) {
		a, c := newAuth(t, func(cfg *jwtauth.Config) { cfg.Sessions.MaxPerUser, cfg.Sessions.EvictOldest = 2, true })
		first := register(t, a, "alice")
		c.Add(time.Second)
		second := login(t, a, "alice")
		c.Add(time.Second)
		login(t, a, "alice")
		_, err := a.Verify(bg, first.AccessToken)
		wantErr(t, "access token of the evicted device", err, jwtauth.ErrInvalidToken)
		if _, err := a.Verify(bg, second.AccessToken); err != nil {
			t.Errorf("second device: %v", err)
		}
	})
}

// Whatever ends a session ends it for every token that was issued before, in
// the same second too.
func TestRevokedMeansRefused(t *testing.T) {
	ends := map[string]func(a *jwtauth.Auth, g *jwtauth.Grant) error{
		"Revoke by access token":  func(a *jwtauth.Auth, g *jwtauth.Grant) error { return a.Revoke(bg, g.AccessToken) },
		"Revoke by refresh token": func(a *jwtauth.Auth, g *jwtauth.Grant) error { return a.Revoke(bg, g.RefreshToken) },
		"RevokeUser":              func(a *jwtauth.Auth, g *jwtauth.Grant) error { return a.RevokeUser(bg, g.User.ID) },
		"EndSession":              func(a *jwtauth.Auth, g *jwtauth.Grant) error { return a.EndSession(bg, g.User.ID, g.Session.ID) },
		"EndOtherSessions": func(a *jwtauth.Auth, g *jwtauth.Grant) error {
			_, err := a.EndOtherSessions(bg, g.User.ID, "")
			return err
		},
		"ChangePassword": func(a *jwtauth.Auth, g *jwtauth.Grant) error {
			return a.ChangePassword(bg, jwtauth.PasswordChange{UserID: g.User.ID, Current: testPassword, New: "another long pass phrase"})
		},
		"SetRoles":   func(a *jwtauth.Auth, g *jwtauth.Grant) error { return a.SetRoles(bg, g.User.ID, "editor") },
		"Disable":    func(a *jwtauth.Auth, g *jwtauth.Grant) error { return a.Disable(bg, g.User.ID) },
		"DeleteUser": func(a *jwtauth.Auth, g *jwtauth.Grant) error { return a.DeleteUser(bg, g.User.ID) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			a, _ := newAuth(t)
			g := register(t, a, "alice")
			next := must(a.Refresh(bg, g.RefreshToken))(t)
			if err := end(a, next); err != nil {
				t.Fatal(err)
			}
			for what, token := range map[string]string{"older access token": g.AccessToken, "access token": next.AccessToken} {
				_, err := a.Verify(bg, token)
				wantErr(t, what, err, jwtauth.ErrInvalidToken)
				for _, path := range []string{"/token/validate", "/token/refresh", "/change-password"} {
					r := send(t, a.Handler(), request{method: "POST", path: path, token: token,
						body: object{"current_password": testPassword, "new_password": "yet another pass phrase"}})
					wantError(t, r, 401, "jwt_auth_invalid_token")
				}
				for _, path := range []string{"/me", "/sessions"} {
					wantError(t, send(t, a.Handler(), request{method: "GET", path: path, token: token}), 401, "jwt_auth_invalid_token")
				}
			}
			for what, token := range map[string]string{"older refresh token": g.RefreshToken, "refresh token": next.RefreshToken} {
				_, err := a.Refresh(bg, token)
				wantErr(t, what, err, jwtauth.ErrInvalidRefreshToken)
			}
			if err := a.Revoke(bg, next.AccessToken); err != nil {
				t.Errorf("revoking again: %v", err)
			}
		})
	}
}

func TestRevokeChangesNothingForStrangers(t *testing.T) {
	a, c := newAuth(t)
	g := register(t, a, "alice")
	forged := g.AccessToken[:len(g.AccessToken)-4] + "AAAA"
	for _, token := range []string{"", "garbage", forged, "jr1." + g.RefreshToken[4:20], g.RefreshToken + "A"} {
		if err := a.Revoke(bg, token); err != nil {
			t.Errorf("Revoke of a token that is not ours: %v", err)
		}
	}
	if _, err := a.Verify(bg, g.AccessToken); err != nil {
		t.Fatalf("token after forged revocations: %v", err)
	}
	c.Add(2 * time.Hour)
	if err := a.Revoke(bg, g.AccessToken); err != nil {
		t.Fatal(err)
	}
	_, err := a.Refresh(bg, g.RefreshToken)
	wantErr(t, "refresh after logging out with an expired access token", err, jwtauth.ErrInvalidRefreshToken)
}

// A login that read the account just before its password changed makes tokens
// that are dead already.
func TestLoginRacingPasswordChangeLeavesNoLiveToken(t *testing.T) {
	store := &pausingStore{MemoryStore: jwtauth.NewMemoryStore()}
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
	u := register(t, a, "alice").User
	store.onCreateSession = func() {
		store.onCreateSession = nil
		if err := a.ChangePassword(bg, jwtauth.PasswordChange{UserID: u.ID, Current: testPassword, New: "another long pass phrase"}); err != nil {
			t.Error(err)
		}
	}
	g := login(t, a, "alice")
	_, err := a.Verify(bg, g.AccessToken)
	wantErr(t, "access token", err, jwtauth.ErrInvalidToken)
	_, err = a.Refresh(bg, g.RefreshToken)
	wantErr(t, "refresh token", err, jwtauth.ErrInvalidRefreshToken)
}

type pausingStore struct {
	*jwtauth.MemoryStore
	onCreateSession func()
}

func (s *pausingStore) CreateSession(ctx context.Context, sess jwtauth.Session, l jwtauth.SessionLimit) ([]jwtauth.Session, error) {
	if s.onCreateSession != nil {
		s.onCreateSession()
	}
	return s.MemoryStore.CreateSession(ctx, sess, l)
}

func TestSecretRotation(t *testing.T) {
	store := jwtauth.NewMemoryStore()
	old, c := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
	g := register(t, old, "alice")
	next := []byte("7b1e4d80c2a95f36e0418bd7f25a9c63")
	cfg := testConfig(t)
	cfg.Now = c.Now
	cfg.Store, cfg.Secret, cfg.OldSecrets = store, next, [][]byte{testSecret}
	both := must(jwtauth.New(cfg))(t)
	moved := must(both.Refresh(bg, g.RefreshToken))(t)
	if again := must(both.Refresh(bg, g.RefreshToken))(t); again.RefreshToken != moved.RefreshToken {
		t.Error("two answers inside the grace window differ")
	}
	cfg.OldSecrets = nil
	onlyNew := must(jwtauth.New(cfg))(t)
	if _, err := onlyNew.Refresh(bg, moved.RefreshToken); err != nil {
		t.Errorf("session that has moved to the new secret: %v", err)
	}
	_, err := onlyNew.Refresh(bg, g.RefreshToken)
	wantErr(t, "token of the retired secret", err, jwtauth.ErrInvalidRefreshToken)
}

func TestKeyRotationWhileRunning(t *testing.T) {
	keys := testKeys(t)
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Keys = keys })
	before := register(t, a, "alice").AccessToken
	oldKid := keys.Keys()[0].ID
	if err := keys.Rotate(must(jwtauth.GenerateKey("ES256"))(t)); err != nil {
		t.Fatal(err)
	}
	after := login(t, a, "alice").AccessToken
	for what, token := range map[string]string{"before": before, "after": after} {
		if _, err := a.Verify(bg, token); err != nil {
			t.Errorf("token from %s the rotation, during the overlap: %v", what, err)
		}
	}
	if err := keys.Retire(oldKid); err != nil {
		t.Fatal(err)
	}
	_, err := a.Verify(bg, before)
	wantErr(t, "token of the retired key", err, jwtauth.ErrInvalidToken)
}

func TestClaimsHook(t *testing.T) {
	cases := []struct {
		name  string
		extra map[string]any
		ok    bool
	}{
		{"plain claims signed", map[string]any{"tenant": "t1", "https://example.test/plan": map[string]any{"seats": 3}, "tags": []string{"a"}}, true},
		{"sub refused", map[string]any{"sub": "1"}, false},
		{"exp refused", map[string]any{"exp": 9e9}, false},
		{"roles refused", map[string]any{"roles": []string{"administrator"}}, false},
		{"ver refused", map[string]any{"ver": 99}, false},
		{"a name that would add a claim refused", map[string]any{`x":0,"admin`: true}, false},
		{"a name with a line separator refused", map[string]any{"a\u2028b": 1}, false},
		{"a long name refused", map[string]any{string(make([]byte, 1024)): 1}, false},
		{"an empty name refused", map[string]any{"": 1}, false},
		{"a value that is no JSON refused", map[string]any{"f": func() {}}, false},
		{"a token over 8 KiB refused", map[string]any{"big": string(make([]byte, 9000))}, false},
		{"duplicates inside a value refused", map[string]any{"raw": rawJSON(`{"a":1,"a":2}`)}, false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			var extra map[string]any
			a, _ := newAuth(t, func(cfg *jwtauth.Config) {
				cfg.Hooks.Claims = func(_ context.Context, u jwtauth.User, _ jwtauth.Session) (map[string]any, error) {
					if u.PasswordHash != "" {
						t.Error("the hook got the password hash")
					}
					return extra, nil
				}
			})
			u := register(t, a, "alice").User
			extra = tc.extra
			g, err := a.Issue(bg, u.ID)
			if !tc.ok {
				wantErr(t, "Issue", err, jwtauth.ErrUnavailable)
				return
			}
			id := must(a.Verify(bg, must(g, err)(t).AccessToken))(t)
			var plan struct{ Seats int }
			if found, err := id.Claims.Decode("https://example.test/plan", &plan); !found || err != nil || plan.Seats != 3 {
				t.Errorf("claim read back as %v, %v, %v", plan, found, err)
			}
			if found, _ := id.Claims.Decode("admin", &plan); found {
				t.Error("a claim appeared that nobody set")
			}
		})
	}
}

type rawJSON string

func (r rawJSON) MarshalJSON() ([]byte, error) { return []byte(r), nil }

func TestPrivateRegistrationDoesNotTell(t *testing.T) {
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Registration.Private = true })
	body := object{"username": "alice", "email": "alice@example.test", "password": testPassword}
	first := post(t, a.Handler(), "/register", body)
	for _, b := range []object{body, {"username": "alice", "email": "x@example.test", "password": testPassword},
		{"username": "y", "email": "alice@example.test", "password": testPassword}} {
		if r := post(t, a.Handler(), "/register", b); r.text != first.text || r.status != 200 {
			t.Errorf("answered %d %s, the first time %s", r.status, r.text, first.text)
		}
	}
	login(t, a, "alice")
}

func TestClosedRegistration(t *testing.T) {
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Registration.Closed = true })
	r := post(t, a.Handler(), "/register", object{"username": "alice", "email": "alice@example.test", "password": testPassword})
	wantError(t, r, 403, "registration_closed")
	if _, err := a.CreateUser(bg, jwtauth.Registration{Username: "alice", Email: "alice@example.test", Password: testPassword}); err != nil {
		t.Errorf("CreateUser by the host: %v", err)
	}
}

func TestEmailDomains(t *testing.T) {
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Registration.EmailDomains = []string{"allowed.test"} })
	for email, ok := range map[string]bool{
		"user@allowed.test": true, "user2@ALLOWED.TEST": true, "user@evil.test": false, "user@allowed.test.evil.test": false,
		"user@evil.test@allowed.test": false, `"user@evil.test"@allowed.test`: false, "user@allowed.test.": false, "user@sub.allowed.test": false,
	} {
		_, err := a.Register(bg, jwtauth.Registration{Email: email, Password: testPassword})
		if ok && err != nil || !ok && !errors.Is(err, jwtauth.ErrInvalidInput) {
			t.Errorf("%s: %v", email, err)
		}
	}
}

func TestDeleteOwnAccount(t *testing.T) {
	t.Run("asks for the password when configured", func(t *testing.T) {
		a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Accounts.ReauthToDelete = true })
		g := register(t, a, "alice")
		wantError(t, send(t, a.Handler(), request{method: "DELETE", path: "/me", token: g.AccessToken}), 403, "reauthentication_required")
		wantError(t, send(t, a.Handler(), request{method: "DELETE", path: "/me", token: g.AccessToken, body: object{"password": "wrong"}}), 401, "invalid_credentials")
		if r := send(t, a.Handler(), request{method: "DELETE", path: "/me", token: g.AccessToken, body: object{"password": testPassword}}); r.status != 200 {
			t.Errorf("answered %d %s", r.status, r.text)
		}
		_, err := a.Login(bg, jwtauth.Credentials{Login: "alice", Password: testPassword})
		wantErr(t, "login after deletion", err, jwtauth.ErrInvalidCredentials)
	})
	t.Run("refused when switched off", func(t *testing.T) {
		a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Accounts.NoSelfDelete = true })
		g := register(t, a, "alice")
		wantError(t, send(t, a.Handler(), request{method: "DELETE", path: "/me", token: g.AccessToken}), 403, "rest_forbidden")
	})
	t.Run("id is never used again", func(t *testing.T) {
		a, _ := newAuth(t)
		g := register(t, a, "alice")
		if r := send(t, a.Handler(), request{method: "DELETE", path: "/me", token: g.AccessToken, body: object{"user_id": "1", "ID": 2}}); r.status != 200 {
			t.Fatalf("answered %d %s", r.status, r.text)
		}
		if again := register(t, a, "alice"); again.User.ID == g.User.ID {
			t.Error("the new account has the id of the deleted one")
		}
	})
}

func TestEnableLetsLogInAgain(t *testing.T) {
	a, _ := newAuth(t)
	g := register(t, a, "alice")
	if err := errors.Join(a.Disable(bg, g.User.ID), a.Enable(bg, g.User.ID)); err != nil {
		t.Fatal(err)
	}
	_, err := a.Verify(bg, g.AccessToken)
	wantErr(t, "token from before", err, jwtauth.ErrInvalidToken)
	login(t, a, "alice")
}

func TestRolesReachTheToken(t *testing.T) {
	a, _ := newAuth(t)
	u := register(t, a, "alice").User
	if err := a.SetRoles(bg, u.ID, "editor", "author"); err != nil {
		t.Fatal(err)
	}
	id := must(a.Verify(bg, login(t, a, "alice").AccessToken))(t)
	if !id.HasRole("author") || id.HasRole("subscriber") {
		t.Errorf("roles = %v", id.Roles)
	}
	wantErr(t, "bad role", a.SetRoles(bg, u.ID, "no spaces"), jwtauth.ErrInvalidInput)
	wantErr(t, "unknown user", a.SetRoles(bg, "999", "editor"), jwtauth.ErrNotFound)
}

func TestRefreshTokensOnly(t *testing.T) {
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Sessions.RefreshTokensOnly = true })
	g := register(t, a, "alice")
	_, err := a.Refresh(bg, g.AccessToken)
	wantErr(t, "refresh by access token", err, jwtauth.ErrInvalidRefreshToken)
	if _, err := a.Refresh(bg, g.RefreshToken); err != nil {
		t.Error(err)
	}
}

// The passwords that the documents of the dialects show are not among those
// that the policy refuses, so that their examples can be followed to the letter.
func TestDocumentedPasswordsAreAccepted(t *testing.T) {
	a, _ := newAuth(t)
	for i, password := range []string{"secret-password", "secure-password", "new-secure-password", "SomeSuperSecretPassword",
		"mySecretPassword", "New user password"} {
		_, err := a.Register(bg, jwtauth.Registration{Username: "johndoe" + string(rune('a'+i)),
			Email: string(rune('a'+i)) + "john@example.com", Password: password, Name: "John Doe"})
		if err != nil {
			t.Errorf("%q: %v", password, err)
		}
	}
}
