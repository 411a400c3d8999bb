package jwtauth_test

import (
	"testing"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/storetest"
)

func TestMemoryStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) jwtauth.Store { return jwtauth.NewMemoryStore() })
}
