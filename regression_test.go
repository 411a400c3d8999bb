package jwtauth_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// A claims hook or a store that failed while a session was being refreshed used
// to fail after the session had moved: without a grace window, the client's
// next try was taken for theft.
func TestFailureBeforeASessionMovesCostsNothing(t *testing.T) {
	for _, verb := range []string{"hook", "Session", "UserByID", "AdvanceSession", "Revoke"} {
		t.Run(verb, func(t *testing.T) {
			store := &brokenStore{MemoryStore: jwtauth.NewMemoryStore()}
			a, _ := newAuth(t, func(cfg *jwtauth.Config) {
				cfg.Store, cfg.Sessions.Grace = store, -1
				cfg.Hooks.Claims = func(context.Context, jwtauth.User, jwtauth.Session) (map[string]any, error) {
					if store.verb == "hook" {
						return nil, errors.New("hook failed")
					}
					return nil, nil
				}
			})
			g := register(t, a, "alice")
			store.verb = verb
			_, err := a.Refresh(bg, g.RefreshToken)
			wantErr(t, "refresh during the failure", err, jwtauth.ErrUnavailable)
			store.verb = ""
			if _, err := a.Refresh(bg, g.RefreshToken); err != nil {
				t.Errorf("refresh after it: %v", err)
			}
		})
	}
}

// Without a grace window, a second use of a refresh token used to succeed if its
// request was a little earlier than the first one's, or its node's clock behind.
func TestWithoutGraceAnEarlierClockIsNoGrace(t *testing.T) {
	a, c := newAuth(t, func(cfg *jwtauth.Config) { cfg.Sessions.Grace = -1 })
	g := register(t, a, "alice")
	if _, err := a.Refresh(bg, g.RefreshToken); err != nil {
		t.Fatal(err)
	}
	c.Add(-time.Millisecond)
	_, err := a.Refresh(bg, g.RefreshToken)
	wantErr(t, "second use", err, jwtauth.ErrInvalidRefreshToken)
}

// A hook that leaves a rule as it is by returning nothing used to get 503.
func TestLimitHookMayLeaveTheRule(t *testing.T) {
	a, _ := newAuth(t, func(cfg *jwtauth.Config) {
		cfg.Limits = jwtauth.LimitConfig{}
		cfg.Hooks.Limit = func(context.Context, string, jwtauth.Rule) jwtauth.Rule { return jwtauth.Rule{} }
	})
	r := post(t, a.Handler(), "/token", object{"username": "a", "password": "b"})
	if r.status != 401 || r.header.Get("X-Ratelimit-Limit") != "5" {
		t.Errorf("answered %d with a limit of %q", r.status, r.header.Get("X-Ratelimit-Limit"))
	}
}

// A deletion whose revocation failed used to leave tokens that no later call
// could end: the account was gone, and the next try stopped there.
func TestDeletionCanBeCompleted(t *testing.T) {
	for _, verb := range []string{"Revoke", "EndSessions", "Append"} {
		t.Run(verb, func(t *testing.T) {
			store := &brokenStore{MemoryStore: jwtauth.NewMemoryStore()}
			a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store, cfg.Accounts.ReauthToDelete = store, true })
			g := register(t, a, "alice")
			store.verb = verb
			wantErr(t, "deletion during the fault", a.DeleteOwnAccount(bg, g.User.ID, testPassword), jwtauth.ErrUnavailable)
			store.verb = ""
			wantErr(t, "deletion again", a.DeleteOwnAccount(bg, g.User.ID, testPassword), jwtauth.ErrNotFound)
			_, err := a.Verify(bg, g.AccessToken)
			wantErr(t, "token of the deleted account", err, jwtauth.ErrInvalidToken)
		})
	}
}

// Registering again and again under somebody's address used to send a mail
// each time.
func TestNoteAboutARegistrationIsBounded(t *testing.T) {
	a, _, box := newMailAuth(t, func(cfg *jwtauth.Config) { cfg.Registration.Private = true })
	for range 20 {
		if _, err := a.Register(bg, jwtauth.Registration{Username: "alice", Email: "alice@example.test", Password: testPassword}); err != nil {
			t.Fatal(err)
		}
	}
	box.last(t, a, "")
	if n := len(box.Messages()); n != 5 {
		t.Errorf("%d mails, want 5 an hour", n)
	}
}

// An account that vanished from the host's own table, and whose tokens nobody
// revoked, used to be "no such record" to change-password alone.
func TestTokenOfAVanishedAccountIsInvalid(t *testing.T) {
	store := jwtauth.NewMemoryStore()
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
	g := register(t, a, "alice")
	if err := store.DeleteUser(bg, g.User.ID); err != nil {
		t.Fatal(err)
	}
	for _, q := range []request{
		{method: "GET", path: "/me"},
		{method: "POST", path: "/token/validate"},
		{method: "POST", path: "/change-password", body: object{"current_password": testPassword, "new_password": newPassword}},
	} {
		q.token = g.AccessToken
		t.Run(q.path, func(t *testing.T) { wantError(t, send(t, a.Handler(), q), 401, "jwt_auth_invalid_token") })
	}
}

// Where nothing was purged since, the beginning of a purged trail kept the mark of
// the secret that made it, and was nobody's once that secret was gone.
func TestBeginningOfTheTrailMovesToTheNewSecret(t *testing.T) {
	store := jwtauth.NewMemoryStore()
	next := []byte("9d41c7b20e5f48a3a6d2f1b8c07e3956")
	config := func(cfg *jwtauth.Config) { cfg.Store, cfg.Audit.Retention = store, 10*24*time.Hour }
	first, c := newAuth(t, config)
	open := func(old ...[]byte) *jwtauth.Auth {
		a, _ := newAuth(t, config, func(cfg *jwtauth.Config) { cfg.Secret, cfg.OldSecrets, cfg.Now = next, old, c.Now })
		return a
	}
	register(t, first, "alice")
	must(first.VerifyTrail(bg))(t)
	c.Add(11 * 24 * time.Hour)
	login(t, first, "alice")
	must(first.VerifyTrail(bg))(t) // purges the registration

	both := open(testSecret)
	login(t, both, "alice")
	if report := must(both.VerifyTrail(bg))(t); report.First != 2 {
		t.Fatalf("%+v: nothing was purged", report)
	}
	if _, err := open().VerifyTrail(bg); err != nil {
		t.Errorf("with the new secret alone: %v", err)
	}
}

// A claims hook used to be able to add "Sub" or "Roles", which a service that
// reads tokens with encoding/json takes for ours, since they come later.
func TestReservedClaimsAreReservedInAnyCase(t *testing.T) {
	for _, name := range []string{"Sub", "EXP", "Roles", "rOLES", "jTI", "sub"} {
		a, _ := newAuth(t, func(cfg *jwtauth.Config) {
			cfg.Hooks.Claims = func(context.Context, jwtauth.User, jwtauth.Session) (map[string]any, error) {
				return map[string]any{name: "x"}, nil
			}
		})
		u := must(a.CreateUser(bg, jwtauth.Registration{Username: "alice", Email: "alice@example.test", Password: testPassword}))(t)
		_, err := a.Issue(bg, u.ID)
		wantErr(t, "claim "+name, err, jwtauth.ErrUnavailable)
	}
	for _, name := range []string{"subject", "role", "https://example.test/sub"} {
		if jwtauth.ReservedClaim(name) {
			t.Errorf("%q is reserved", name)
		}
	}
}

// heldVerifier holds the check of its hashes until the test lets go.
type heldVerifier struct{ entered, release chan struct{} }

func (v heldVerifier) Recognizes(hash string) bool { return strings.HasPrefix(hash, "$slow$") }

func (v heldVerifier) Verify(string, string) (bool, error) {
	v.entered <- struct{}{}
	<-v.release
	return false, nil
}

// A registration used to take the hashing slot that is kept free for devices
// that have logged in before.
func TestRegistrationLeavesTheSlotOfKnownDevicesFree(t *testing.T) {
	v := heldVerifier{make(chan struct{}), make(chan struct{})}
	store := jwtauth.NewMemoryStore()
	a, _ := newAuth(t, func(cfg *jwtauth.Config) {
		cfg.Store, cfg.Passwords.Verifiers = store, []jwtauth.PasswordVerifier{v}
		cfg.Passwords.MaxConcurrent, cfg.Passwords.MaxQueue = 2, -1
	})
	alice, bob := register(t, a, "alice"), register(t, a, "bob")
	u := must(store.UserByID(bg, bob.User.ID))(t)
	u.PasswordHash = "$slow$ hash of bob"
	must(store.UpdateUser(bg, u))(t)
	done := make(chan struct{})
	go func() { // a stranger takes the one slot that strangers have
		defer close(done)
		_ = tryLogin(from("198.51.100.1"), a, "bob", "wrong password")
	}()
	<-v.entered
	_, err := a.Register(bg, jwtauth.Registration{Username: "carol", Email: "carol@example.test", Password: testPassword})
	wantErr(t, "registration", err, jwtauth.ErrOverloaded)
	if err := tryLogin(from("198.51.100.2", alice.DeviceToken), a, "alice", testPassword); err != nil {
		t.Errorf("login on a known device: %v", err)
	}
	change := jwtauth.PasswordChange{UserID: alice.User.ID, Current: testPassword, New: "another correct horse"}
	if err := a.ChangePassword(from("198.51.100.2", alice.DeviceToken), change); err != nil {
		t.Errorf("password change on a known device: %v", err)
	}
	close(v.release)
	<-done
}
