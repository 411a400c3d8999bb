package jwtauth_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-jwtauth/jwtauth"
)

// admit sends one request through a gate and returns what came of it.
func admit(g *jwtauth.Gate, ad jwtauth.Admission, from string) (*httptest.ResponseRecorder, *http.Request, jwtauth.AuthCode, error) {
	w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil)
	if from != "" {
		r.RemoteAddr = from
	}
	r, code, err := g.Admit(w, r, ad)
	return w, r, code, err
}

func TestGate(t *testing.T) {
	code := jwtauth.AuthCode{Code: goodCode, Role: "editor"}
	for _, tc := range []struct {
		name string
		rule jwtauth.AccessRule
		ad   jwtauth.Admission
		from string
		role string // "": no token
		want string
	}{
		{name: "no rule admits"},
		{name: "off refused", rule: jwtauth.AccessRule{Off: true}, want: "rest_no_route"},
		{name: "address in the list admitted", rule: jwtauth.AccessRule{AllowIPs: []string{"192.0.2.*"}}},
		{name: "address not in the list refused", rule: jwtauth.AccessRule{AllowIPs: []string{"127.*.*.*"}}, want: "rest_forbidden"},
		{name: "unknown address refused", rule: jwtauth.AccessRule{AllowIPs: []string{"0.0.0.0/0"}}, from: "@", want: "rest_forbidden"},
		{name: "anonymous refused", rule: jwtauth.AccessRule{Authenticated: true}, want: "missing_token"},
		{name: "bad token refused", rule: jwtauth.AccessRule{Authenticated: true}, ad: jwtauth.Admission{Token: "x"}, want: "jwt_auth_invalid_token"},
		{name: "good token admitted", rule: jwtauth.AccessRule{Authenticated: true}, role: "subscriber"},
		{name: "missing role refused", rule: jwtauth.AccessRule{Roles: []string{"administrator"}}, role: "subscriber", want: "rest_forbidden"},
		{name: "role admitted", rule: jwtauth.AccessRule{Roles: []string{"administrator"}}, role: "administrator"},
		{name: "missing code refused", rule: jwtauth.AccessRule{Code: true}, want: "invalid_auth_code"},
		{name: "wrong code refused", rule: jwtauth.AccessRule{Code: true}, ad: jwtauth.Admission{Code: goodCode + "x"}, want: "invalid_auth_code"},
		{name: "good code admitted", rule: jwtauth.AccessRule{Code: true}, ad: jwtauth.Admission{Code: goodCode}},
		{name: "unknown endpoint refused", ad: jwtauth.Admission{Endpoint: "atuh"}, want: "internal_error"},
		{name: "unknown limit refused", ad: jwtauth.Admission{Limit: "lgoin"}, want: "internal_error"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Limits = jwtauth.LimitConfig{} })
			g := must(a.NewGate(jwtauth.AccessConfig{Endpoints: map[string]jwtauth.AccessRule{"auth": tc.rule}, Codes: []jwtauth.AuthCode{code}}, "auth", "other"))(t)
			if tc.ad.Endpoint == "" {
				tc.ad.Endpoint = "auth"
			}
			if tc.role != "" {
				u := register(t, a, "alice").User
				if err := a.SetRoles(bg, u.ID, tc.role); err != nil {
					t.Fatal(err)
				}
				tc.ad.Token = login(t, a, "alice").AccessToken
			}
			_, r, got, err := admit(g, tc.ad, tc.from)
			if jwtauth.Code(err) != tc.want {
				t.Fatalf("refused with %q (%v), want %q", jwtauth.Code(err), err, tc.want)
			}
			if tc.rule.Code && err == nil && got.Role != "editor" {
				t.Errorf("the code gives %q", got.Role)
			}
			if tc.from == "" && jwtauth.ClientFrom(r.Context()).IP.String() != "192.0.2.1" {
				t.Errorf("client %+v", jwtauth.ClientFrom(r.Context()))
			}
		})
	}
}

// A second API gives nobody a second set of tries.
func TestGateCountsWithTheNativeAPI(t *testing.T) {
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Limits = jwtauth.LimitConfig{} })
	g := must(a.NewGate(jwtauth.AccessConfig{}, "auth"))(t)
	u := register(t, a, "alice")
	refresh := must(a.WithTokens(jwtauth.TokenProfile{}))(t)
	for _, tc := range []struct {
		limit jwtauth.Limit
		ad    jwtauth.Admission
		path  string
		body  object
		token string
	}{
		{jwtauth.LimitLogin, jwtauth.Admission{}, "/login", object{"username": "x", "password": "y"}, ""},
		{jwtauth.LimitForgot, jwtauth.Admission{}, "/forgot-password", object{"login": "x"}, ""},
		{jwtauth.LimitRevoke, jwtauth.Admission{Token: u.AccessToken}, "/token/revoke", object{"refresh_token": "jr1.x"}, u.AccessToken},
		{jwtauth.LimitRefresh, jwtauth.Admission{RefreshToken: u.RefreshToken}, "/token/refresh", object{"refresh_token": u.RefreshToken}, ""},
		{jwtauth.LimitRegister, jwtauth.Admission{}, "/register", object{}, ""},
	} {
		t.Run(string(tc.limit), func(t *testing.T) {
			tc.ad.Endpoint, tc.ad.Limit = "auth", tc.limit
			w, _, _, err := admit(g, tc.ad, "")
			if err != nil {
				t.Fatal(err)
			}
			var limit, left int
			if _, err := fmt.Sscan(w.Header().Get("X-RateLimit-Limit")+" "+w.Header().Get("X-RateLimit-Remaining"), &limit, &left); err != nil || left != limit-1 {
				t.Fatalf("headers say %d of %d: %v", left, limit, err)
			}
			for range left {
				if r := send(t, refresh.Handler(), request{method: "POST", path: tc.path, body: tc.body, token: tc.token}); r.status == 429 {
					t.Fatal("limited too early")
				}
			}
			w, _, _, err = admit(g, tc.ad, "")
			if jwtauth.Code(err) != "jwt_auth_rate_limited" || w.Header().Get("X-RateLimit-Remaining") != "0" {
				t.Errorf("past the limit: %v, %v", err, w.Header())
			}
			if _, _, _, err := admit(g, tc.ad, "198.51.100.7:1"); tc.ad.Token+tc.ad.RefreshToken == "" && err != nil {
				t.Errorf("another address: %v", err)
			}
		})
	}
}

// Garbage counts on the address, a good token for itself.
func TestGateKeys(t *testing.T) {
	a, _ := newAuth(t, func(cfg *jwtauth.Config) {
		cfg.Limits = jwtauth.LimitConfig{Validate: jwtauth.Rule{Limit: 2, Per: 1e9}}
	})
	g := must(a.NewGate(jwtauth.AccessConfig{}, "validate"))(t)
	for i := range 4 {
		_, _, _, err := admit(g, jwtauth.Admission{Endpoint: "validate", Limit: jwtauth.LimitValidate, Token: fmt.Sprint("junk", i)}, "")
		if (err != nil) != (i >= 2) {
			t.Fatalf("made-up token %d: %v", i+1, err)
		}
	}
	if _, _, _, err := admit(g, jwtauth.Admission{Endpoint: "validate", Limit: jwtauth.LimitValidate, Token: register(t, a, "alice").AccessToken}, ""); err != nil {
		t.Errorf("a good token shares the bucket of the address: %v", err)
	}
}

func TestGateCountsWrongCodes(t *testing.T) {
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Limits = jwtauth.LimitConfig{} })
	g := must(a.NewGate(jwtauth.AccessConfig{Endpoints: map[string]jwtauth.AccessRule{"auth": {Code: true}},
		Codes: []jwtauth.AuthCode{{Code: goodCode}}}, "auth"))(t)
	for i := range 12 {
		_, _, _, err := admit(g, jwtauth.Admission{Endpoint: "auth", Code: "wrong"}, "")
		if want := map[bool]string{true: "invalid_auth_code", false: "jwt_auth_rate_limited"}[i < 10]; jwtauth.Code(err) != want {
			t.Fatalf("wrong code %d: %v, want %s", i+1, err, want)
		}
	}
	if _, _, _, err := admit(g, jwtauth.Admission{Endpoint: "auth", Code: goodCode}, ""); !errors.Is(err, jwtauth.ErrRateLimited) {
		t.Errorf("the right code, when guessing has been stopped: %v", err)
	}
}

func TestGateConfigRefused(t *testing.T) {
	var logs strings.Builder
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&logs, nil)) })
	_, err := a.NewGate(jwtauth.AccessConfig{Endpoints: map[string]jwtauth.AccessRule{"atuh": {Off: true}, "auth": {AllowIPs: []string{"x"}, Code: true}}}, "auth")
	for _, want := range []string{`AccessConfig.Endpoints["atuh"]: there is no such endpoint`, `["auth"].AllowIPs`, "asks for a code"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not mention %s: %v", want, err)
		}
	}
	if _, err := a.NewGate(jwtauth.AccessConfig{Codes: []jwtauth.AuthCode{{Code: "short"}}}, "auth"); err != nil || !strings.Contains(logs.String(), "AccessConfig.Codes[0]") {
		t.Errorf("a short code: %v, log %s", err, logs.String())
	}
	ad := jwtauth.Admission{Endpoint: "auth", Token: "s3cret-t", RefreshToken: "s3cret-r", Code: "s3cret-c"}
	if text := fmt.Sprintf("%v %+v %#v %s", ad, ad, ad, ad); strings.Contains(text, "s3cret") {
		t.Errorf("formatting shows secrets: %s", text)
	}
}
