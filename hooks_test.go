package jwtauth_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

func TestGates(t *testing.T) {
	outcomes := []struct {
		name   string
		gate   func(context.Context) error
		status int
		code   string
	}{
		{"lets through", func(context.Context) error { return nil }, 200, ""},
		{"refuses", func(context.Context) error {
			return jwtauth.Refuse("mfa_required", "Please enter the code of your app.")
		}, 403, "mfa_required"},
		{"refuses with an error of ours", func(context.Context) error { return jwtauth.ErrForbidden }, 403, "rest_forbidden"},
		{"fails", func(context.Context) error { return errors.New("planted-cause") }, 503, "service_unavailable"},
		{"panics", func(context.Context) error { panic("planted-cause") }, 503, "service_unavailable"},
		{"hangs", func(ctx context.Context) error { <-ctx.Done(); time.Sleep(time.Hour); return nil }, 503, "service_unavailable"},
	}
	for _, tc := range outcomes {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				armed := false
				a, _ := newAuth(t, func(cfg *jwtauth.Config) {
					cfg.Cookies.Enabled = true
					cfg.AutoLogin.DangerouslySkipConfirmation = true
					cfg.Hooks.BeforeLogin = func(ctx context.Context, u jwtauth.User) error {
						if u.PasswordHash != "" {
							t.Error("the hook got the password hash")
						}
						if !armed {
							return nil
						}
						return tc.gate(ctx)
					}
					cfg.Hooks.BeforeRegister = func(ctx context.Context, r jwtauth.Registration) error {
						if r.Password != "" {
							t.Error("the hook got the password")
						}
						if !armed {
							return nil
						}
						return tc.gate(ctx)
					}
				})
				u := register(t, a, "alice").User
				link := must(a.AutoLoginToken(bg, u.ID))(t)
				armed = true
				for _, q := range []request{
					{method: "POST", path: "/token", body: object{"username": "alice", "password": testPassword}},
					{method: "POST", path: "/register", body: object{"username": "bob", "email": "bob@example.test", "password": testPassword}},
					{method: "GET", path: "/autologin?JWT=" + link},
				} {
					start := time.Now()
					r := send(t, a.Handler(), q)
					if took := time.Since(start); took > 5*time.Second {
						t.Errorf("%s took %v", q.path, took)
					}
					if tc.status == 200 {
						if r.status != 200 {
							t.Errorf("%s: %d %s", q.path, r.status, r.text)
						}
						continue
					}
					wantError(t, r, tc.status, tc.code)
				}
				time.Sleep(2 * time.Hour) // virtual: the hook that hangs ends
				if _, err := a.UserByLogin(bg, "bob"); tc.status != 200 && !errors.Is(err, jwtauth.ErrNotFound) {
					t.Errorf("an account was made: %v", err)
				}
				if list := must(a.Sessions(bg, u.ID))(t); tc.status != 200 && len(list) != 1 {
					t.Errorf("%d sessions, want the first one alone", len(list))
				}
			})
		})
	}
}

// The gate does not change what a wrong password gets.
func TestGateIsAskedOnlyAfterTheProof(t *testing.T) {
	a, _ := newAuth(t, func(cfg *jwtauth.Config) {
		cfg.Hooks.BeforeLogin = func(context.Context, jwtauth.User) error { return jwtauth.Refuse("mfa_required", "Code?") }
	})
	must(a.CreateUser(bg, jwtauth.Registration{Username: "alice", Email: "alice@example.test", Password: testPassword}))(t)
	wantError(t, post(t, a.Handler(), "/token", object{"username": "alice", "password": "wrong"}), 401, "invalid_credentials")
	wantError(t, post(t, a.Handler(), "/token", object{"username": "alice", "password": testPassword}), 403, "mfa_required")
}

func TestViewsAddAndNeverReplace(t *testing.T) {
	a, _ := newAuth(t, func(cfg *jwtauth.Config) {
		cfg.Hooks.UserView = func(_ context.Context, u jwtauth.User) map[string]any {
			if u.PasswordHash != "" {
				t.Error("the hook got the password hash")
			}
			return map[string]any{"avatar": "https://example.test/a.png", "roles": []string{"administrator"}, `x":1,"y`: 2}
		}
		cfg.Hooks.LoginResponse = func(_ context.Context, g jwtauth.Grant) map[string]any {
			return map[string]any{"plan": object{"seats": 3}, "token": "replaced"}
		}
	})
	r := post(t, a.Handler(), "/register", object{"username": "alice", "email": "alice@example.test", "password": testPassword})
	token := r.str("token_response.token")
	if r.at("token_response.plan.seats") != 3.0 || token == "replaced" || r.str("user.avatar") == "" {
		t.Errorf("answered %s", r.text)
	}
	me := send(t, a.Handler(), request{method: "GET", path: "/me", token: token})
	if roles := me.at("roles").([]any); me.str("avatar") == "" || len(roles) != 1 || roles[0] != "subscriber" || me.at("y") != nil || len(me.body) != 6 {
		t.Errorf("profile %s", me.text)
	}
}

func TestFailingViewsAndNoticesChangeNothing(t *testing.T) {
	var seen []string
	a, _ := newAuth(t, func(cfg *jwtauth.Config) {
		cfg.Hooks.UserView = func(context.Context, jwtauth.User) map[string]any { panic("view") }
		cfg.Hooks.LoginResponse = func(context.Context, jwtauth.Grant) map[string]any { return map[string]any{"bad": func() {}} }
		cfg.Hooks.OnEvent = func(_ context.Context, e jwtauth.Event) {
			seen = append(seen, e.Name+" "+e.Result)
			panic("notice")
		}
	})
	if r := post(t, a.Handler(), "/register", object{"username": "alice", "email": "alice@example.test", "password": testPassword}); r.status != 200 {
		t.Errorf("answered %d %s", r.status, r.text)
	}
	post(t, a.Handler(), "/token", object{"username": "alice", "password": "wrong"})
	if len(seen) != 2 || seen[0] != "register ok" || seen[1] != "login refused" {
		t.Errorf("events %v", seen)
	}
}

// PasswordPolicy is asked wherever a new password is set, after the policy of the
// configuration, and nothing is stored that it refuses.
func TestPasswordPolicyHook(t *testing.T) {
	for _, tc := range []struct {
		name   string
		policy func(context.Context) error
		status int
		code   string
	}{
		{"lets through", func(context.Context) error { return nil }, 200, ""},
		{"refuses", func(context.Context) error { return jwtauth.Refuse("weak_password", "Not this one.") }, 403, "weak_password"},
		{"fails", func(context.Context) error { return errors.New("planted-cause") }, 503, "service_unavailable"},
		{"panics", func(context.Context) error { panic("planted-cause") }, 503, "service_unavailable"},
		{"hangs", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, 503, "service_unavailable"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				armed := false
				var asked atomic.Value // written by a hook that may have been left behind
				asked.Store("")
				a, _ := newAuth(t, func(cfg *jwtauth.Config) {
					cfg.Hooks.PasswordPolicy = func(ctx context.Context, u jwtauth.User, password string) error {
						if u.PasswordHash != "" {
							t.Error("the hook got the password hash")
						}
						asked.Store(password)
						if !armed {
							return nil
						}
						return tc.policy(ctx)
					}
				})
				g := register(t, a, "alice")
				armed = true
				const next = testPassword + " again"
				r := send(t, a.Handler(), request{method: "POST", path: "/change-password", token: g.AccessToken,
					body: object{"current_password": testPassword, "new_password": next}})
				if r.status != tc.status || tc.code != "" && r.str("code") != tc.code {
					t.Errorf("change: %d %s", r.status, r.text)
				}
				if asked.Load() != next {
					t.Errorf("the hook was asked about %q", asked.Load())
				}
				r = post(t, a.Handler(), "/register", object{"email": "bob@example.test", "password": testPassword})
				if r.status != tc.status {
					t.Errorf("register: %d %s", r.status, r.text)
				}
				asked.Store("")
				post(t, a.Handler(), "/register", object{"email": "carol@example.test", "password": "short"})
				if asked.Load() != "" {
					t.Error("the hook was asked about a password that the policy refuses")
				}
				_, err := a.Login(bg, jwtauth.Credentials{Login: "alice", Password: testPassword})
				if refused := tc.status != 200; (err == nil) != refused {
					t.Errorf("login with the old password: %v", err)
				}
			})
		})
	}
}

func TestAfterLoginIsToldOfEachLogin(t *testing.T) {
	var told []string
	a, _ := newAuth(t, func(cfg *jwtauth.Config) {
		cfg.Hooks.AfterLogin = func(_ context.Context, u jwtauth.User, s jwtauth.Session) {
			if u.PasswordHash != "" {
				t.Error("the hook got the password hash")
			}
			told = append(told, s.ID)
			panic("notice")
		}
	})
	first := register(t, a, "alice")
	second := login(t, a, "alice")
	_, _ = a.Login(bg, jwtauth.Credentials{Login: "alice", Password: "wrong"})
	third := must(a.Issue(bg, first.User.ID))(t)
	if len(told) != 3 || told[0] != first.Session.ID || told[1] != second.Session.ID || told[2] != third.Session.ID {
		t.Errorf("told of %v", told)
	}
}
