package compat_test

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/compat"
)

// The native API under the addresses of WordPress, beside a route of the host's.
func ExampleMount() {
	key, err := jwtauth.GenerateKey("ES256")
	if err != nil {
		panic(err)
	}
	keys, err := jwtauth.NewKeySet(key)
	if err != nil {
		panic(err)
	}
	auth, err := jwtauth.New(jwtauth.Config{
		Issuer: "https://auth.example.com",
		Keys:   keys,
		Secret: []byte(rand.Text() + rand.Text()), // the same at each start, in a real program
		Store:  jwtauth.NewMemoryStore(),
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	host := http.NewServeMux()
	host.Handle("GET /posts", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		compat.WriteJSON(w, http.StatusOK, []string{"Hello world!"})
	}))
	mux := http.NewServeMux()
	compat.Mount(mux, "/wp-json", compat.Site{
		Auth: auth,
		URL:  "https://auth.example.com",
		Namespaces: map[string]http.Handler{
			"headlesskey/v1": compat.Native(auth),
			"wpauthapi/v1":   compat.Native(auth), // what older clients call it
			"host/v1":        host,
		},
	})

	for _, target := range []string{"/wp-json/host/v1/posts", "/?rest_route=/host/v1/posts/", "/wp-json/wpauthapi/v1/me"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
		fmt.Print(w.Code, " ", w.Body)
	}
	// Output:
	// 200 ["Hello world!"]
	// 200 ["Hello world!"]
	// 401 {"code":"missing_token","message":"This request needs an access token.","data":{"status":401}}
}
