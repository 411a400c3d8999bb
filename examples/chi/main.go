// Command chi mounts jwtauth on github.com/go-chi/chi. Its middleware is that of
// net/http, so there is no glue.
package main

import (
	"fmt"
	"log"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/examples/internal/demo"
)

func main() { log.Fatal(http.ListenAndServe("localhost:8080", router(demo.Auth()))) }

func router(auth *jwtauth.Auth) http.Handler {
	r := chi.NewRouter()
	r.Mount("/auth", http.StripPrefix("/auth", auth.Handler()))
	r.Group(func(r chi.Router) {
		r.Use(auth.Require)
		r.Get("/hello", hello)
		r.With(auth.RequireRole("administrator")).Get("/admin", hello)
	})
	return r
}

func hello(w http.ResponseWriter, r *http.Request) {
	id, _ := jwtauth.FromContext(r.Context())
	fmt.Fprintf(w, "hello %s", id.UserID)
}
