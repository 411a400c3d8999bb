// Command protected is a small site whose routes are guarded by rules, all in one
// place: articles are for everybody to read and for editors to write, the desk is
// for administrators, and whatever nobody thought of needs a login.
//
//	go run ./examples/protected
package main

import (
	"crypto/rand"
	"fmt"
	"log"
	"net/http"

	"github.com/go-jwtauth/jwtauth"
)

func main() {
	key, err := jwtauth.GenerateKey("ES256")
	if err != nil {
		log.Fatal(err)
	}
	keys, err := jwtauth.NewKeySet(key)
	if err != nil {
		log.Fatal(err)
	}
	secret := make([]byte, 32)
	rand.Read(secret) // new at each start, like the key and the accounts
	auth, err := jwtauth.New(jwtauth.Config{Issuer: "http://localhost:8080", Keys: keys, Secret: secret, Store: jwtauth.NewMemoryStore()})
	if err != nil {
		log.Fatal(err)
	}
	handler, err := site(auth)
	if err != nil {
		log.Fatal(err)
	}
	log.Print("listening on http://localhost:8080; log in at /auth/token")
	log.Fatal(http.ListenAndServe("localhost:8080", handler))
}

// site mounts the API of auth beside the site's own routes, which the rules
// guard. The first rule that fits decides.
func site(auth *jwtauth.Auth) (http.Handler, error) {
	guard, err := auth.Protect(
		jwtauth.ProtectRule{Pattern: "GET /articles/", Public: true},
		jwtauth.ProtectRule{Pattern: "/articles/", Roles: []string{"editor", "administrator"}},
		jwtauth.ProtectRule{Pattern: "/desk/", Roles: []string{"administrator"}},
	)
	if err != nil {
		return nil, err
	}
	own := http.NewServeMux()
	for _, pattern := range []string{"GET /articles/{name}", "PUT /articles/{name}", "GET /desk/", "GET /notes"} {
		own.HandleFunc(pattern, greet)
	}
	mux := http.NewServeMux()
	mux.Handle("/auth/", http.StripPrefix("/auth", auth.Handler()))
	mux.Handle("/", guard(own))
	return mux, nil
}

func greet(w http.ResponseWriter, r *http.Request) {
	who := "stranger"
	if id, ok := jwtauth.FromContext(r.Context()); ok {
		who = "user " + id.UserID
	}
	fmt.Fprintf(w, "%s %s for %s\n", r.Method, r.URL.Path, who)
}
