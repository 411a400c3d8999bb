package jwtauth_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// Tokens for an app that can't refresh live for a week and name the address;
// all others are as they were.
func ExampleAuth_WithTokens() {
	cfg := exampleConfig()
	cfg.Tokens.MaxTTL = 7 * 24 * time.Hour
	auth, err := jwtauth.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	app, err := auth.WithTokens(jwtauth.TokenProfile{
		TTL: 7 * 24 * time.Hour,
		Claims: func(_ context.Context, u jwtauth.User, _ jwtauth.Session) (map[string]any, error) {
			return map[string]any{"email": u.Email}, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	g, err := app.Register(ctx, jwtauth.Registration{Username: "ada", Email: "ada@example.com", Password: "a long pass phrase"})
	if err != nil {
		log.Fatal(err)
	}
	id, err := auth.Verify(ctx, g.AccessToken) // each accepts what the other has made
	if err != nil {
		log.Fatal(err)
	}
	var email string
	_, err = id.Claims.Decode("email", &email)
	fmt.Println(id.Claims.ExpiresAt.Sub(id.Claims.IssuedAt), email, err)
	// Output: 168h0m0s ada@example.com <nil>
}

// A login of the host's own, in another protocol, counts where the native one
// does, so that it is no second set of tries.
func ExampleAuth_NewGate() {
	auth := exampleAuth()
	gate, err := auth.NewGate(jwtauth.AccessConfig{}, "login")
	if err != nil {
		log.Fatal(err)
	}
	login := func(w http.ResponseWriter, r *http.Request) {
		r, _, err := gate.Admit(w, r, jwtauth.Admission{Endpoint: "login", Limit: jwtauth.LimitLogin})
		if err == nil {
			user, password, _ := r.BasicAuth()
			_, err = auth.Login(r.Context(), jwtauth.Credentials{Login: user, Password: password})
		}
		err = gate.Finish(r, "login", jwtauth.Outcome{Event: jwtauth.EventLogin, Err: err})
		w.WriteHeader(jwtauth.Status(err))
	}

	for range 6 {
		r := httptest.NewRequest("POST", "/login", nil)
		r.SetBasicAuth("ada", "wrong")
		w := httptest.NewRecorder()
		login(w, r)
		fmt.Println(w.Code, w.Header().Get("X-RateLimit-Remaining"))
	}
	// Output:
	// 401 4
	// 401 3
	// 401 2
	// 401 1
	// 401 0
	// 429 0
}
