package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-jwtauth/jwtauth"
)

// newSite returns the site and a token for each role.
func newSite(t *testing.T) (http.Handler, map[string]string) {
	t.Helper()
	key, err := jwtauth.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := jwtauth.NewKeySet(key)
	if err != nil {
		t.Fatal(err)
	}
	auth, err := jwtauth.New(jwtauth.Config{
		Issuer: "http://localhost:8080", Keys: keys, Secret: []byte("4be0c5f2179d46a38e1fc7a05d9b2e68"), Store: jwtauth.NewMemoryStore(),
		Passwords: jwtauth.PasswordConfig{Memory: 64, Time: 1, InsecureForTests: true}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	tokens := map[string]string{"": ""}
	for _, role := range []string{"subscriber", "editor", "administrator"} {
		u, err := auth.CreateUser(t.Context(), jwtauth.Registration{Email: role + "@example.com", Password: "a long pass phrase", Roles: []string{role}})
		if err != nil {
			t.Fatal(err)
		}
		g, err := auth.Issue(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		tokens[role] = g.AccessToken
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
