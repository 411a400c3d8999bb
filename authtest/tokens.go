package authtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// BadTokens returns access tokens that must be refused, by what is wrong with
// them. All of them name an account that exists, and all but one mistake is
// right: a handler that accepts any of them does not check that one thing.
func (s *Site) BadTokens(t testing.TB) map[string]string {
	t.Helper()
	return map[string]string{
		"forged":         s.Forged(t),
		"expired":        s.Expired(t),
		"wrong key":      s.WrongKey(t),
		"wrong audience": s.WrongAudience(t),
		"wrong issuer":   s.WrongIssuer(t),
		"revoked":        s.Revoked(t),
		"of the deleted": s.OfDeletedUser(t),
		"unsigned":       s.Unsigned(t),
	}
}

// Forged returns a token in which somebody made themselves an administrator: its
// claims are changed, its signature is that of the original.
func (s *Site) Forged(t testing.TB) string {
	t.Helper()
	head, claims, signature := split(t, SignIn(t, s.Auth, "subscriber").AccessToken)
	text := decode(t, claims)
	return head + "." + encode(strings.Replace(text, `"subscriber"`, `"administrator"`, 1)) + "." + signature
}

// Expired returns a token whose time is over.
func (s *Site) Expired(t testing.TB) string {
	t.Helper()
	// A second Auth on the same store, whose clock is behind.
	past := s.variant(t, func(cfg *jwtauth.Config) {
		now := cfg.Now
		cfg.Now = func() time.Time { return now().Add(-2 * maxTokenLife(cfg)) }
	})
	return SignIn(t, past).AccessToken
}

// maxTokenLife is longer than any token of a configuration lives.
func maxTokenLife(cfg *jwtauth.Config) time.Duration {
	return max(cfg.Tokens.TTL, cfg.Tokens.MaxTTL, time.Hour)
}

// WrongKey returns a token that names the key of the site and was signed with
// another one.
func (s *Site) WrongKey(t testing.TB) string {
	t.Helper()
	head, _, _ := split(t, SignIn(t, s.Auth).AccessToken)
	_, kid, _ := strings.Cut(decode(t, head), `"kid":"`)
	kid, _, _ = strings.Cut(kid, `"`)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := jwtauth.ES256(kid, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := jwtauth.NewKeySet(key)
	if err != nil {
		t.Fatal(err)
	}
	return SignIn(t, s.variant(t, func(cfg *jwtauth.Config) { cfg.Keys = keys })).AccessToken
}

// WrongAudience returns a token of the site that is for somebody else.
func (s *Site) WrongAudience(t testing.TB) string {
	t.Helper()
	return SignIn(t, s.variant(t, func(cfg *jwtauth.Config) { cfg.Audience = []string{"https://elsewhere.example.test"} })).AccessToken
}

// WrongIssuer returns a token that another site signed with the same key.
func (s *Site) WrongIssuer(t testing.TB) string {
	t.Helper()
	return SignIn(t, s.variant(t, func(cfg *jwtauth.Config) {
		cfg.Audience = append([]string{cfg.Issuer}, cfg.Audience...)
		cfg.Issuer = "https://elsewhere.example.test"
	})).AccessToken
}

// Revoked returns a token whose user has logged out.
func (s *Site) Revoked(t testing.TB) string {
	t.Helper()
	token := SignIn(t, s.Auth).AccessToken
	if err := s.Auth.Revoke(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	return token
}

// OfDeletedUser returns a token whose account is gone.
func (s *Site) OfDeletedUser(t testing.TB) string {
	t.Helper()
	g := SignIn(t, s.Auth)
	if err := s.Auth.DeleteUser(t.Context(), g.User.ID); err != nil {
		t.Fatal(err)
	}
	return g.AccessToken
}

// Unsigned returns a token with the algorithm "none".
func (s *Site) Unsigned(t testing.TB) string {
	t.Helper()
	head, claims, _ := split(t, SignIn(t, s.Auth).AccessToken)
	_, rest, _ := strings.Cut(decode(t, head), ",")
	return encode(`{"alg":"none",`+rest) + "." + claims + "."
}

// variant makes another Auth on the same store.
func (s *Site) variant(t testing.TB, change func(*jwtauth.Config)) *jwtauth.Auth {
	t.Helper()
	cfg := s.Config
	change(&cfg)
	auth, err := jwtauth.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return auth
}

func split(t testing.TB, token string) (head, claims, signature string) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("authtest: a token of %d parts", len(parts))
	}
	return parts[0], parts[1], parts[2]
}

func decode(t testing.TB, segment string) string {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
