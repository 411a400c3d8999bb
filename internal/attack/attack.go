// Package attack reads testdata/jwt: tokens that a verifier has to refuse, and
// some that it has to accept, with the keys that they are signed with. It is for
// tests alone.
package attack

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Kit is jwt_attack_vectors.json with test_keys.json.
type Kit struct {
	// Profile is what the verifier expects. Now is in Unix seconds.
	Profile struct {
		Now                int64
		Iss, Aud           string
		MaxLifetimeSeconds int64 `json:"max_lifetime_seconds"`
	}
	Vectors []Vector
	Keys    Keys `json:"-"`
}

// Vector is one token: Verifier is the algorithm of who checks it, Expect is
// accept or reject, or leaves a choice.
type Vector struct {
	ID, Verifier, Token, Expect, Why string
	Recipe                           *struct {
		Repeat             string
		N                  int
		ValidWithPad       int `json:"valid_with_pad"`
		ValidTotalBytes    int `json:"valid_total_bytes"`
		ValidTotalBytesMax int `json:"valid_total_bytes_max"`
		ManyKeys           int `json:"many_keys"`
	}
}

// Keys is test_keys.json.
type Keys struct {
	HS256    string `json:"hs256_hex"`
	HS256Old string `json:"hs256_old_hex"`
	RSA      string `json:"rsa_private_pem"`
	RSAPub   string `json:"rsa_public_pem"`
	P256     string `json:"p256_private_pem"`
	P256Pub  string `json:"p256_public_pem"`
}

// Load reads the folder testdata/jwt of the root.
func Load(t testing.TB, folder string) Kit {
	t.Helper()
	var k Kit
	for name, into := range map[string]any{"jwt_attack_vectors.json": &k, "test_keys.json": &k.Keys} {
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err == nil {
			err = json.Unmarshal(data, into)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if len(k.Vectors) < 250 {
		t.Fatalf("only %d vectors", len(k.Vectors))
	}
	return k
}

// Text is the token, also of a vector that is given as a recipe.
func (v Vector) Text(t testing.TB, secret []byte) string {
	t.Helper()
	r := v.Recipe
	switch {
	case r == nil:
		return v.Token
	case r.Repeat != "":
		return strings.Repeat(r.Repeat, r.N)
	case r.ValidWithPad > 0:
		return sign(secret, valid(`,"pad":"`+strings.Repeat("x", r.ValidWithPad)+`"`))
	case r.ManyKeys > 0:
		var b strings.Builder
		for i := range r.ManyKeys {
			fmt.Fprintf(&b, `,"k%d":1`, i)
		}
		return sign(secret, valid(b.String()))
	case r.ValidTotalBytes > 0:
		return ofLength(t, secret, r.ValidTotalBytes, r.ValidTotalBytes+1)
	case r.ValidTotalBytesMax > 0:
		return ofLength(t, secret, r.ValidTotalBytesMax-1, r.ValidTotalBytesMax)
	}
	t.Fatalf("%s: unknown recipe", v.ID)
	return ""
}

func valid(more string) string {
	return `{"iss":"https://auth.example.test","sub":"user-1","aud":"https://api.example.test",` +
		`"exp":1767226200,"iat":1767225590,"jti":"jti-1"` + more + `}`
}

func sign(secret []byte, claims string) string {
	return SignHS256(secret, `{"alg":"HS256","typ":"at+jwt","kid":"hs-1"}`, claims)
}

// SignHS256 makes a token of any header and claims.
func SignHS256(secret []byte, header, claims string) string {
	b64 := base64.RawURLEncoding.EncodeToString
	input := b64([]byte(header)) + "." + b64([]byte(claims))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + b64(mac.Sum(nil))
}

// ofLength pads a claim until the token has one of the two lengths; base64 can't
// reach every one.
func ofLength(t testing.TB, secret []byte, low, high int) string {
	t.Helper()
	for pad := low/2 - 500; pad < high; pad++ {
		token := sign(secret, valid(`,"pad":"`+strings.Repeat("x", pad)+`"`))
		if len(token) == low || len(token) == high {
			return token
		}
	}
	t.Fatalf("no token of %d or %d bytes", low, high)
	return ""
}
