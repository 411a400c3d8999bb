package jwtauth_test

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/compat"
	wpjwt "github.com/go-jwtauth/jwtauth/compat/jwtauth"
)

// A site of its own with the routes of JWT Auth Pro, and a route of the host's.
func Example() {
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
		Tokens: jwtauth.TokenConfig{MaxTTL: 7 * 24 * time.Hour},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	api, err := wpjwt.New(auth, wpjwt.Config{Mode: wpjwt.Pro, TTL: 7 * 24 * time.Hour})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	compat.Mount(mux, "/wp-json", compat.Site{Auth: auth, Namespaces: map[string]http.Handler{"jwt-auth/v1": api}})
	mux.Handle("/articles", api.Authenticate(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, known := jwtauth.FromContext(r.Context())
		fmt.Fprint(w, "known: ", known)
	})))

	for _, r := range []*http.Request{
		httptest.NewRequest("POST", "/wp-json/jwt-auth/v1/token", strings.NewReader(`{"username":"nobody","password":"wrong"}`)),
		httptest.NewRequest("GET", "/articles", nil),
	} {
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Println(w.Code, strings.TrimSpace(w.Body.String()))
	}
	// Output:
	// 403 {"code":"jwt_auth_failed","message":"The user name or password is incorrect.","data":{"status":403}}
	// 200 known: false
}
