package jwtauth_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

const week = 7 * 24 * time.Hour

func longTokens(cfg *jwtauth.Config) { cfg.Tokens.MaxTTL = week }

func TestTokenProfile(t *testing.T) {
	a, c := newAuth(t, longTokens)
	view := must(a.WithTokens(jwtauth.TokenProfile{TTL: week, Claims: func(_ context.Context, u jwtauth.User, s jwtauth.Session) (map[string]any, error) {
		if u.PasswordHash != "" {
			t.Error("the profile sees a hash")
		}
		return map[string]any{"email": u.Email, "session": s.ID}, nil
	}}))(t)
	register(t, a, "alice")
	g := login(t, view, "alice")
	check := func(g *jwtauth.Grant) {
		t.Helper()
		id := must(a.Verify(bg, g.AccessToken))(t)
		if life := id.Claims.ExpiresAt.Sub(id.Claims.IssuedAt); life != week || !g.ExpiresAt.Equal(id.Claims.ExpiresAt) {
			t.Errorf("the token lives %v, the grant says %v", life, g.ExpiresAt)
		}
		var email string
		if ok, err := id.Claims.Decode("email", &email); !ok || err != nil || email != "alice@example.test" {
			t.Errorf("claim email = %q, %v, %v", email, ok, err)
		}
	}
	check(g)
	c.Add(time.Minute)
	refreshed := must(view.Refresh(bg, g.RefreshToken))(t)
	check(refreshed)
	plain := must(a.Refresh(bg, refreshed.RefreshToken))(t)
	if life := plain.ExpiresAt.Sub(c.Now()); life != time.Hour {
		t.Errorf("refreshed through the parent it lives %v", life)
	}
}

func TestTokenProfileClaims(t *testing.T) {
	claims := func(m map[string]any, err error) func(context.Context, jwtauth.User, jwtauth.Session) (map[string]any, error) {
		return func(context.Context, jwtauth.User, jwtauth.Session) (map[string]any, error) { return m, err }
	}
	for name, f := range map[string]func(context.Context, jwtauth.User, jwtauth.Session) (map[string]any, error){
		"registered claim": claims(map[string]any{"exp": 1}, nil),
		"claim of ours":    claims(map[string]any{"roles": []string{"administrator"}}, nil),
		"name with quotes": claims(map[string]any{`a","sub":"1`: 1}, nil),
		"error":            claims(nil, errors.New("no")),
		"panic":            func(context.Context, jwtauth.User, jwtauth.Session) (map[string]any, error) { panic("no") },
	} {
		t.Run(name+" refuses the login", func(t *testing.T) {
			a, _ := newAuth(t)
			u := register(t, a, "alice")
			view := must(a.WithTokens(jwtauth.TokenProfile{Claims: f}))(t)
			if _, err := view.Issue(bg, u.User.ID); !errors.Is(err, jwtauth.ErrUnavailable) {
				t.Errorf("Issue = %v", err)
			}
			if list := must(a.Sessions(bg, u.User.ID))(t); len(list) != 1 {
				t.Errorf("%d sessions, want that of the registration alone", len(list))
			}
		})
	}
	t.Run("the host's claim stays", func(t *testing.T) {
		a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Hooks.Claims = claims(map[string]any{"a": "host"}, nil) })
		view := must(a.WithTokens(jwtauth.TokenProfile{Claims: claims(map[string]any{"a": "profile", "b": "profile"}, nil)}))(t)
		id := must(a.Verify(bg, register(t, view, "alice").AccessToken))(t)
		for name, want := range map[string]string{"a": "host", "b": "profile"} {
			var got string
			if _, err := id.Claims.Decode(name, &got); err != nil || got != want {
				t.Errorf("claim %s = %q, want %q (%v)", name, got, want, err)
			}
		}
	})
}

func TestTokenProfileLife(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*jwtauth.Config)
		ttl    time.Duration
		want   time.Duration // 0: refused
	}{
		{"none is that of the others", nil, 0, time.Hour},
		{"negative is the longest", longTokens, -1, week},
		{"shorter", nil, time.Minute, time.Minute},
		{"longest", longTokens, week, week},
		{"longer than allowed refused", nil, time.Hour + time.Second, 0},
		{"less than a second refused", nil, time.Millisecond, 0},
		{"no longer than the session", func(cfg *jwtauth.Config) { longTokens(cfg); cfg.Sessions.Lifetime = 2 * time.Hour }, week, 2 * time.Hour},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var change []func(*jwtauth.Config)
			if tc.change != nil {
				change = append(change, tc.change)
			}
			a, c := newAuth(t, change...)
			view, err := a.WithTokens(jwtauth.TokenProfile{TTL: tc.ttl})
			if tc.want == 0 {
				if err == nil {
					t.Error("accepted")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := register(t, view, "alice").ExpiresAt.Sub(c.Now()); got != tc.want {
				t.Errorf("it lives %v, want %v", got, tc.want)
			}
		})
	}
	for name, max := range map[string]time.Duration{"less than TTL": time.Minute, "more than 31 days": 32 * 24 * time.Hour, "negative": -1} {
		cfg := testConfig(t)
		cfg.Tokens.MaxTTL = max
		if _, err := jwtauth.New(cfg); err == nil {
			t.Errorf("MaxTTL %s was accepted", name)
		}
	}
}

// A long token is still refused on its last day if it was revoked on the first.
func TestRevocationsOutliveLongTokens(t *testing.T) {
	for name, revoke := range map[string]func(*jwtauth.Auth, *jwtauth.Grant) error{
		"token":    func(a *jwtauth.Auth, g *jwtauth.Grant) error { return a.Revoke(bg, g.AccessToken) },
		"session":  func(a *jwtauth.Auth, g *jwtauth.Grant) error { return a.EndSession(bg, g.User.ID, g.Session.ID) },
		"user":     func(a *jwtauth.Auth, g *jwtauth.Grant) error { return a.RevokeUser(bg, g.User.ID) },
		"deletion": func(a *jwtauth.Auth, g *jwtauth.Grant) error { return a.DeleteUser(bg, g.User.ID) },
		"refresh":  func(a *jwtauth.Auth, g *jwtauth.Grant) error { _, err := a.Refresh(bg, g.RefreshToken); return err },
	} {
		t.Run(name, func(t *testing.T) {
			a, c := newAuth(t, longTokens)
			g := register(t, must(a.WithTokens(jwtauth.TokenProfile{TTL: week}))(t), "alice")
			must(a.Verify(bg, g.AccessToken))(t)
			if err := revoke(a, g); err != nil { // through the parent, whose own tokens live an hour
				t.Fatal(err)
			}
			c.Add(week - time.Second)
			if _, err := a.Verify(bg, g.AccessToken); jwtauth.Reason(err) != jwtauth.ReasonRevoked {
				t.Errorf("on the last day: %v", err)
			}
		})
	}
}

// Whom one has identified the other knows; another Auth does not.
func TestViewsShareIdentities(t *testing.T) {
	a, _ := newAuth(t)
	stranger, _ := newAuth(t)
	view := must(a.WithTokens(jwtauth.TokenProfile{}))(t)
	g := register(t, a, "alice")
	for name, tc := range map[string]struct {
		outer, inner *jwtauth.Auth
		want         int
	}{
		"view in parent":     {a, view, 204},
		"parent in view":     {view, a, 204},
		"stranger in parent": {a, stranger, 401},
	} {
		t.Run(name, func(t *testing.T) {
			h := tc.inner.Require(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
			stripped := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Header.Del("Authorization")
				h.ServeHTTP(w, r)
			})
			if r := send(t, tc.outer.Require(stripped), request{method: "GET", path: "/", token: g.AccessToken}); r.status != tc.want {
				t.Errorf("answered %d, want %d", r.status, tc.want)
			}
		})
	}
}
