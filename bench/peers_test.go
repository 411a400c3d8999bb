package bench

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A comparison is fair only if all check the same: each middleware takes the
// token and refuses what we refuse.
func TestAllCheckTheSame(t *testing.T) {
	for _, alg := range algorithms {
		k := newKit(t, alg)
		all := map[string]http.Handler{"jwtauth": k.jwtauth(), "golang-jwt": k.golangJWT(), "chi-jwtauth": k.chi(),
			"auth0": k.auth0(t), "gin-jwt": k.gin(t), "echo-jwt": k.echo()}
		for what, token := range map[string]string{
			"its own token":               k.token,
			"a token with a bad end":      k.token[:len(k.token)-6] + "AAAAAA",
			"an expired token":            k.forge(t, func(c *claims) { c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(-time.Hour)) }),
			"a token of another issuer":   k.forge(t, func(c *claims) { c.Issuer = "https://other.example.test" }),
			"a token for another service": k.forge(t, func(c *claims) { c.Audience = jwt.ClaimStrings{"https://other.example.test"} }),
		} {
			for name, h := range all {
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.Header.Set("Authorization", "Bearer "+token)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if accepted := w.Code == http.StatusNoContent; accepted != (token == k.token) {
					t.Errorf("%s, %s: %s answered with %d", alg, name, what, w.Code)
				}
			}
		}
	}
}

// forge signs a token like ours with something changed.
func (k *kit) forge(t *testing.T, change func(*claims)) string {
	t.Helper()
	c := new(claims)
	if _, err := k.parser().ParseWithClaims(k.token, c, k.keyFunc); err != nil {
		t.Fatal(err)
	}
	change(c)
	token := jwt.NewWithClaims(jwt.GetSigningMethod(k.alg), c)
	token.Header["kid"], token.Header["typ"] = "key-1", "at+jwt"
	text, err := token.SignedString(k.sign)
	check(t, err)
	return text
}
