package simplejwtlogin_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	sjl "github.com/go-jwtauth/jwtauth/compat/simplejwtlogin"
	"github.com/go-jwtauth/jwtauth/internal/exchange"
)

// happening is what came before a recorded request.
type happening func(t *testing.T, k *kit, alice jwtauth.User, values map[string]string)

// world makes a kit with the account alice, who is logged in through the
// dialect, and bob, and then lets something happen.
func world(cfg sjl.Config, happen happening, change ...func(*jwtauth.Config)) func(*testing.T) exchange.World {
	return func(t *testing.T) exchange.World {
		k := newKit(t, cfg, change...)
		alice := k.register(t, "alice")
		k.register(t, "bob")
		values := map[string]string{"hash": string(alice.PasswordHash), "good-code": goodCode, "editor-code": editorCode, "old-code": oldCode}
		g := must(k.auth.Login(bg, jwtauth.Credentials{Username: "alice", Password: testPassword}))(t)
		values["refresh"] = g.RefreshToken
		r := k.send(t, "POST", "/auth", object{"username": "alice", "password": testPassword, "AUTH_KEY": goodCode})
		if values["token"] = r.str("data.jwt"); r.status != 200 {
			values["token"] = g.AccessToken
		}
		values["session"] = must(k.auth.Verify(bg, values["token"]))(t).SessionID
		values["key"] = must(testKey())(t).ID()
		if happen != nil {
			happen(t, k, alice, values)
		}
		return exchange.World{Handler: k.handler, Values: values}
	}
}

// The things that happen.

func later(d time.Duration) happening {
	return func(_ *testing.T, k *kit, _ jwtauth.User, _ map[string]string) { k.clock.Add(d) }
}

func revoked(t *testing.T, k *kit, _ jwtauth.User, values map[string]string) {
	if err := k.auth.Revoke(bg, values["token"]); err != nil {
		t.Fatal(err)
	}
}

func disabled(t *testing.T, k *kit, alice jwtauth.User, _ map[string]string) {
	if err := k.auth.Disable(bg, alice.ID); err != nil {
		t.Fatal(err)
	}
}

func deleted(t *testing.T, k *kit, alice jwtauth.User, _ map[string]string) {
	if err := k.auth.DeleteUser(bg, alice.ID); err != nil {
		t.Fatal(err)
	}
}

func locked(t *testing.T, k *kit, _ jwtauth.User, _ map[string]string) {
	for range 12 {
		k.send(t, "POST", "/auth", object{"username": "alice", "password": "wrong"})
	}
}

func mailed(t *testing.T, k *kit, alice jwtauth.User, values map[string]string) {
	values["mailed"] = k.mailedCode(t, alice.Email)
}

func refreshed(t *testing.T, k *kit, _ jwtauth.User, values map[string]string) {
	if r := k.send(t, "POST", "/auth/refresh", object{"JWT": values["token"]}); r.status != 200 {
		t.Fatalf("refresh answered %d %s", r.status, r.text)
	}
	k.clock.Add(time.Minute)
}

func exhausted(t *testing.T, k *kit, _ jwtauth.User, _ map[string]string) {
	k.send(t, "POST", "/auth", nil)
}

// restricted is a dialect with a rule for every endpoint.
func restricted(v sjl.Version, rule jwtauth.AccessRule) sjl.Config {
	cfg := everything(v)
	cfg.Access.Endpoints = map[string]jwtauth.AccessRule{}
	for _, name := range []string{"auth", "refresh", "validate", "revoke", "register", "delete", "reset-password", "autologin"} {
		cfg.Access.Endpoints[name] = rule
	}
	if rule.Code {
		cfg.Access.Codes = codes()
	}
	return cfg
}

func codes() []jwtauth.AuthCode {
	return []jwtauth.AuthCode{
		{Code: oldCode, Expires: epoch.Add(-time.Hour)},
		{Code: goodCode},
		{Code: editorCode, Role: "editor", Expires: epoch.Add(time.Hour), Endpoints: []string{"register"}},
	}
}

// with is everything, changed.
func with(v sjl.Version, change func(*sjl.Config)) sjl.Config {
	cfg := everything(v)
	change(&cfg)
	return cfg
}

func TestExchanges(t *testing.T) {
	worlds := map[string]func(*testing.T) exchange.World{}
	limited := func(cfg *jwtauth.Config) {
		two := jwtauth.Rule{Limit: 2, Per: time.Minute}
		cfg.Limits = jwtauth.LimitConfig{Login: two, Validate: two, Refresh: two, Revoke: two, Register: two, Account: two, Forgot: two, Reset: two, SSO: two}
	}
	confirm := func(cfg *jwtauth.Config) { cfg.AutoLogin.DangerouslySkipConfirmation = false }
	for name, v := range map[string]sjl.Version{"v3": sjl.V3, "v4": sjl.V4} {
		all := everything(v)
		for what, build := range map[string]func(*testing.T) exchange.World{
			"":                  world(all, nil),
			"off":               world(restricted(v, jwtauth.AccessRule{Off: true}), nil),
			"codes":             world(restricted(v, jwtauth.AccessRule{Code: true}), nil),
			"code if given":     world(with(v, func(c *sjl.Config) { c.Access.Codes = codes() }), nil),
			"addresses":         world(restricted(v, jwtauth.AccessRule{AllowIPs: []string{"10.*.*.*, 127.0.0.1"}}), nil),
			"codes, addresses":  world(restricted(v, jwtauth.AccessRule{Code: true, AllowIPs: []string{"10.*.*.*"}}), nil),
			"expired":           world(all, later(time.Hour)),
			"too old":           world(with(v, func(c *sjl.Config) { c.RefreshTTL = time.Hour }), later(3*time.Hour)),
			"revoked":           world(all, revoked),
			"disabled":          world(all, disabled),
			"deleted":           world(all, deleted),
			"locked":            world(all, locked, func(cfg *jwtauth.Config) { cfg.Lockout.Disabled = false }),
			"mailed":            world(all, mailed),
			"refreshed":         world(all, refreshed),
			"limited":           world(all, nil, limited),
			"limit used up":     world(all, exhausted, limited),
			"code, hash":        world(with(v, func(c *sjl.Config) { c.DangerouslyAcceptPasswordHash = true }), nil),
			"base64":            world(with(v, func(c *sjl.Config) { c.PasswordBase64 = true }), nil),
			"random password":   world(with(v, func(c *sjl.Config) { c.RandomPassword, c.RegisterJWT = true, false }), nil),
			"domains":           world(all, nil, func(cfg *jwtauth.Config) { cfg.Registration.EmailDomains = []string{"example.test"} }),
			"private":           world(all, nil, func(cfg *jwtauth.Config) { cfg.Registration.Private = true }),
			"closed":            world(all, nil, func(cfg *jwtauth.Config) { cfg.Registration.Closed = true }),
			"register logs in":  world(with(v, func(c *sjl.Config) { c.RegisterLogin, c.RegisterJWT = true, false }), nil),
			"no jwt reset":      world(with(v, func(c *sjl.Config) { c.ResetWithJWT = false }), nil),
			"delivered":         world(with(v, func(c *sjl.Config) { c.DeliverCode = func(context.Context, jwtauth.User, string) {} }), nil),
			"reauthentication":  world(all, nil, func(cfg *jwtauth.Config) { cfg.Accounts.ReauthToDelete = true }),
			"confirm":           world(all, nil, confirm),
			"confirm, expired":  world(all, later(time.Hour), confirm),
			"no target":         world(all, nil, func(cfg *jwtauth.Config) { cfg.AutoLogin.Target = "" }),
			"no override":       world(all, nil, func(cfg *jwtauth.Config) { cfg.AutoLogin.TargetFromRequest = false }),
			"failure page":      world(with(v, func(c *sjl.Config) { c.AutoLoginFailure = "https://app.example.test/failed?x=1#top" }), nil),
			"cookie":            world(with(v, func(c *sjl.Config) { c.Tokens.Cookie = "simple-jwt-login-token" }), nil),
			"bearer":            world(with(v, func(c *sjl.Config) { c.Tokens.RequireBearer = true }), nil),
			"without sources":   world(with(v, func(c *sjl.Config) { c.Tokens.Header, c.Tokens.NoParameter = "X-Token", true }), nil),
			"endless, no claim": world(with(v, func(c *sjl.Config) { c.Payload = []string{"iat"} }), nil, func(cfg *jwtauth.Config) { cfg.Tokens.MaxTTL = 2 * time.Hour }),
		} {
			worlds[strings.TrimSuffix(name+", "+what, ", ")] = build
		}
	}
	exchange.Run(t, "testdata", worlds, exchange.Query("/"),
		func(target string) string { return exchange.Query("/index.php")(exchange.Slash(target)) })
}
