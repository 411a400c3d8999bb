package jwtauth_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// clockedStore is a store whose server has a clock of its own.
type clockedStore struct {
	*jwtauth.MemoryStore
	now func() (time.Time, error)
}

func (s clockedStore) ServerTime(context.Context) (time.Time, error) { return s.now() }

func TestCheckFindsWhatIsWeakOrOdd(t *testing.T) {
	sound := func(cfg *jwtauth.Config) {
		cfg.Store = clockedStore{jwtauth.NewMemoryStore(), func() (time.Time, error) { return epoch.Add(20 * time.Second), nil }}
		cfg.Mail.Mailer = &postbox{}
		cfg.Limits = jwtauth.LimitConfig{}
		cfg.Passwords = jwtauth.PasswordConfig{MinLength: 15}
	}
	for _, tc := range []struct {
		name   string
		change func(*jwtauth.Config)
		code   string // "" for nothing
		grave  bool
	}{
		{"a sound configuration", func(*jwtauth.Config) {}, "", false},
		{"plain http", func(cfg *jwtauth.Config) {
			cfg.Issuer, cfg.InsecureAllowHTTP = "http://auth.example.test", true
		}, "issuer_http", true},
		{"plain http at home", func(cfg *jwtauth.Config) { cfg.Issuer = "http://localhost:8080" }, "", false},
		{"a sentence for a secret", func(cfg *jwtauth.Config) { cfg.Secret = []byte("the quick brown fox jumps over us") }, "secret_typed", true},
		{"words for a secret", func(cfg *jwtauth.Config) { cfg.Secret = []byte("Purple-Elephant-Dances-9182736455") }, "secret_typed", true},
		{"few characters for a secret", func(cfg *jwtauth.Config) { cfg.Secret = []byte("12121333121213331231212133312131") }, "secret_typed", true},
		{"base64 for a secret", func(cfg *jwtauth.Config) { cfg.Secret = []byte("qk3vYt0mBzX8rJ1uWn5cLd7eHs2pGa9fVi4oQxTyZbM=") }, "", false},
		{"cheap hashes", func(cfg *jwtauth.Config) {
			cfg.Passwords = jwtauth.PasswordConfig{Memory: 64, Time: 1, InsecureForTests: true, MinLength: 15}
		}, "hash_weak", true},
		{"short passwords", func(cfg *jwtauth.Config) {
			cfg.Passwords = jwtauth.PasswordConfig{InsecureForTests: true, MinLength: 4}
		}, "password_short", true},
		{"shorter passwords than advised", func(cfg *jwtauth.Config) { cfg.Passwords.MinLength = 8 }, "password_length", false},
		{"the same with a second factor", func(cfg *jwtauth.Config) {
			cfg.Passwords.MinLength = 8
			cfg.Hooks.BeforeLogin = func(context.Context, jwtauth.User) error { return nil }
		}, "", false},
		{"no limits", func(cfg *jwtauth.Config) { cfg.Limits.Disabled = true }, "limits_off", true},
		{"refusals that explain themselves", func(cfg *jwtauth.Config) {
			cfg.Issuer, cfg.Development.InsecureExplain = "http://localhost:8080", true
		}, "explains", true},
		{"development", func(cfg *jwtauth.Config) { cfg.Development.Enabled = true }, "development", false},
		{"no lock-out", func(cfg *jwtauth.Config) { cfg.Lockout.Disabled = true }, "lockout_off", true},
		{"no mailer", func(cfg *jwtauth.Config) { cfg.Mail.Mailer = nil }, "no_mailer", true},
		{"no mailer and no recovery", func(cfg *jwtauth.Config) { cfg.Mail.Mailer, cfg.Recovery.Off = nil, true }, "", false},
		{"links that log in at once", func(cfg *jwtauth.Config) {
			cfg.Cookies.Enabled, cfg.AutoLogin.DangerouslySkipConfirmation = true, true
		}, "autologin_unconfirmed", true},
		{"links with access tokens", func(cfg *jwtauth.Config) {
			cfg.Cookies.Enabled, cfg.AutoLogin.AcceptAccessTokens = true, true
		}, "autologin_access_tokens", true},
		{"a short code", restrict("register", jwtauth.AccessRule{Code: true}, jwtauth.AuthCode{Code: "abc"}), "code_short", true},
		{"a store in memory", func(cfg *jwtauth.Config) { cfg.Store = jwtauth.NewMemoryStore() }, "memory_store", false},
		{"a store in memory on two nodes", func(cfg *jwtauth.Config) {
			cfg.Store, cfg.Nodes = jwtauth.NewMemoryStore(), 2
			cfg.Limits.Disabled = true
		}, "memory_store_nodes", true},
		{"revocations in memory behind a view on two nodes", func(cfg *jwtauth.Config) {
			cfg.Revocations = must(jwtauth.NewRevocationView(jwtauth.NewMemoryStore(), jwtauth.RevocationViewConfig{Staleness: time.Second}))(t)
			cfg.Nodes = 2
			cfg.Limits.Disabled = true
		}, "memory_store_nodes", true},
		{"limits in memory on two nodes", func(cfg *jwtauth.Config) { cfg.Nodes = 2 }, "memory_limiter_nodes", true},
		{"a clock that is off", func(cfg *jwtauth.Config) {
			cfg.Store = clockedStore{jwtauth.NewMemoryStore(), func() (time.Time, error) { return epoch.Add(-5 * time.Minute), nil }}
		}, "clock_off", true},
		{"a clock that does not answer", func(cfg *jwtauth.Config) {
			cfg.Store = clockedStore{jwtauth.NewMemoryStore(), func() (time.Time, error) { return time.Time{}, errors.New("down") }}
		}, "", false},
		{"tokens that live for days", func(cfg *jwtauth.Config) { cfg.Tokens.MaxTTL = 7 * 24 * time.Hour }, "long_tokens", false},
		{"records for good", func(cfg *jwtauth.Config) { cfg.Audit.Retention = -1 }, "audit_forever", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, _ := newAuth(t, sound, tc.change)
			found := a.Check(bg)
			i := slices.IndexFunc(found, func(f jwtauth.Finding) bool { return f.Code == tc.code })
			switch {
			case tc.code == "" && len(found) > 0:
				t.Errorf("found %v", found)
			case tc.code != "" && i < 0:
				t.Errorf("found %v, want %s", found, tc.code)
			case tc.code != "" && (found[i].Grave != tc.grave || found[i].Text == "" || found[i].String() == ""):
				t.Errorf("found %+v", found[i])
			}
		})
	}
}

func TestCheckSeesProxiesThatAreNotTrusted(t *testing.T) {
	a, _ := newAuth(t)
	has := func() bool {
		return slices.ContainsFunc(a.Check(bg), func(f jwtauth.Finding) bool { return f.Code == "proxy_untrusted" })
	}
	send(t, a.Handler(), request{method: "GET", path: "/me"})
	if has() {
		t.Error("found before any proxy was seen")
	}
	send(t, a.Handler(), request{method: "GET", path: "/me", header: http.Header{"X-Forwarded-For": {"203.0.113.9"}}})
	if !has() {
		t.Error("not found")
	}
}

func TestCheckListsWhatIsGraveFirst(t *testing.T) {
	a, _ := newAuth(t)
	grave := true
	for _, f := range a.Check(bg) {
		if f.Grave && !grave {
			t.Errorf("%s is grave and comes late", f.Code)
		}
		grave = f.Grave
	}
}
