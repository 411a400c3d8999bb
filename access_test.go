package jwtauth_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

const goodCode = "k7Jq2ZxW9pLr4TnV8sDf3A"

func restrict(name string, rule jwtauth.AccessRule, codes ...jwtauth.AuthCode) func(*jwtauth.Config) {
	return func(cfg *jwtauth.Config) {
		cfg.Access = jwtauth.AccessConfig{Endpoints: map[string]jwtauth.AccessRule{name: rule}, Codes: codes}
	}
}

// anywhere restricts all endpoints by address, and register by a rule besides.
func anywhere(addresses []string, rule jwtauth.AccessRule) func(*jwtauth.Config) {
	return func(cfg *jwtauth.Config) {
		cfg.Access = jwtauth.AccessConfig{AllowIPs: addresses, Endpoints: map[string]jwtauth.AccessRule{"register": rule}}
	}
}

func TestEndpointRules(t *testing.T) {
	registration := object{"username": "bob", "email": "bob@example.test", "password": testPassword}
	with := func(code any) object {
		body := object{"AUTH_CODE": code}
		for k, v := range registration {
			body[k] = v
		}
		return body
	}
	code := jwtauth.AuthCode{Code: goodCode}
	asks := jwtauth.AccessRule{Code: true}
	cases := []struct {
		name   string
		change func(*jwtauth.Config)
		body   object
		from   string
		status int
		code   string
	}{
		{name: "open", body: registration, status: 200},
		{name: "off", change: restrict("register", jwtauth.AccessRule{Off: true}), body: registration, status: 404, code: "rest_no_route"},
		{name: "authenticated, anonymous", change: restrict("register", jwtauth.AccessRule{Authenticated: true}), body: registration, status: 401, code: "missing_token"},
		{name: "role missing", change: restrict("register", jwtauth.AccessRule{Roles: []string{"administrator"}}), body: registration, status: 401, code: "missing_token"},
		{name: "address allowed", change: restrict("register", jwtauth.AccessRule{AllowIPs: []string{"192.0.2.*"}}), body: registration, status: 200},
		{name: "address refused", change: restrict("register", jwtauth.AccessRule{AllowIPs: []string{"10.0.0.0/8, 85.*.*.*"}}), body: registration, status: 403, code: "rest_forbidden"},
		{name: "unknown address refused", change: restrict("register", jwtauth.AccessRule{AllowIPs: []string{"0.0.0.0/0"}}), body: registration, from: "@", status: 403, code: "rest_forbidden"},
		{name: "address refused with a bad body too", change: restrict("register", jwtauth.AccessRule{AllowIPs: []string{"10.0.0.0/8"}}), body: object{"username": 1}, status: 403, code: "rest_forbidden"},
		{name: "address refused everywhere", change: anywhere([]string{"10.0.0.0/8"}, jwtauth.AccessRule{}), body: registration, status: 403, code: "rest_forbidden"},
		{name: "address allowed everywhere", change: anywhere([]string{"192.0.2.0/24"}, jwtauth.AccessRule{}), body: registration, status: 200},
		{name: "address allowed everywhere and not here", change: anywhere([]string{"192.0.2.0/24"}, jwtauth.AccessRule{AllowIPs: []string{"10.0.0.0/8"}}), body: registration, status: 403, code: "rest_forbidden"},
		{name: "address allowed here and not everywhere", change: anywhere([]string{"10.0.0.0/8"}, jwtauth.AccessRule{AllowIPs: []string{"192.0.2.0/24"}}), body: registration, status: 403, code: "rest_forbidden"},
		{name: "what is off does not exist for a refused address", change: anywhere([]string{"10.0.0.0/8"}, jwtauth.AccessRule{Off: true}), body: registration, status: 404, code: "rest_no_route"},
		{name: "code given", change: restrict("register", asks, code), body: with(goodCode), status: 200},
		{name: "code missing", change: restrict("register", asks, code), body: registration, status: 401, code: "invalid_auth_code"},
		{name: "code empty", change: restrict("register", asks, code), body: with(""), status: 401, code: "invalid_auth_code"},
		{name: "code in another case", change: restrict("register", asks, code), body: with(strings.ToUpper(goodCode)), status: 401, code: "invalid_auth_code"},
		{name: "part of the code", change: restrict("register", asks, code), body: with(goodCode[:10]), status: 401, code: "invalid_auth_code"},
		{name: "code in a list", change: restrict("register", asks, code), body: with([]string{goodCode}), status: 400, code: "rest_invalid_param"},
		{name: "code null", change: restrict("register", asks, code), body: with(nil), status: 400, code: "rest_invalid_param"},
		{name: "code at its end", change: restrict("register", asks, jwtauth.AuthCode{Code: goodCode, Expires: epoch}), body: with(goodCode), status: 401, code: "invalid_auth_code"},
		{name: "code a second before its end", change: restrict("register", asks, jwtauth.AuthCode{Code: goodCode, Expires: epoch.Add(time.Second)}), body: with(goodCode), status: 200},
		{name: "an expired code before a good one", change: restrict("register", asks, jwtauth.AuthCode{Code: "expired-" + goodCode, Expires: epoch}, code), body: with(goodCode), status: 200},
		{name: "code of another endpoint", change: restrict("register", asks, jwtauth.AuthCode{Code: goodCode, Endpoints: []string{"login"}}), body: with(goodCode), status: 401, code: "invalid_auth_code"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			var change []func(*jwtauth.Config)
			if tc.change != nil {
				change = append(change, tc.change)
			}
			a, _ := newAuth(t, change...)
			r := send(t, a.Handler(), request{method: "POST", path: "/register", body: tc.body, from: tc.from})
			if tc.status == 200 && r.status == 200 {
				return
			}
			wantError(t, r, tc.status, tc.code)
		})
	}
}

func TestRoleOfAnEndpoint(t *testing.T) {
	a, _ := newAuth(t, restrict("sessions", jwtauth.AccessRule{Roles: []string{"administrator"}}))
	u := register(t, a, "alice")
	wantError(t, send(t, a.Handler(), request{method: "GET", path: "/sessions", token: u.AccessToken}), 403, "rest_forbidden")
	if err := a.SetRoles(bg, u.User.ID, "administrator"); err != nil {
		t.Fatal(err)
	}
	if r := send(t, a.Handler(), request{method: "GET", path: "/sessions", token: login(t, a, "alice").AccessToken}); r.status != 200 {
		t.Errorf("with the role: %d %s", r.status, r.text)
	}
}

func TestCodeGivesItsRole(t *testing.T) {
	a, _ := newAuth(t, restrict("register", jwtauth.AccessRule{Code: true}, jwtauth.AuthCode{Code: goodCode, Role: "editor"}))
	r := post(t, a.Handler(), "/register", object{"username": "bob", "email": "bob@example.test", "password": testPassword, "AUTH_KEY": goodCode, "role": "administrator"})
	if roles, _ := r.at("user.roles").([]any); r.status != 200 || len(roles) != 1 || roles[0] != "editor" {
		t.Errorf("answered %d %s", r.status, r.text)
	}
}

func TestWrongCodesAreLimitedByAddress(t *testing.T) {
	a, c := newAuth(t, restrict("forgot-password", jwtauth.AccessRule{Code: true}, jwtauth.AuthCode{Code: goodCode}),
		func(cfg *jwtauth.Config) { cfg.Limits = jwtauth.LimitConfig{Forgot: jwtauth.Rule{Limit: -1}} })
	right := func(from string) int {
		return send(t, a.Handler(), request{method: "POST", path: "/forgot-password", from: from, body: object{"login": "x", "AUTH_CODE": goodCode}}).status
	}
	for range 20 {
		if got := right(""); got != 200 {
			t.Fatalf("the right code answered %d: only wrong ones count", got)
		}
	}
	for i := range 12 {
		r := post(t, a.Handler(), "/forgot-password", object{"login": "x", "AUTH_CODE": "wrong"})
		if want := map[bool]int{true: 401, false: 429}[i < 10]; r.status != want {
			t.Fatalf("wrong code %d answered %d, want %d", i+1, r.status, want)
		}
	}
	if got := right(""); got != 429 {
		t.Errorf("the right code answered %d after ten wrong ones: the limit bounds no guesses", got)
	}
	if got := right("198.51.100.1:1"); got != 200 {
		t.Errorf("the right code from elsewhere answered %d", got)
	}
	c.Add(time.Minute)
	if got := right(""); got != 200 {
		t.Errorf("the right code a minute later answered %d", got)
	}
}

func TestAccessConfigRefused(t *testing.T) {
	for name, change := range map[string]func(*jwtauth.Config){
		"unknown endpoint":        restrict("regsiter", jwtauth.AccessRule{Off: true}),
		"bad address":             restrict("register", jwtauth.AccessRule{AllowIPs: []string{"192.0.2.1.5"}}),
		"empty list":              restrict("register", jwtauth.AccessRule{AllowIPs: []string{""}}),
		"code asked for, none":    restrict("register", jwtauth.AccessRule{Code: true}),
		"empty code":              restrict("register", jwtauth.AccessRule{}, jwtauth.AuthCode{}),
		"code with a bad role":    restrict("register", jwtauth.AccessRule{}, jwtauth.AuthCode{Code: goodCode, Role: "a b"}),
		"bad proxy":               func(cfg *jwtauth.Config) { cfg.Proxies.Trusted = []string{"10.0.0.5/8"} },
		"header that anyone sets": func(cfg *jwtauth.Config) { cfg.Proxies.Header = "X-Real-IP" },
	} {
		t.Run(name+" refused", func(t *testing.T) {
			cfg := testConfig(t)
			change(&cfg)
			if _, err := jwtauth.New(cfg); err == nil {
				t.Error("New accepted it")
			} else if strings.Contains(err.Error(), goodCode) {
				t.Errorf("the error shows the code: %v", err)
			}
		})
	}
	var logs strings.Builder
	newAuth(t, restrict("register", jwtauth.AccessRule{Code: true}, jwtauth.AuthCode{Code: "short"}),
		func(cfg *jwtauth.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&logs, nil)) })
	if !strings.Contains(logs.String(), "short enough to be guessed") || strings.Contains(logs.String(), "=short") {
		t.Errorf("log reads %q", logs.String())
	}
}

// Behind a proxy that is trusted each client has a limit of its own, and nobody
// gets another by writing headers.
func TestLimitsBehindAProxy(t *testing.T) {
	a, _ := newAuth(t, func(cfg *jwtauth.Config) {
		cfg.Limits = jwtauth.LimitConfig{}
		cfg.Proxies.Trusted = []string{"10.0.0.0/8"}
	})
	try := func(peer, forwarded string) int {
		return send(t, a.Handler(), request{method: "POST", path: "/token", body: object{"username": "x", "password": "y"}, from: peer,
			header: http.Header{"Content-Type": {"application/json"}, "X-Forwarded-For": {forwarded}}}).status
	}
	for range 5 {
		try("10.0.0.1:1", "198.51.100.7")
	}
	if got := try("10.0.0.1:1", "1.2.3.4, 198.51.100.7"); got != 429 {
		t.Errorf("an invented hop on the left got a new bucket: %d", got)
	}
	if got := try("10.0.0.1:1", "198.51.100.8"); got != 401 {
		t.Errorf("another client shares the bucket: %d", got)
	}
	for range 5 {
		try("203.0.113.9:1", "192.0.2.77")
	}
	if got := try("203.0.113.9:1", "192.0.2.78"); got != 429 {
		t.Errorf("a client that is no proxy chose its own address: %d", got)
	}
}

// The page of auto-login and what it posts can't be restricted apart.
func TestAutoLoginIsRestrictedAsOne(t *testing.T) {
	a, _ := newAuth(t, cookies, restrict("autologin", jwtauth.AccessRule{Off: true}))
	token := must(a.AutoLoginToken(bg, register(t, a, "alice").User.ID))(t)
	wantError(t, send(t, a.Handler(), request{method: "GET", path: "/autologin?JWT=" + token}), 404, "rest_no_route")
	r := send(t, a.Handler(), request{method: "POST", path: "/autologin", body: "JWT=" + token,
		header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}})
	wantError(t, r, 404, "rest_no_route")
}
