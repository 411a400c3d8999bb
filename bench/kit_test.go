package bench

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

const (
	issuer   = "https://auth.example.test"
	password = "correct horse battery staple"
)

var algorithms = []string{"HS256", "RS256", "ES256"}

// kit is one algorithm: an Auth, a token that it issued, and the bare key for
// everybody else, so that all check the very same token.
type kit struct {
	alg    string
	auth   *jwtauth.Auth
	keys   *jwtauth.KeySet
	store  *jwtauth.MemoryStore
	userID string
	token  string
	tokens []string // more of them, of the same user
	sign   any      // []byte or a private key
	verify any      // []byte or a public key
}

func check(b testing.TB, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// newKit makes an Auth whose limits are off, since one client asks all.
func newKit(b testing.TB, alg string) *kit {
	b.Helper()
	k := &kit{alg: alg, store: jwtauth.NewMemoryStore()}
	key := k.newKey(b)
	var err error
	k.keys, err = jwtauth.NewKeySet(key)
	check(b, err)
	k.auth, err = jwtauth.New(jwtauth.Config{
		Issuer: issuer, Keys: k.keys, Secret: []byte("0f3c9a7e55d1428bb6a0e2c4971d8f36"), Store: k.store,
		Logger:    slog.New(slog.DiscardHandler),
		Limits:    jwtauth.LimitConfig{Disabled: true},
		Lockout:   jwtauth.LockoutConfig{Disabled: true},
		Passwords: jwtauth.PasswordConfig{Memory: 64, Time: 1, InsecureForTests: true},
	})
	check(b, err)
	g, err := k.auth.Register(context.Background(), jwtauth.Registration{Username: "alice", Email: "alice@example.test", Password: password})
	check(b, err)
	k.userID, k.token = g.User.ID, g.AccessToken
	return k
}

func (k *kit) newKey(b testing.TB) jwtauth.Key {
	b.Helper()
	switch k.alg {
	case "HS256":
		secret := make([]byte, 32)
		_, _ = rand.Read(secret)
		k.sign, k.verify = secret, secret
		key, err := jwtauth.HS256("key-1", secret)
		check(b, err)
		return key
	case "RS256":
		private, err := rsa.GenerateKey(rand.Reader, 2048)
		check(b, err)
		k.sign, k.verify = private, private.Public()
		key, err := jwtauth.RS256("key-1", pemOf(b, private))
		check(b, err)
		return key
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(b, err)
	k.sign, k.verify = private, private.Public()
	key, err := jwtauth.ES256("key-1", pemOf(b, private))
	check(b, err)
	return key
}

func pemOf(b testing.TB, private crypto.Signer) []byte {
	b.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	check(b, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// issue makes n tokens, each with a session of its own.
func (k *kit) issue(b testing.TB, n int) []string {
	b.Helper()
	for len(k.tokens) < n {
		g, err := k.auth.Issue(context.Background(), k.userID)
		check(b, err)
		k.tokens = append(k.tokens, g.AccessToken)
	}
	return k.tokens[:n]
}

// verifier is one of the same keys, alone.
func (k *kit) verifier(b testing.TB, cacheSize int) *jwtauth.Verifier {
	b.Helper()
	v, err := jwtauth.NewVerifier(jwtauth.VerifierConfig{Keys: k.keys, Issuer: issuer, CacheSize: cacheSize,
		Revocations: k.store, Logger: slog.New(slog.DiscardHandler)})
	check(b, err)
	return v
}

// revokedIDs is what the middlewares of others ask, which have no store of
// their own: a map behind a lock.
type revokedIDs struct {
	mu  sync.RWMutex
	ids map[string]time.Time
}

func (r *revokedIDs) has(id string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ok := r.ids[id]
	return ok
}

// serve sends one request again and again.
func serve(b *testing.B, h http.Handler, header, value string) {
	b.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set(header, value)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusNoContent {
		b.Fatalf("the answer is %d %s", w.Code, w.Body)
	}
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}

// handler answers 204 if user finds the caller.
func handler(user func(*http.Request) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user(r) == "" {
			panic(fmt.Sprint("no caller in ", r.URL))
		}
		w.WriteHeader(http.StatusNoContent)
	})
}
