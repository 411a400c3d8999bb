package simplejwtlogin_test

import (
	"maps"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/go-jwtauth/jwtauth"
	sjl "github.com/go-jwtauth/jwtauth/compat/simplejwtlogin"
	"github.com/go-jwtauth/jwtauth/docs/openapi"
	"github.com/go-jwtauth/jwtauth/internal/exchange"
)

func TestOpenAPIDocumentHasTheRoutes(t *testing.T) {
	got := slices.Sorted(maps.Keys(exchange.ParseDocument(t, openapi.SimpleJWTLogin()).IDs(t)))
	routes := func(v sjl.Version) (list []string) {
		for _, r := range newKit(t, everything(v)).api.Routes() {
			list = append(list, r.Method+" "+r.Path)
		}
		slices.Sort(list)
		return list
	}
	want := routes(sjl.V3)
	if !slices.Equal(got, want) {
		t.Errorf("the document has\n%v, the routes are\n%v", got, want)
	}
	want = slices.DeleteFunc(want, func(route string) bool { return route == "POST /register" })
	if got := routes(sjl.V4); !slices.Equal(got, want) {
		t.Errorf("V4 has\n%v, V3\n%v", got, want)
	}
}

func TestOpenAPIDocumentHasTheExchanges(t *testing.T) {
	if n := exchange.ParseDocument(t, openapi.SimpleJWTLogin()).Check(t, "testdata", namespace); n < 300 {
		t.Errorf("only %d answers were compared", n)
	}
}

func TestOpenAPIDocumentIsServed(t *testing.T) {
	for _, v := range []sjl.Version{sjl.V3, sjl.V4} {
		k := newKit(t, sjl.Config{Version: v}, func(cfg *jwtauth.Config) { cfg.Limits.Disabled = false })
		for _, target := range []string{namespace + "/openapi.json", "/?rest_route=/simple-jwt-login/v1/openapi.json"} {
			a := k.do(t, httptest.NewRequest("GET", target, nil))
			if a.status != 200 || a.text != string(openapi.SimpleJWTLogin()) {
				t.Errorf("%s answered %d with %d bytes", target, a.status, len(a.text))
			}
			for name, want := range map[string]string{"Content-Type": "application/json; charset=UTF-8", "Cache-Control": "public, max-age=300",
				"X-Content-Type-Options": "nosniff", "X-RateLimit-Limit": ""} {
				if got := a.header.Get(name); got != want {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
		}
		if list := must(k.auth.Events(bg, jwtauth.EventFilter{}))(t); len(list) != 0 {
			t.Errorf("reading the document left the records %v", list)
		}
	}
}

func TestOpenAPIDocumentCanBeRestricted(t *testing.T) {
	for name, tc := range map[string]struct {
		rule   jwtauth.AccessRule
		status int
		number int
	}{
		"switched off":      {jwtauth.AccessRule{Off: true}, 404, 0},
		"for other callers": {jwtauth.AccessRule{AllowIPs: []string{"10.0.0.0/8"}}, 403, 41},
		"with a code":       {jwtauth.AccessRule{Code: true}, 422, 94},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := sjl.Config{Version: sjl.V4}
			cfg.Access = jwtauth.AccessConfig{Endpoints: map[string]jwtauth.AccessRule{"openapi": tc.rule}}
			if tc.rule.Code {
				cfg.Access.Codes = codes()
			}
			if a := newKit(t, cfg).send(t, "GET", "/openapi.json", nil); a.status != tc.status || a.number() != tc.number {
				t.Errorf("answered %d %s", a.status, a.text)
			}
		})
	}
}
