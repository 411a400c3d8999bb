// Package demo makes the Auth of the small examples, as the README does.
package demo

import (
	"errors"
	"log"

	"github.com/go-jwtauth/jwtauth"
)

// Auth keeps its keys in the folder keys, made at the first start, and its
// accounts in memory. It ends the program if it can't.
func Auth() *jwtauth.Auth {
	keys, err1 := jwtauth.OpenKeys("keys", "ES256")
	secret, err2 := jwtauth.OpenSecret("keys")
	auth, err3 := jwtauth.New(jwtauth.Config{Issuer: "http://localhost:8080", Keys: keys, Secret: secret, Store: jwtauth.NewMemoryStore()})
	if err := errors.Join(err1, err2, err3); err != nil {
		log.Fatal(err)
	}
	return auth
}
