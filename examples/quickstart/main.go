package main

import (
	"errors"
	"github.com/go-jwtauth/jwtauth"
	"log"
	"net/http"
)

func main() {
	keys, err1 := jwtauth.OpenKeys("keys", "ES256")
	secret, err2 := jwtauth.OpenSecret("keys")
	auth, err3 := jwtauth.New(jwtauth.Config{Issuer: "http://localhost:8080", Keys: keys, Secret: secret, Store: jwtauth.NewMemoryStore()})
	if err := errors.Join(err1, err2, err3); err != nil {
		log.Fatal(err)
	}
	http.Handle("/auth/", http.StripPrefix("/auth", auth.Handler()))
	http.Handle("/files/", auth.Require(http.StripPrefix("/files", http.FileServer(http.Dir("files")))))
	log.Fatal(http.ListenAndServe("localhost:8080", nil))
}
