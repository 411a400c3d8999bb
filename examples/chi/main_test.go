package main

import (
	"testing"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/examples/internal/routertest"
)

func TestRouter(t *testing.T) {
	routertest.Run(t, func(auth *jwtauth.Auth) routertest.Do {
		return routertest.Handler(router(auth))
	})
}
