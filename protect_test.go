package jwtauth_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-jwtauth/jwtauth"
)

func TestProtect(t *testing.T) {
	a, _ := newAuth(t)
	user := register(t, a, "alice").AccessToken
	admin := register(t, a, "root1")
	if err := a.SetRoles(bg, admin.User.ID, "administrator"); err != nil {
		t.Fatal(err)
	}
	adminToken := login(t, a, "root1").AccessToken
	guarded := must(a.Protect(
		jwtauth.ProtectRule{Pattern: "GET /articles/", Public: true},
		jwtauth.ProtectRule{Pattern: "/articles/drafts/", Roles: []string{"editor"}}, // only what GET leaves
		jwtauth.ProtectRule{Pattern: "/admin/", Roles: []string{"administrator"}},
		jwtauth.ProtectRule{Pattern: "GET /{$}", Public: true},
		jwtauth.ProtectRule{Pattern: "/About", Public: true},
		jwtauth.ProtectRule{Pattern: "/Staff/", Roles: []string{"administrator"}},
		jwtauth.ProtectRule{Pattern: "/{section}/list", Public: true},
		jwtauth.ProtectRule{Pattern: "GET /files/{name}", Public: true},
		jwtauth.ProtectRule{Pattern: "/files/secret/", Roles: []string{"administrator"}},
	))(t)
	h := guarded(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, ok := jwtauth.FromContext(r.Context()); ok {
			w.Header().Set("X-User", id.UserID)
		}
	}))
	cases := []struct {
		name, method, path        string
		anonymous, user, adminest int
	}{
		{"public page", "GET", "/", 200, 200, 200},
		{"public below a path", "GET", "/articles/7", 200, 200, 200},
		{"first rule wins", "GET", "/articles/drafts/1", 200, 200, 200},
		{"same path, other method", "POST", "/articles/drafts/1", 401, 403, 403},
		{"no rule: logged in", "POST", "/articles/7", 401, 200, 200},
		{"no rule at all", "GET", "/anything", 401, 200, 200},
		{"role", "GET", "/admin/users", 401, 403, 200},
		{"role without the slash", "GET", "/admin", 401, 403, 200},
		{"single path", "GET", "/About", 200, 200, 200},
		{"single path with a slash", "GET", "/About/", 200, 200, 200},
		{"single path in lower case", "GET", "/about", 200, 200, 200},
		{"below a single path", "GET", "/About/us", 401, 200, 200},
		{"wildcard", "GET", "/files/Report", 200, 200, 200},
		{"wildcard, below", "GET", "/files/a/b", 401, 200, 200},
		{"subtree that a wildcard fits without its slash", "GET", "/files/secret", 401, 403, 200},
		{"subtree beside a wildcard", "GET", "/files/secret/", 401, 403, 200},
		{"another case than a stricter rule", "GET", "/STAFF/list", 401, 403, 200},
		{"the same case", "GET", "/Staff/list", 401, 403, 200},
		{"beside it, public", "GET", "/pages/list", 200, 200, 200},
		{"a path without end", "GET", "/pages/" + strings.Repeat("%2f..", 4000), 401, 403, 403},
		{"doubled slash", "GET", "//admin/users", 401, 403, 200},
		{"doubled slash inside", "GET", "/admin//users", 401, 403, 200},
		{"dot", "GET", "/./admin/users", 401, 403, 200},
		{"dots through a public path", "GET", "/articles/../admin/users", 401, 403, 200},
		{"encoded slash", "GET", "/admin%2fusers", 401, 403, 200},
		{"encoded slash in capitals", "GET", "/admin%2Fusers", 401, 403, 200},
		{"encoded letter", "GET", "/%61dmin/users", 401, 403, 200},
		{"encoded twice", "GET", "/%2561dmin/users", 401, 403, 200},
		{"encoded dots through a public path", "GET", "/articles/%2e%2e/admin/users", 401, 403, 200},
		{"encoded dots and slashes", "GET", "/articles%2f..%2fadmin%2fusers", 401, 403, 200},
		{"upper case", "GET", "/ADMIN/users", 401, 403, 200},
		{"backslash", "GET", `/articles/..%5cadmin%5cusers`, 401, 403, 200},
		{"encoded null", "GET", "/admin%00/users", 401, 200, 200},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			for who, want := range map[string]struct {
				token  string
				status int
			}{"anonymous": {"", tc.anonymous}, "user": {user, tc.user}, "administrator": {adminToken, tc.adminest}} {
				r := send(t, h, request{method: tc.method, path: tc.path, token: want.token})
				if r.status != want.status {
					t.Errorf("%s: %d, want %d", who, r.status, want.status)
				}
				if r.status == 200 && (r.header.Get("X-User") != "") != (want.token != "") {
					t.Errorf("%s: identity %q", who, r.header.Get("X-User"))
				}
			}
		})
	}
}

// Where readings fall under rules with different roles, both must be met.
func TestProtectMeetsBothRules(t *testing.T) {
	a, _ := newAuth(t)
	u := register(t, a, "alice").User
	guarded := must(a.Protect(
		jwtauth.ProtectRule{Pattern: "/a/", Roles: []string{"one", "both"}},
		jwtauth.ProtectRule{Pattern: "/b/", Roles: []string{"two", "both"}},
		jwtauth.ProtectRule{Pattern: "/c/", Roles: []string{"three"}},
	))(t)
	h := guarded(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for role, want := range map[string]int{"one": 403, "two": 403, "both": 200} {
		if err := a.SetRoles(bg, u.ID, role); err != nil {
			t.Fatal(err)
		}
		if r := send(t, h, request{method: "GET", path: "/a/..%2fb/x", token: login(t, a, "alice").AccessToken}); r.status != want {
			t.Errorf("%s on a path between both rules: %d, want %d", role, r.status, want)
		}
		if r := send(t, h, request{method: "GET", path: "/a/..%2fc/x", token: login(t, a, "alice").AccessToken}); r.status != 403 {
			t.Errorf("%s on a path that no role can have: %d", role, r.status)
		}
	}
}

func TestProtectRefusesBadRules(t *testing.T) {
	a, _ := newAuth(t)
	for _, rule := range []jwtauth.ProtectRule{{}, {Pattern: "admin"}, {Pattern: "GET|POST /x"}, {Pattern: "get /x"}, {Pattern: "/{a"},
		{Pattern: "/x", Public: true, Roles: []string{"a"}}, {Pattern: "/x", Roles: []string{"a b"}}} {
		if _, err := a.Protect(rule); err == nil {
			t.Errorf("accepted %+v", rule)
		}
	}
}

func FuzzProtect(f *testing.F) {
	a, _ := newAuth(f)
	guarded := must(a.Protect(jwtauth.ProtectRule{Pattern: "/admin/", Roles: []string{"administrator"}}, jwtauth.ProtectRule{Pattern: "/", Public: true}))(f)
	for _, p := range []string{"/admin/x", "//admin/x", "/%61dmin/", "/x/../admin/", "/ADMIN", "/a%2f..%2fadmin/", "/%", "/%zz", "/.", "/admin/.."} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		r, err := http.NewRequest("GET", "http://host.test"+p, nil)
		if err != nil {
			return
		}
		reached := false
		mux := http.NewServeMux()
		mux.HandleFunc("/admin/", func(http.ResponseWriter, *http.Request) { reached = true })
		guarded(mux).ServeHTTP(httptest.NewRecorder(), r)
		if reached {
			t.Fatalf("%q reached the guarded route", p)
		}
	})
}

func ExampleAuth_Protect() {
	auth := mailingAuth("https://auth.example.com", &postbox{}, nil)
	guarded, err := auth.Protect(
		jwtauth.ProtectRule{Pattern: "GET /articles/", Public: true},
		jwtauth.ProtectRule{Pattern: "/admin/", Roles: []string{"administrator"}},
	)
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux() // the host's own routes
	http.Handle("/", guarded(mux))
}
