// Package openapi has the OpenAPI 3.1 documents of the native API and of the two
// WordPress dialects, as they are served at GET /openapi.json of each mount. Use it
// to publish them elsewhere, or to generate clients and validators.
package openapi

import _ "embed"

var (
	//go:embed native.json
	native []byte
	//go:embed jwt-auth.json
	jwtAuth []byte
	//go:embed simple-jwt-login.json
	simpleJWTLogin []byte
)

// Native returns the document of what jwtauth.Auth.Handler serves.
func Native() []byte { return append([]byte(nil), native...) }

// JWTAuth returns the document of package compat/jwtauth.
func JWTAuth() []byte { return append([]byte(nil), jwtAuth...) }

// SimpleJWTLogin returns the document of package compat/simplejwtlogin.
func SimpleJWTLogin() []byte { return append([]byte(nil), simpleJWTLogin...) }
