package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-jwtauth/jwtauth/authtest"
)

// newSite returns the site and a token for each role.
func newSite(t *testing.T) (http.Handler, map[string]string) {
	t.Helper()
	auth := authtest.New(t).Auth
	tokens := map[string]string{"": ""}
	for _, role := range []string{"subscriber", "editor", "administrator"} {
		tokens[role] = authtest.SignIn(t, auth, role).AccessToken
	}
	h, err := site(auth)
	if err != nil {
		t.Fatal(err)
	}
	return h, tokens
}

func TestRulesDecideWhoGetsIn(t *testing.T) {
	h, tokens := newSite(t)
	for _, tc := range []struct {
		method, path, role string
		want               int
	}{
		{"GET", "/articles/one", "", 200},
		{"GET", "/articles/one", "subscriber", 200},
		{"PUT", "/articles/one", "", 401},
		{"PUT", "/articles/one", "subscriber", 403},
		{"PUT", "/articles/one", "editor", 200},
		{"GET", "/desk/", "editor", 403},
		{"GET", "/desk/", "administrator", 200},
		// A mux leads to the clean path, where the rules wait.
		{"GET", "/desk//", "editor", 307},
		{"GET", "//desk/", "editor", 307},
		{"GET", "/DESK/", "editor", 403},
		{"GET", "/%64esk/", "editor", 403},
		{"GET", "/articles/../desk/", "editor", 307},
		{"GET", "/notes", "", 401},
		{"GET", "/notes", "subscriber", 200},
		{"GET", "/what/nobody/thought/of", "", 401},
		{"GET", "/auth/.well-known/jwks.json", "", 200},
	} {
		r := httptest.NewRequest(tc.method, tc.path, nil)
		if token := tokens[tc.role]; token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tc.want {
			t.Errorf("%s %s as %q: %d, want %d", tc.method, tc.path, tc.role, w.Code, tc.want)
		}
	}
}
