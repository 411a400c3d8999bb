package jwtauth_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// explaining is a configuration that explains refusals, and its log.
func explaining(logs *bytes.Buffer) func(*jwtauth.Config) {
	return func(cfg *jwtauth.Config) {
		cfg.Issuer = "http://localhost:8080"
		cfg.Development = jwtauth.DevelopmentConfig{Enabled: true, InsecureExplain: true}
		cfg.Logger = slog.New(slog.NewTextHandler(logs, nil))
	}
}

func TestRefusalsExplainThemselvesInDevelopment(t *testing.T) {
	var logs bytes.Buffer
	a, clock := newAuth(t, explaining(&logs))
	register(t, a, "ada")
	g := login(t, a, "ada")
	own := http.NewServeMux()
	own.Handle("GET /own", a.Require(http.NotFoundHandler()))
	own.Handle("GET /staff", a.RequireRole("editor")(http.NotFoundHandler()))
	own.Handle("/", a.Handler())
	for _, tc := range []struct {
		name    string
		request request
		says    []string
	}{
		{"wrong password", request{method: "POST", path: "/login", body: map[string]any{"username": "ada", "password": "another one here"}},
			[]string{"invalid_credentials", "is that the password"}},
		{"forged token", request{method: "GET", path: "/me", token: "a.b.c"}, []string{"malformed", "whole and unchanged"}},
		{"forged token at a host's route", request{method: "GET", path: "/own", token: "a.b.c"}, []string{"malformed"}},
		{"no token", request{method: "GET", path: "/own"}, []string{"missing_token", "Authorization: Bearer"}},
		{"missing role", request{method: "GET", path: "/staff", token: g.AccessToken}, []string{"rest_forbidden", "roles of the token"}},
		{"unknown path", request{method: "GET", path: "/auth/me"}, []string{"rest_no_route", "StripPrefix"}},
		{"wrong method", request{method: "GET", path: "/login"}, []string{"method_not_allowed", "Allow"}},
		{"wrong media type", request{method: "POST", path: "/login", body: "x", header: http.Header{"Content-Type": {"text/plain"}}},
			[]string{"unsupported_media_type", "application/json"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			logs.Reset()
			explained(t, send(t, own, tc.request), logs.String(), tc.says)
		})
	}
	clock.Add(2 * time.Hour)
	logs.Reset()
	explained(t, send(t, own, request{method: "GET", path: "/me", token: g.AccessToken}), logs.String(), []string{"expired", "refresh before exp"})
}

func explained(t *testing.T, r answer, logs string, says []string) {
	t.Helper()
	header := r.header.Get(jwtauth.ReasonHeaderName)
	for _, word := range says {
		if !strings.Contains(header, word) {
			t.Errorf("%d: the header %q does not say %q", r.status, header, word)
		}
		if !strings.Contains(logs, "level=WARN") || !strings.Contains(logs, word) {
			t.Errorf("%d: the log does not say %q:\n%s", r.status, word, logs)
		}
	}
}

func TestRefusalsAreNotExplainedByDefault(t *testing.T) {
	var logs bytes.Buffer
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&logs, nil)) })
	for _, r := range []answer{
		send(t, a.Handler(), request{method: "GET", path: "/me", token: "a.b.c"}),
		send(t, a.Require(http.NotFoundHandler()), request{method: "GET", path: "/", token: "a.b.c"}),
	} {
		if r.status != http.StatusUnauthorized || r.header.Get(jwtauth.ReasonHeaderName) != "" {
			t.Errorf("%d: %q", r.status, r.header.Get(jwtauth.ReasonHeaderName))
		}
	}
	if strings.Contains(logs.String(), "request refused") || strings.Contains(logs.String(), "hint") {
		t.Errorf("the log of a service in production:\n%s", logs.String())
	}
}

// A grant is not explained, and what is explained stays one line of a header.
func TestExplanationsStayInTheirHeader(t *testing.T) {
	var logs bytes.Buffer
	a, _ := newAuth(t, explaining(&logs))
	r := send(t, a.Handler(), request{method: "GET", path: "/.well-known/jwks.json"})
	if r.status != http.StatusOK || r.header.Get(jwtauth.ReasonHeaderName) != "" {
		t.Errorf("%d: %q", r.status, r.header.Get(jwtauth.ReasonHeaderName))
	}
	r = post(t, a.Handler(), "/login", `{"username":"a\r\nSet-Cookie: x=ü","password":"correct horse battery staple"}`)
	for _, c := range r.header.Get(jwtauth.ReasonHeaderName) {
		if c < ' ' || c > '~' {
			t.Errorf("%q in the header", c)
		}
	}
	if r.header.Get(jwtauth.ReasonHeaderName) == "" || r.header.Get("Set-Cookie") != "" {
		t.Errorf("headers %v", r.header)
	}
}

func TestExplainingIsRefusedOffLoopback(t *testing.T) {
	cfg := testConfig(t)
	cfg.Issuer = "https://auth.example.test"
	cfg.Development.InsecureExplain = true
	if _, err := jwtauth.New(cfg); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("got %v", err)
	}
	cfg.Development.InsecureExplain, cfg.Development.Enabled = false, true
	if _, err := jwtauth.New(cfg); err != nil {
		t.Errorf("the log alone: %v", err)
	}
}
