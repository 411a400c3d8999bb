package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jwtauth/jwtauth"
)

// at is the address of a route in both forms.
func (s *server) at(form, route string) string {
	if form == "query" {
		return s.base + "/?rest_route=" + route
	}
	return s.base + "/wp-json" + route
}

func TestUsersMe(t *testing.T) {
	for _, tc := range []struct {
		name, config, token string // token: good, bad or none
		status              int
		code                string
	}{
		{"anonymous", `{}`, "none", 401, "rest_not_logged_in"},
		{"logged in", `{}`, "good", 200, ""},
		{"bad token is anonymous", `{}`, "bad", 401, "rest_not_logged_in"},
		{"anonymous with pro", `{"jwt_auth":{"mode":"pro"}}`, "none", 401, "rest_not_logged_in"},
		{"bad token with pro is anonymous", `{"jwt_auth":{"mode":"pro"}}`, "bad", 401, "rest_not_logged_in"},
		{"anonymous with free", `{"jwt_auth":{}}`, "none", 401, "rest_not_logged_in"},
		{"bad token with free refused", `{"jwt_auth":{"mode":"free"}}`, "bad", 403, "jwt_auth_invalid_token"},
		{"logged in with free", `{"jwt_auth":{"mode":"free"}}`, "good", 200, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := start(t, with(t, tc.config), environment())
			token := map[string]string{"good": s.john(t), "bad": "a.b.c"}[tc.token]
			for _, form := range []string{"path", "query"} {
				for _, method := range []string{"GET", "POST"} {
					r := want(t, send(t, method, s.at(form, "/wp/v2/users/me"), "", token), tc.status, tc.code)
					if tc.status == 200 && (r.at("id") != 1.0 || r.str("name") != "John Doe" || r.str("slug") != "johndoe" || r.str("email") != "john@example.com") {
						t.Errorf("answered %s", r.text)
					}
				}
			}
		})
	}
}

func TestNamespaces(t *testing.T) {
	for _, tc := range []struct{ config, mounted, absent string }{
		{`{}`, "headlesskey/v1 wpauthapi/v1 wp/v2", "jwt-auth/v1"},
		{`{"namespace":"my/api","jwt_auth":{}}`, "my/api jwt-auth/v1 wp/v2", "headlesskey/v1 wpauthapi/v1"},
	} {
		s := start(t, with(t, tc.config), environment())
		index := send(t, "GET", s.base+"/wp-json", "", "")
		var names []string
		for _, v := range index.at("namespaces").([]any) {
			names = append(names, fmt.Sprint(v))
		}
		for name := range strings.FieldsSeq(tc.mounted) {
			if !strings.Contains(" "+strings.Join(names, " ")+" ", " "+name+" ") {
				t.Errorf("%s: %s is not among %v", tc.config, name, names)
			}
			want(t, send(t, "GET", s.base+"/wp-json/"+name, "", ""), 200, "")
		}
		for name := range strings.FieldsSeq(tc.absent) {
			want(t, send(t, "POST", s.base+"/wp-json/"+name+"/token", "{}", ""), 404, "rest_no_route")
		}
	}
}

// With jwt_auth tokens of the free plugin live for a week, as its clients expect;
// all others keep their life.
func TestTokensOfTheDialectLiveLonger(t *testing.T) {
	for config, want := range map[string][2]float64{
		`{"jwt_auth":{}}`: {7 * 24 * 3600, 3600},
		`{"jwt_auth":{"mode":"free","ttl_minutes":1440}}`: {24 * 3600, 3600},
		`{"jwt_auth":{"mode":"pro"}}`:                     {3600, 3600},
		`{"jwt_auth":{"mode":"pro","ttl_minutes":5}}`:     {300, 3600},
	} {
		a := testApp(t, with(t, config), options{})
		john, err := a.auth.Register(t.Context(), jwtauth.Registration{Username: "johndoe", Email: "john@example.com", Password: "secure-password"})
		if err != nil {
			t.Fatal(err)
		}
		w := serveJSON(a.handler, "POST", "/wp-json/jwt-auth/v1/token", loginJohn)
		token, _ := w.at("token").(string)
		for i, token := range []string{token, john.AccessToken} {
			id, err := a.auth.Verify(t.Context(), token)
			if err != nil {
				t.Fatalf("%s: %v", config, err)
			}
			if got := id.Claims.ExpiresAt.Sub(id.Claims.IssuedAt).Seconds(); got != want[i] {
				t.Errorf("%s: token %d lives %v s, want %v", config, i, got, want[i])
			}
		}
	}
}

func TestDialectConfigRefused(t *testing.T) {
	for config, say := range map[string]string{
		`{"jwt_auth":{"mode":"premium"}}`:                   "jwt_auth.mode",
		`{"jwt_auth":{"modus":"pro"}}`:                      "modus",
		`{"jwt_auth":{"ttl_minutes":-1}}`:                   "jwt_auth.ttl_minutes",
		`{"jwt_auth":{"ttl_minutes":44641}}`:                "jwt_auth.ttl_minutes",
		`{"namespace":"jwt-auth/v1","jwt_auth":{}}`:         "jwt-auth/v1",
		`{"namespace":"wp/v2"}`:                             "wp/v2",
		`{"jwt_auth":{"mode":"pro"},"roles":{"x":"admin"}}`: `"x"`,
	} {
		_, err := newApp(t.Context(), options{db: "memory", config: write(t, with(t, config))}, "http://127.0.0.1:8080", environment(), quiet)
		if err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%s: %v, want an error about %s", config, err, say)
		}
	}
}

// What the addresses of WordPress allow does not reach further.
func TestOtherRoutesHaveOneAddress(t *testing.T) {
	s := start(t, quick, environment())
	want(t, send(t, "GET", s.base+"/?rest_route=/hello", "", s.john(t)), 404, "rest_no_route")
	if r := do(t, "GET", s.base+"/", "", http.Header{}); r.status != 404 {
		t.Errorf("the home page answered %d", r.status)
	}
}
