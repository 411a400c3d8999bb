// Package routertest checks that a router has the API of jwtauth below /auth, and
// a route /hello for everybody who is logged in and one /admin for administrators.
package routertest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/authtest"
)

// Do answers one request.
type Do func(*http.Request) (*http.Response, error)

// Handler is a Do of a handler of net/http.
func Handler(h http.Handler) Do {
	return func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result(), nil
	}
}

// Run registers through the API, and tries the routes as a stranger, a user and
// an administrator.
func Run(t *testing.T, router func(*jwtauth.Auth) Do) {
	site := authtest.New(t)
	do := router(site.Auth)
	registered := send(t, do, "POST", "/auth/register", "", `{"username":"ada","email":"ada@example.com","password":"a long pass phrase"}`)
	var body struct {
		UserID        json.Number `json:"user_id"`
		TokenResponse struct {
			Token string `json:"token"`
		} `json:"token_response"`
	}
	if err := json.Unmarshal([]byte(registered.text), &body); err != nil || registered.status != http.StatusOK {
		t.Fatalf("register: %d %s", registered.status, registered.text)
	}
	user, admin := body.TokenResponse.Token, authtest.SignIn(t, site.Auth, "administrator").AccessToken
	session := authtest.SignIn(t, site.Auth)
	for _, tc := range []struct {
		name, method, path, token string
		status                    int
		text                      string
	}{
		{"stranger", "GET", "/hello", "", 401, "missing_token"},
		{"forgery", "GET", "/hello", site.Forged(t), 401, "jwt_auth_invalid_token"},
		{"user", "GET", "/hello", user, 200, "hello " + body.UserID.String()},
		{"user among administrators", "GET", "/admin", user, 403, "rest_forbidden"},
		{"administrator", "GET", "/admin", admin, 200, "hello "},
		{"me", "GET", "/auth/me", user, 200, "ada@example.com"},
		{"a route with a parameter", "DELETE", "/auth/sessions/" + session.Session.ID, session.AccessToken, 200, "Session ended."},
		{"wrong method", "GET", "/auth/token", "", 405, "method_not_allowed"},
		{"no such route", "GET", "/auth/nothing", "", 404, "rest_no_route"},
	} {
		r := send(t, do, tc.method, tc.path, tc.token, "")
		if r.status != tc.status || !strings.Contains(r.text, tc.text) {
			t.Errorf("%s: %d %s, want %d %s", tc.name, r.status, r.text, tc.status, tc.text)
		}
	}
}

type answer struct {
	status int
	text   string
}

func send(t *testing.T, do Do, method, path, token, body string) answer {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, string(text)}
}
