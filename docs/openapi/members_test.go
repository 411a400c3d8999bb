package openapi_test

import (
	"testing"

	"github.com/go-jwtauth/jwtauth/docs/openapi"
	"github.com/go-jwtauth/jwtauth/internal/strictjson"
)

// Most readers take the last of two members of one name without a word, so that a
// route or a status would be lost.
func TestNoMemberIsThereTwice(t *testing.T) {
	for name, document := range map[string][]byte{
		"native": openapi.Native(), "jwt-auth": openapi.JWTAuth(), "simple-jwt-login": openapi.SimpleJWTLogin(),
	} {
		if _, err := strictjson.Parse(document, strictjson.Limits{Depth: 100, Members: 10_000}, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
