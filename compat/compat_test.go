package compat_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/authtest"
	"github.com/go-jwtauth/jwtauth/compat"
)

func newAuth(t testing.TB) *jwtauth.Auth {
	t.Helper()
	return authtest.New(t, func(cfg *jwtauth.Config) { cfg.CORS.Origins = []string{"https://app.example.test"} }).Auth
}

// echo tells what reaches a namespace.
func echo(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s?%s", name, r.Method, r.URL.Path, r.URL.RawQuery)
	})
}

func mount(t testing.TB) http.Handler {
	t.Helper()
	a := newAuth(t)
	mux := http.NewServeMux()
	compat.Mount(mux, "/wp-json", compat.Site{Auth: a, URL: "https://auth.example.test/", Name: "Test", Home: echo("home"),
		Namespaces: map[string]http.Handler{
			"a/v1": echo("a"), "a/v1/deep": echo("deep"), "a": echo("short"), "headlesskey/v1": compat.Native(a)}})
	return mux
}

func get(h http.Handler, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

func TestAddresses(t *testing.T) {
	h := mount(t)
	for _, tc := range []struct {
		name, target, want string // "": unknown route
	}{
		{"pretty", "/wp-json/a/v1/token", "a GET /token?"},
		{"pretty with a query", "/wp-json/a/v1/token?x=1&y=%20", "a GET /token?x=1&y=%20"},
		{"pretty with a slash at its end", "/wp-json/a/v1/token/", "a GET /token?"},
		{"parameter", "/?rest_route=/a/v1/token", "a GET /token?"},
		{"parameter, escaped", "/?rest_route=%2Fa%2Fv1%2Ftoken", "a GET /token?"},
		{"parameter, its name escaped", "/?rest%5Froute=/a/v1/token", "a GET /token?"},
		{"parameter with a slash at its end", "/?rest_route=/a/v1/token/", "a GET /token?"},
		{"parameter among others, which stay as they are", "/?x=%20&rest_route=/a/v1/token&y=a+b&&z", "a GET /token?x=%20&y=a+b&&z"},
		{"parameter at index.php", "/index.php?rest_route=/a/v1/token&x=1", "a GET /token?x=1"},
		{"namespace within another", "/wp-json/a/v1/deep/x", "deep GET /x?"},
		{"namespace that begins another", "/wp-json/a/x", "short GET /x?"},
		{"parameter with a shorter name", "/?rest_route=/a/x", "short GET /x?"},
		{"home", "/", "home GET /?"},
		{"home with another parameter", "/?route=/a/v1/token", "home GET /?route=/a/v1/token"},
		{"home with an empty one", "/index.php?rest_route=", "home GET /index.php?rest_route="},

		{"unknown namespace", "/wp-json/b/v1/token", ""},
		{"name that continues", "/wp-json/ab/x", ""},
		{"upper case", "/wp-json/A/v1/token", ""},
		{"escaped letter", "/wp-json/a/v1/%74oken", ""},
		{"escaped slash", "/wp-json/a/v1%2Ftoken", ""},
		{"parameter without its first slash", "/?rest_route=a/v1/token", ""},
		{"parameter, doubled slash", "/?rest_route=/a/v1//token", ""},
		{"parameter, doubled slash in front", "/?rest_route=//a/v1/token", ""},
		{"parameter, dots", "/?rest_route=/a/v1/x/../token", ""},
		{"parameter, two slashes at its end", "/?rest_route=/a/v1/token//", ""},
		{"parameter, backslash", `/?rest_route=/a/v1%5Ctoken`, ""},
		{"parameter, escaped twice", "/?rest_route=/a/v1/%2574oken", "a GET /%74oken?"},
		{"parameter that can't be decoded", "/?rest_route=/a/v1/%zz", "a GET /%zz?"},
		{"parameter twice", "/?rest_route=/a/v1/token&rest_route=/a/x", ""},
		{"parameter twice, alike", "/?rest_route=/a/v1/token&rest_route=/a/v1/token", ""},
		{"parameter beside a path", "/wp-json/a/v1/token?rest_route=/a/x", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := get(h, "GET", tc.target)
			if got := w.Body.String(); tc.want != "" && got != tc.want {
				t.Errorf("answered %d %q, want %q", w.Code, got, tc.want)
			}
			if tc.want == "" && (w.Code != 404 || !strings.HasPrefix(w.Body.String(), `{"code":"rest_no_route"`)) {
				t.Errorf("answered %d %s, want an unknown route", w.Code, w.Body)
			}
		})
	}
	// A path that the mux cleans up is redirected to the one that is judged.
	for target, clean := range map[string]string{"//wp-json/a/v1/token": "/wp-json/a/v1/token", "/wp-json/a/v1/../v1/token": "/wp-json/a/v1/token"} {
		if w := get(h, "GET", target); w.Code != 404 && w.Header().Get("Location") != clean {
			t.Errorf("%s answered %d %v", target, w.Code, w.Header())
		}
	}
}

// A page cannot pass a rule for one method with another.
func TestMethodIsTheOneOfTheRequestLine(t *testing.T) {
	h := mount(t)
	r := httptest.NewRequest("POST", "/?rest_route=/a/v1/users&_method=DELETE", nil)
	r.Header.Set("X-HTTP-Method-Override", "DELETE")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if got := w.Body.String(); !strings.HasPrefix(got, "a POST /users?") {
		t.Errorf("answered %q", got)
	}
}

func TestIndex(t *testing.T) {
	h := mount(t)
	for _, target := range []string{"/wp-json", "/wp-json/", "/?rest_route=/", "/index.php?rest_route=/"} {
		w := get(h, "GET", target)
		var index struct {
			Name, URL  string
			Namespaces []string
			Routes     map[string]struct {
				Namespace string
				Methods   []string
			}
		}
		if err := json.Unmarshal(w.Body.Bytes(), &index); err != nil || w.Code != 200 {
			t.Fatalf("%s answered %d %s", target, w.Code, w.Body)
		}
		if index.Name != "Test" || index.URL != "https://auth.example.test" || strings.Join(index.Namespaces, " ") != "a a/v1 a/v1/deep headlesskey/v1" {
			t.Errorf("%s: %+v", target, index)
		}
		for route, methods := range map[string]string{"/": "GET", "/a/v1": "GET", "/headlesskey/v1/token": "POST", "/headlesskey/v1/me": "DELETE GET",
			"/headlesskey/v1/sessions/(?P<id>[^/]+)": "DELETE"} {
			if got := strings.Join(index.Routes[route].Methods, " "); got != methods {
				t.Errorf("%s: %s has methods %q, want %q", target, route, got, methods)
			}
		}
	}
	if w := get(h, "GET", "/wp-json/headlesskey/v1/"); w.Code != 200 || !strings.HasPrefix(w.Body.String(), `{"namespace":"headlesskey/v1","routes":{"/headlesskey/v1"`) {
		t.Errorf("a namespace answered %d %s", w.Code, w.Body)
	}
	for method, want := range map[string]int{"POST": 404, "DELETE": 404, "HEAD": 200, "OPTIONS": 200} {
		if w := get(h, method, "/wp-json/"); w.Code != want {
			t.Errorf("%s of the index: %d", method, w.Code)
		}
	}
}

func TestHeaders(t *testing.T) {
	h := mount(t)
	for _, target := range []string{"/wp-json/headlesskey/v1/me", "/wp-json/b/x", "/?rest_route=/headlesskey/v1/me"} {
		r := httptest.NewRequest("GET", target, nil)
		r.Header.Set("Origin", "https://app.example.test")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		for name, want := range map[string]string{
			"X-Robots-Tag": "noindex", "X-Content-Type-Options": "nosniff", "Link": `<https://auth.example.test/wp-json/>; rel="https://api.w.org/"`,
			"Access-Control-Allow-Origin": "https://app.example.test", "Cache-Control": "no-store",
		} {
			if got := w.Header().Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s is %q, want %q", target, name, got, want)
			}
		}
	}
}

func TestPreflight(t *testing.T) {
	h := mount(t)
	for _, tc := range []struct {
		method, target, origin string
		allowed                bool
	}{
		{"PUT", "/wp-json/a/v1/user/reset_password", "https://app.example.test", true},
		{"DELETE", "/?rest_route=/a/v1/users", "https://app.example.test", true},
		{"DELETE", "/index.php?rest_route=/a/v1/users", "https://app.example.test", true},
		{"POST", "/wp-json/headlesskey/v1/token", "https://app.example.test", true},
		{"DELETE", "/wp-json/a/v1/users", "https://evil.example.test", false},
		{"BREW", "/wp-json/a/v1/users", "https://app.example.test", false},
	} {
		r := httptest.NewRequest("OPTIONS", tc.target, nil)
		r.Header.Set("Origin", tc.origin)
		r.Header.Set("Access-Control-Request-Method", tc.method)
		r.Header.Set("Access-Control-Request-Headers", "authorization,content-type")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := w.Header().Get("Access-Control-Allow-Methods") == tc.method; got != tc.allowed {
			t.Errorf("%s %s from %s: allowed %v, headers %v", tc.method, tc.target, tc.origin, got, w.Header())
		}
		if strings.Contains(w.Body.String(), "a OPTIONS") {
			t.Errorf("%s %s: the preflight reached the route", tc.method, tc.target)
		}
	}
}

// The native API answers at both addresses alike, with or without a slash.
func TestNative(t *testing.T) {
	h := mount(t)
	post := func(target, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", target, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	if w := post("/wp-json/headlesskey/v1/register", `{"username":"alice","email":"alice@example.test","password":"correct horse battery"}`); w.Code != 200 {
		t.Fatalf("register: %d %s", w.Code, w.Body)
	}
	for _, target := range []string{"/wp-json/headlesskey/v1/token", "/wp-json/headlesskey/v1/token/", "/?rest_route=/headlesskey/v1/token", "/index.php?rest_route=/headlesskey/v1/token/"} {
		if w := post(target, `{"username":"alice","password":"correct horse battery"}`); w.Code != 200 {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
	if w := post("/?rest_route=/headlesskey/v1/nowhere", "{}"); w.Code != 404 || !strings.Contains(w.Body.String(), `"rest_no_route"`) {
		t.Errorf("unknown route: %d %s", w.Code, w.Body)
	}
}

func TestMistakesPanic(t *testing.T) {
	a := newAuth(t)
	for name, f := range map[string]func(mux *http.ServeMux){
		"no Auth":             func(mux *http.ServeMux) { compat.Mount(mux, "/wp-json", compat.Site{}) },
		"prefix with a slash": func(mux *http.ServeMux) { compat.Mount(mux, "/wp-json/", compat.Site{Auth: a}) },
		"prefix without one":  func(mux *http.ServeMux) { compat.Mount(mux, "wp-json", compat.Site{Auth: a}) },
		"empty prefix":        func(mux *http.ServeMux) { compat.Mount(mux, "", compat.Site{Auth: a}) },
		"prefix with a pattern": func(mux *http.ServeMux) {
			compat.Mount(mux, "/{x}", compat.Site{Auth: a})
		},
		"namespace with a slash in front": func(mux *http.ServeMux) {
			compat.Mount(mux, "/wp-json", compat.Site{Auth: a, Namespaces: map[string]http.Handler{"/a/v1": echo("a")}})
		},
		"namespace without a handler": func(mux *http.ServeMux) {
			compat.Mount(mux, "/wp-json", compat.Site{Auth: a, Namespaces: map[string]http.Handler{"a/v1": nil}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if p := fmt.Sprint(recover()); !strings.HasPrefix(p, "jwtauth: compat.Mount: ") {
					t.Errorf("panicked with %q", p)
				}
			}()
			f(http.NewServeMux())
		})
	}
}

// FuzzAddress: both forms of an address reach the same route, or none.
func FuzzAddress(f *testing.F) {
	for _, route := range []string{"/a/v1/token", "/a/v1/token/", "//a", "/a/../a/v1", "/a%2Fv1", `/a\v1`, "/A/v1/x"} {
		f.Add(route)
	}
	h := mount(f)
	f.Fuzz(func(t *testing.T, route string) {
		r, err := http.NewRequest("GET", "http://x/", nil)
		if err != nil || strings.Contains(route, "headlesskey") {
			return
		}
		r.URL.RawQuery = "rest_route=" + strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(route, "%", "%25"), "&", "%26"), "+", "%2B")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code == 200 && strings.HasPrefix(w.Body.String(), "a GET") && !strings.HasPrefix(route, "/a/v1/") {
			t.Fatalf("%q reached %s", route, w.Body)
		}
	})
}
