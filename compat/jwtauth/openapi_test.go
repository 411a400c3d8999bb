package jwtauth_test

import (
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/go-jwtauth/jwtauth"
	wpjwt "github.com/go-jwtauth/jwtauth/compat/jwtauth"
	"github.com/go-jwtauth/jwtauth/docs/openapi"
	"github.com/go-jwtauth/jwtauth/internal/exchange"
)

// An operation is called as its route, in the spelling of programs: adminList
// for admin-list.
func TestOpenAPIDocumentHasTheRoutes(t *testing.T) {
	got := exchange.ParseDocument(t, openapi.JWTAuth()).IDs(t)
	want := map[string]string{}
	for _, r := range newKit(t, wpjwt.Config{Mode: wpjwt.Pro}).api.Routes() {
		first, rest, _ := strings.Cut(r.Name, "-")
		if rest != "" {
			first += strings.ToUpper(rest[:1]) + rest[1:]
		}
		want[r.Method+" "+r.Path] = first
	}
	if !maps.Equal(got, want) {
		t.Errorf("the document has\n%v, the routes are\n%v", got, want)
	}
	for _, r := range newKit(t, wpjwt.Config{}).api.Routes() {
		if want[r.Method+" "+r.Path] == "" {
			t.Errorf("the free plugin has %s %s, and Pro has not", r.Method, r.Path)
		}
	}
}

func TestOpenAPIDocumentHasTheExchanges(t *testing.T) {
	if n := exchange.ParseDocument(t, openapi.JWTAuth()).Check(t, "testdata", "/wp-json/jwt-auth/v1"); n < 100 {
		t.Errorf("only %d answers were compared", n)
	}
}

func TestOpenAPIDocumentIsServed(t *testing.T) {
	for _, mode := range []wpjwt.Mode{wpjwt.Free, wpjwt.Pro} {
		k := newKit(t, wpjwt.Config{Mode: mode}, func(cfg *jwtauth.Config) { cfg.Limits.Disabled = false })
		for _, target := range []string{"/wp-json/jwt-auth/v1/openapi.json", "/?rest_route=/jwt-auth/v1/openapi.json"} {
			w := httptest.NewRecorder()
			k.handler.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
			if w.Code != 200 || !slices.Equal(w.Body.Bytes(), openapi.JWTAuth()) {
				t.Errorf("%s answered %d with %d bytes", target, w.Code, w.Body.Len())
			}
			for name, want := range map[string]string{"Content-Type": "application/json; charset=UTF-8", "Cache-Control": "public, max-age=300",
				"X-Content-Type-Options": "nosniff", "X-RateLimit-Limit": ""} {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
		}
		if list := must(k.auth.Events(bg, jwtauth.EventFilter{}))(t); len(list) != 0 {
			t.Errorf("reading the document left the records %v", list)
		}
	}
}

func TestOpenAPIDocumentCanBeSwitchedOff(t *testing.T) {
	k := newKit(t, wpjwt.Config{Access: jwtauth.AccessConfig{Endpoints: map[string]jwtauth.AccessRule{"openapi": {Off: true}}}})
	if w := k.send("GET", "/jwt-auth/v1/openapi.json", "", ""); w.Code != 404 || !strings.Contains(w.Body.String(), `"rest_no_route"`) {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
}
