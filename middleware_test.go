package jwtauth_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// Who calls is made out when it is asked for, and stays the same.
func TestClientOfARequestIsOne(t *testing.T) {
	a, _ := newAuth(t)
	token := register(t, a, "alice").AccessToken
	inner := a.Authenticate(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		clients := make([]jwtauth.Client, 8)
		var wg sync.WaitGroup
		for i := range clients {
			wg.Go(func() { clients[i] = jwtauth.ClientFrom(ctx) })
		}
		wg.Wait()
		for _, c := range clients {
			if c != clients[0] || len(c.RequestID) < 16 || c.IP.String() != "192.0.2.1" || c.UserAgent != "agent" || c.DeviceID != "phone" || c.DeviceToken != "proof" {
				t.Errorf("client = %+v, want %+v", c, clients[0])
			}
		}
	}))
	header := http.Header{"User-Agent": {"agent"}, "X-Device-Id": {"phone"}, "X-Device-Token": {"proof"}}
	for name, h := range map[string]http.Handler{"once": inner, "stacked": a.Require(a.RequireRole("subscriber")(inner))} {
		t.Run(name, func(t *testing.T) {
			if r := send(t, h, request{method: "GET", path: "/", token: token, header: header}); r.status != http.StatusOK {
				t.Error(r.status)
			}
		})
	}
}

func TestClientThatTheHostSetStays(t *testing.T) {
	a, _ := newAuth(t)
	h := a.Authenticate(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if c := jwtauth.ClientFrom(r.Context()); c.RequestID != "host" {
			t.Errorf("request id %q", c.RequestID)
		}
	}))
	send(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(jwtauth.WithClient(r.Context(), jwtauth.Client{RequestID: "host"})))
	}), request{method: "GET", path: "/"})
}

// A context that is logged must not show the token of its request.
func TestContextShowsNoToken(t *testing.T) {
	a, _ := newAuth(t)
	token := register(t, a, "alice").AccessToken
	type key struct{}
	h := a.Require(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for _, ctx := range []context.Context{r.Context(), context.WithValue(r.Context(), key{}, 1)} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
				if s := fmt.Sprintf(verb, ctx); strings.Contains(s, token) || strings.Contains(s, "Authorization") {
					t.Errorf("%s shows %s", verb, s)
				}
			}
		}
	}))
	send(t, h, request{method: "GET", path: "/", token: token})
}

// Authenticate hides an identity that another Auth has set; what only limits
// leaves it alone, and so does the API.
func TestIdentityOfAnotherAuth(t *testing.T) {
	outer, _ := newAuth(t)
	other, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Issuer, cfg.Limits.Disabled = "https://other.example.test", false })
	token := register(t, outer, "alice").AccessToken
	var seen bool
	read := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, seen = jwtauth.FromContext(r.Context()) })
	limit := other.RateLimit("x", jwtauth.Rule{Limit: 5, Per: time.Minute})
	for name, tc := range map[string]struct {
		inner http.Handler
		want  bool
	}{
		"hidden by Authenticate":       {other.Authenticate(read), false},
		"kept by RateLimit":            {limit(read), true},
		"hidden within a limit":        {limit(other.Authenticate(read)), false},
		"hidden, and still so limited": {other.Authenticate(limit(read)), false},
		"found again by its own Auth":  {limit(outer.Require(read)), true},
	} {
		t.Run(name, func(t *testing.T) {
			seen = !tc.want
			if send(t, outer.Require(tc.inner), request{method: "GET", path: "/", token: token}); seen != tc.want {
				t.Errorf("identity seen: %t, want %t", seen, tc.want)
			}
		})
	}
}

// A handler that takes tokens from elsewhere says who it was.
func TestWithIdentity(t *testing.T) {
	a, _ := newAuth(t)
	want := must(a.Verify(bg, register(t, a, "alice").AccessToken))(t)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if id, ok := jwtauth.FromContext(r.Context()); !ok || id.UserID != want.UserID || id.TokenID != want.TokenID {
				t.Errorf("identified %+v, %v", id, ok)
			}
		})).ServeHTTP(w, a.WithIdentity(r, want))
	})
	if r := send(t, h, request{method: "GET", path: "/"}); r.status != 200 {
		t.Errorf("answered %d %s", r.status, r.text)
	}
}
