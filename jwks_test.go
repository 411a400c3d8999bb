package jwtauth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

func TestJWKSConfig(t *testing.T) {
	const good = "https://id.example.com/jwks.json"
	for _, c := range []struct {
		name    string
		cfg     jwtauth.JWKSConfig
		refusal string // "" for accepted
	}{
		{"https URL accepted", jwtauth.JWKSConfig{URL: good}, ""},
		{"query accepted", jwtauth.JWKSConfig{URL: good + "?p=policy"}, ""},
		{"public address accepted", jwtauth.JWKSConfig{URL: "https://8.8.8.8/jwks"}, ""},
		{"nothing refused", jwtauth.JWKSConfig{}, "required"},
		{"relative URL refused", jwtauth.JWKSConfig{URL: "/jwks.json"}, "absolute"},
		{"URL without a host refused", jwtauth.JWKSConfig{URL: "https:///jwks.json"}, "absolute"},
		{"opaque URL refused", jwtauth.JWKSConfig{URL: "https:id.example.com"}, "absolute"},
		{"unreadable URL refused", jwtauth.JWKSConfig{URL: "https://a b/"}, "absolute"},
		{"http refused", jwtauth.JWKSConfig{URL: "http://id.example.com/"}, "InsecureAllowHTTP"},
		{"http on loopback refused", jwtauth.JWKSConfig{URL: "http://localhost/"}, "InsecureAllowHTTP"},
		{"http accepted where it is asked for", jwtauth.JWKSConfig{URL: "http://id.example.com/", InsecureAllowHTTP: true}, ""},
		{"other scheme refused", jwtauth.JWKSConfig{URL: "ftp://id.example.com/", InsecureAllowHTTP: true}, "https"},
		{"file refused", jwtauth.JWKSConfig{URL: "file://host/etc/passwd", InsecureAllowHTTP: true}, "https"},
		{"user info refused", jwtauth.JWKSConfig{URL: "https://user:pw@id.example.com/"}, "user info"},
		{"fragment refused", jwtauth.JWKSConfig{URL: good + "#x"}, "fragment"},
		{"loopback address refused", jwtauth.JWKSConfig{URL: "https://127.0.0.1/"}, "AllowPrivateAddresses"},
		{"metadata address refused", jwtauth.JWKSConfig{URL: "https://[::ffff:169.254.169.254]/"}, "AllowPrivateAddresses"},
		{"loopback accepted where it is asked for", jwtauth.JWKSConfig{URL: "https://[::1]/", AllowPrivateAddresses: true}, ""},
		{"loopback accepted with a client of the host", jwtauth.JWKSConfig{URL: "https://[::1]/", Client: http.DefaultClient}, ""},
		{"refresh within a minute refused", jwtauth.JWKSConfig{URL: good, RefreshEvery: time.Second}, "RefreshEvery"},
		{"negative refresh refused", jwtauth.JWKSConfig{URL: good, RefreshEvery: -1}, "RefreshEvery"},
		{"refresh beyond the maximum age refused", jwtauth.JWKSConfig{URL: good, RefreshEvery: 2 * time.Hour, MaxAge: time.Hour}, "RefreshEvery"},
		{"refresh every two days accepted", jwtauth.JWKSConfig{URL: good, RefreshEvery: 48 * time.Hour}, ""},
		{"maximum age of a month refused", jwtauth.JWKSConfig{URL: good, MaxAge: 30 * 24 * time.Hour}, "MaxAge"},
		{"negative maximum age refused", jwtauth.JWKSConfig{URL: good, MaxAge: -1}, "MaxAge"},
	} {
		t.Run(c.name, func(t *testing.T) {
			j, err := jwtauth.NewJWKS(c.cfg)
			if c.refusal != "" {
				wantRefused(t, err, c.refusal)
			} else if err != nil || j == nil {
				t.Fatal(err)
			}
		})
	}
	_, err := jwtauth.NewJWKS(jwtauth.JWKSConfig{RefreshEvery: 1, MaxAge: 1})
	for _, field := range []string{"URL", "RefreshEvery", "MaxAge"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("not every mistake is reported at once: %v", err)
		}
	}
}
