package jwtauth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	wpjwt "github.com/go-jwtauth/jwtauth/compat/jwtauth"
	"github.com/go-jwtauth/jwtauth/internal/exchange"
)

// world makes a kit with the account alice, who is logged in, and root, an
// administrator, and then lets something happen.
func world(cfg wpjwt.Config, happen func(t *testing.T, k *kit, alice *jwtauth.Grant, values map[string]string), change ...func(*jwtauth.Config)) func(*testing.T) exchange.World {
	return func(t *testing.T) exchange.World {
		k := newKit(t, cfg, change...)
		k.register(t, "alice")
		k.register(t, "root", "administrator")
		k.clock.Add(time.Minute)
		root := k.login(t, "root")
		k.clock.Add(time.Minute)
		alice := k.login(t, "alice")
		values := map[string]string{"token": alice.AccessToken, "refresh": alice.RefreshToken, "session": alice.Session.ID,
			"root": root.AccessToken, "rootsession": root.Session.ID, "code": goodCode}
		if happen != nil {
			happen(t, k, alice, values)
		}
		return exchange.World{Handler: k.handler, Values: values}
	}
}

func TestExchanges(t *testing.T) {
	pro := wpjwt.Config{Mode: wpjwt.Pro}
	limited := func(cfg *jwtauth.Config) {
		two := jwtauth.Rule{Limit: 2, Per: time.Minute}
		cfg.Limits = jwtauth.LimitConfig{Login: two, Validate: two, Refresh: two, Revoke: two}
	}
	exhausted := func(t *testing.T, k *kit, alice *jwtauth.Grant, _ map[string]string) {
		for range 2 {
			k.send("POST", "/jwt-auth/v1/token", "", "")
			k.send("POST", "/jwt-auth/v1/token/validate", alice.AccessToken, "")
		}
	}
	expired := func(_ *testing.T, k *kit, _ *jwtauth.Grant, _ map[string]string) { k.clock.Add(time.Hour) }
	revoked := func(t *testing.T, k *kit, alice *jwtauth.Grant, _ map[string]string) {
		if err := k.auth.Revoke(bg, alice.AccessToken); err != nil {
			t.Fatal(err)
		}
	}
	disabled := func(t *testing.T, k *kit, alice *jwtauth.Grant, _ map[string]string) {
		if err := k.auth.Disable(bg, alice.User.ID); err != nil {
			t.Fatal(err)
		}
	}
	locked := func(t *testing.T, k *kit, _ *jwtauth.Grant, _ map[string]string) {
		for range 6 {
			k.send("POST", "/jwt-auth/v1/token", "", "username=alice&password=wrong")
		}
	}
	reused := func(t *testing.T, k *kit, alice *jwtauth.Grant, _ map[string]string) {
		must(k.auth.Refresh(bg, alice.RefreshToken))(t)
		k.clock.Add(time.Hour)
	}
	gone := func(t *testing.T, k *kit, alice *jwtauth.Grant, values map[string]string) {
		if err := k.auth.DeleteUser(bg, alice.User.ID); err != nil {
			t.Fatal(err)
		}
	}
	many := func(t *testing.T, k *kit, alice *jwtauth.Grant, values map[string]string) {
		for _, name := range []string{"s3", "s4"} {
			k.clock.Add(time.Minute)
			values[name] = k.login(t, "alice").Session.ID
		}
		k.clock.Add(time.Minute)
		must(k.auth.Refresh(bg, alice.RefreshToken))(t)
	}
	access := func(rule jwtauth.AccessRule) wpjwt.Config {
		return wpjwt.Config{Mode: wpjwt.Pro, Access: jwtauth.AccessConfig{Endpoints: map[string]jwtauth.AccessRule{"token": rule},
			Codes: []jwtauth.AuthCode{{Code: goodCode}}}}
	}
	stranger := func(t *testing.T, k *kit, _ *jwtauth.Grant, values map[string]string) {
		other := newKit(t, pro, func(cfg *jwtauth.Config) { cfg.Issuer = "https://other.example.test" })
		other.register(t, "alice")
		values["token"] = other.login(t, "alice").AccessToken // signed with the same key
	}
	exchange.Run(t, "testdata", map[string]func(*testing.T) exchange.World{
		"free":                       world(wpjwt.Config{}, nil),
		"free, a week":               world(wpjwt.Config{TTL: week}, nil),
		"free, locked":               world(wpjwt.Config{}, locked, func(cfg *jwtauth.Config) { cfg.Lockout = jwtauth.LockoutConfig{} }),
		"free, expired":              world(wpjwt.Config{}, expired),
		"free, revoked":              world(wpjwt.Config{}, revoked),
		"free, another issuer":       world(wpjwt.Config{}, stranger),
		"free, limited":              world(wpjwt.Config{}, nil, limited),
		"free, limit used up":        world(wpjwt.Config{}, exhausted, limited),
		"pro":                        world(pro, nil),
		"pro, locked":                world(pro, locked),
		"pro, disabled":              world(pro, disabled),
		"pro, expired":               world(pro, expired),
		"pro, revoked":               world(pro, revoked),
		"pro, deleted":               world(pro, gone),
		"pro, another issuer":        world(pro, stranger),
		"pro, refreshed an hour ago": world(pro, reused),
		"pro, limited":               world(pro, nil, limited),
		"pro, limit used up":         world(pro, exhausted, limited),
		"pro, several sessions":      world(pro, many),
		"pro, token off":             world(access(jwtauth.AccessRule{Off: true}), nil),
		"pro, token for others":      world(access(jwtauth.AccessRule{AllowIPs: []string{"10.*.*.*"}}), nil),
		"pro, token with a code":     world(access(jwtauth.AccessRule{Code: true}), nil),
		"pro, refresh tokens only":   world(pro, nil, func(cfg *jwtauth.Config) { cfg.Sessions.RefreshTokensOnly = true }),
	}, exchange.Query("/"), exchange.Query("/index.php"), exchange.Slash, func(target string) string {
		return exchange.Query("/")(strings.Replace(exchange.Slash(target), "jwt-auth/v1", "jwt-auth%2Fv1", 1))
	})
}
