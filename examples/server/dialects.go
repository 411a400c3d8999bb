package main

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/compat"
	wpjwt "github.com/go-jwtauth/jwtauth/compat/jwtauth"
)

// jwtAuth speaks as the plugins JWT Auth and JWT Auth Pro.
type jwtAuth struct {
	// Mode is "free" (default) or "pro".
	Mode string `json:"mode"`
	// TTLMinutes is how long its tokens live. Default: 7 days in the mode free,
	// whose clients can't refresh, and as all other tokens in the mode pro.
	TTLMinutes int `json:"ttl_minutes"`
}

// week is how long tokens of the free plugin live.
const week = 7 * 24 * time.Hour

// ttl is 0 for the life of all other tokens.
func (j *jwtAuth) ttl() time.Duration {
	switch {
	case j == nil:
		return 0
	case j.TTLMinutes != 0:
		return time.Duration(j.TTLMinutes) * time.Minute
	case j.Mode != "pro":
		return week
	}
	return 0
}

func (j *jwtAuth) check() error {
	switch {
	case j == nil:
		return nil
	case j.Mode != "" && j.Mode != "free" && j.Mode != "pro":
		return errors.New(`jwt_auth.mode must be "free" or "pro"`)
	}
	return checkMinutes("jwt_auth.ttl_minutes", j.TTLMinutes)
}

// checkMinutes keeps a life within what jwtauth.TokenConfig allows.
func checkMinutes(key string, n int) error {
	if n < 0 || n > 31*24*60 {
		return fmt.Errorf("%s must be between 0 and 44640, which is 31 days", key)
	}
	return nil
}

func (j *jwtAuth) open(a *jwtauth.Auth) (*wpjwt.API, error) {
	mode := wpjwt.Free
	if j.Mode == "pro" {
		mode = wpjwt.Pro
	}
	return wpjwt.New(a, wpjwt.Config{Mode: mode, TTL: j.ttl()})
}

// mount serves every API under the addresses of WordPress; home answers "/"
// where it is none of them.
func (a *app) mount(mux *http.ServeMux, f file, home http.Handler) error {
	all := map[string]http.Handler{a.namespace: compat.Native(a.auth)}
	if a.namespace == defaultNamespace {
		all["wpauthapi/v1"] = all[a.namespace] // what older clients call it
	}
	add := func(name string, h http.Handler) error {
		if all[name] != nil {
			return fmt.Errorf("namespace %q is taken", name)
		}
		all[name] = h
		return nil
	}
	identify := a.auth.Authenticate
	if f.JWTAuth != nil {
		api, err := f.JWTAuth.open(a.auth)
		if err != nil {
			return err
		}
		if err := add("jwt-auth/v1", api); err != nil {
			return err
		}
		identify = api.Authenticate
	}
	if err := add("wp/v2", identify(a.users())); err != nil {
		return err
	}
	compat.Mount(mux, "/wp-json", compat.Site{Auth: a.auth, URL: a.auth.Issuer(), Name: "jwtauth", Namespaces: all, Home: home})
	return nil
}

// users is a namespace of the host's own: a route of WordPress that front ends
// call to see who they are.
func (a *app) users() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/me", a.me)
	mux.HandleFunc("POST /users/me", a.me)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		compat.WriteError(w, http.StatusNotFound, "rest_no_route", "There is nothing at this address for that method.")
	})
	return mux
}

func (a *app) me(w http.ResponseWriter, r *http.Request) {
	id, ok := jwtauth.FromContext(r.Context())
	if !ok {
		compat.WriteError(w, http.StatusUnauthorized, "rest_not_logged_in", "You are not logged in.")
		return
	}
	u, err := a.auth.UserByID(r.Context(), id.UserID)
	if err != nil {
		compat.WriteError(w, jwtauth.Status(err), jwtauth.Code(err), "The account could not be read.")
		return
	}
	compat.WriteJSON(w, http.StatusOK, map[string]any{
		"id": compat.ID(u.ID), "name": u.DisplayName, "slug": compat.Nicename(u), "username": u.Login, "email": u.Email,
		"first_name": u.Meta[jwtauth.MetaFirstName], "last_name": u.Meta[jwtauth.MetaLastName], "url": u.Meta[jwtauth.MetaURL],
		"description": u.Meta[jwtauth.MetaDescription], "roles": u.Roles, "registered_date": u.Created.UTC().Format(time.RFC3339),
	})
}
