package bench

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	jwxjwt "github.com/lestrrat-go/jwx/v2/jwt"
)

// BenchmarkVerifyFirst is the check of a token that was not seen before.
func BenchmarkVerifyFirst(b *testing.B) {
	for _, alg := range algorithms {
		b.Run(alg, func(b *testing.B) {
			k := newKit(b, alg)
			v, parser, options := k.verifier(b, -1), k.parser(), k.jwxOptions()
			measure(b, "jwtauth", func() error { _, err := v.Verify(b.Context(), k.token); return err })
			measure(b, "golang-jwt", func() error { _, err := parser.ParseWithClaims(k.token, new(claims), k.keyFunc); return err })
			measure(b, "jwx", func() error { _, err := jwxjwt.ParseString(k.token, options...); return err })
			measure(b, "bare signature", k.bareVerify(b))
		})
	}
}

// BenchmarkVerifyAgain is the check of one that was.
func BenchmarkVerifyAgain(b *testing.B) {
	for _, alg := range algorithms {
		k := newKit(b, alg)
		measure(b, alg, func() error { _, err := k.auth.Verify(b.Context(), k.token); return err })
	}
}

// BenchmarkIssue signs a token for a user: ours reads the account from the store
// and makes an id, like the others.
func BenchmarkIssue(b *testing.B) {
	for _, alg := range algorithms {
		b.Run(alg, func(b *testing.B) {
			k := newKit(b, alg)
			measure(b, "jwtauth", func() error { _, err := k.auth.AutoLoginToken(b.Context(), k.userID); return err })
			measure(b, "golang-jwt", func() error {
				now := time.Now()
				t := jwt.NewWithClaims(jwt.GetSigningMethod(alg), claims{RegisteredClaims: jwt.RegisteredClaims{Issuer: issuer, Subject: k.userID,
					Audience: jwt.ClaimStrings{issuer}, ID: uuid.NewString(), IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(time.Hour))},
					Version: 1, Roles: []string{"subscriber"}})
				t.Header["kid"], t.Header["typ"] = "key-1", "at+jwt"
				_, err := t.SignedString(k.sign)
				return err
			})
			measure(b, "bare signature", k.bareSign())
		})
	}
}

func measure(b *testing.B, name string, f func() error) {
	b.Run(name, func(b *testing.B) {
		check(b, f())
		b.ReportAllocs()
		for b.Loop() {
			if f() != nil {
				b.Fatal("refused")
			}
		}
	})
}

// bareVerify checks the signature of the token and nothing else.
func (k *kit) bareVerify(b *testing.B) func() error {
	b.Helper()
	last := strings.LastIndexByte(k.token, '.')
	input := []byte(k.token[:last])
	sig, err := base64.RawURLEncoding.DecodeString(k.token[last+1:])
	check(b, err)
	refused := rsa.ErrVerification
	return func() error {
		switch key := k.verify.(type) {
		case *rsa.PublicKey:
			sum := sha256.Sum256(input)
			return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig)
		case *ecdsa.PublicKey:
			sum := sha256.Sum256(input)
			if !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
				return refused
			}
		case []byte:
			mac := hmac.New(sha256.New, key)
			mac.Write(input)
			if !hmac.Equal(mac.Sum(nil), sig) {
				return refused
			}
		}
		return nil
	}
}

func (k *kit) bareSign() func() error {
	input := []byte(k.token[:strings.LastIndexByte(k.token, '.')])
	return func() (err error) {
		sum := sha256.Sum256(input)
		switch key := k.sign.(type) {
		case *rsa.PrivateKey:
			_, err = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		case *ecdsa.PrivateKey:
			_, err = ecdsa.SignASN1(rand.Reader, key, sum[:])
		case []byte:
			mac := hmac.New(sha256.New, key)
			mac.Write(input)
			mac.Sum(nil)
		}
		return err
	}
}
