package simplejwtlogin_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/compat"
	sjl "github.com/go-jwtauth/jwtauth/compat/simplejwtlogin"
)

func exampleAuth() *jwtauth.Auth {
	key, err := jwtauth.GenerateKey("ES256")
	if err != nil {
		panic(err)
	}
	keys, err := jwtauth.NewKeySet(key)
	if err != nil {
		panic(err)
	}
	auth, err := jwtauth.New(jwtauth.Config{Issuer: "https://example.com", Keys: keys, Store: jwtauth.NewMemoryStore(),
		Secret: []byte("32 random bytes of your own here"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	return auth
}

// A front end that was written for the plugin finds its routes where they were.
func ExampleNew() {
	auth := exampleAuth()
	api, err := sjl.New(auth, sjl.Config{Register: true, RegisterJWT: true, ResetPassword: true})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	compat.Mount(mux, "/wp-json", compat.Site{Auth: auth, URL: "https://example.com",
		Namespaces: map[string]http.Handler{"simple-jwt-login/v1": api.Handler()}})

	for _, request := range []string{
		"/?rest_route=/simple-jwt-login/v1/users&email=anna@example.com&password=a-long-one-of-her-own",
		"/wp-json/simple-jwt-login/v1/auth?email=anna@example.com&password=wrong",
	} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("POST", request, nil))
		fmt.Println(w.Code, strings.Contains(w.Body.String(), `"jwt":"ey`))
	}
	// Output:
	// 200 true
	// 400 false
}

// The host's own routes follow rules, and answer as the plugin does.
func ExampleAPI_Protect() {
	api, err := sjl.New(exampleAuth(), sjl.Config{})
	if err != nil {
		panic(err)
	}
	guard, err := api.Protect("/wp-json",
		jwtauth.ProtectRule{Pattern: "GET /wp-json/wp/v2/posts/", Public: true},
		jwtauth.ProtectRule{Pattern: "/wp-json/wp/v2/settings", Roles: []string{"administrator"}})
	if err != nil {
		panic(err)
	}
	h := guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "[]") }))
	for _, path := range []string{"/wp-json/wp/v2/posts/", "/wp-json/wp/v2/settings"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		fmt.Println(w.Code)
	}
	// Output:
	// 200
	// 403
}

// Anybody who holds a valid token is known to the host's handlers; one that is
// not valid is refused.
func ExampleAPI_Authenticate() {
	api, err := sjl.New(exampleAuth(), sjl.Config{})
	if err != nil {
		panic(err)
	}
	h := api.Authenticate(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, known := jwtauth.FromContext(r.Context())
		fmt.Fprint(w, known)
	}))
	for _, path := range []string{"/", "/?JWT=forged"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		fmt.Println(w.Code)
	}
	// Output:
	// 200
	// 400
}
