package main

import (
	"net/http"
	"testing"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/examples/internal/routertest"
)

func TestRouter(t *testing.T) {
	routertest.Run(t, func(auth *jwtauth.Auth) routertest.Do {
		app := router(auth)
		return func(r *http.Request) (*http.Response, error) { return app.Test(r) }
	})
}
