package jwtauth_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/authtest"
	"github.com/go-jwtauth/jwtauth/compat"
	wpjwt "github.com/go-jwtauth/jwtauth/compat/jwtauth"
)

var bg = context.Background()

// epoch is when tests begin.
var epoch = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

const (
	testIssuer   = "https://auth.example.test"
	testPassword = "correct horse battery staple"
	week         = 7 * 24 * time.Hour
	goodCode     = "k7Jq2ZxW9pLr4TnV8sDf3A"
)

// kit is a site with the dialect mounted as in a host, and a clock to move.
type kit struct {
	auth    *jwtauth.Auth
	api     *wpjwt.API
	handler http.Handler
	clock   *authtest.Clock
}

var testKey = sync.OnceValues(func() (jwtauth.Key, error) { return jwtauth.GenerateKey("ES256") })

func newKit(t testing.TB, cfg wpjwt.Config, change ...func(*jwtauth.Config)) *kit {
	t.Helper()
	k := &kit{clock: authtest.NewClock(epoch)}
	key := must(testKey())(t)
	core := jwtauth.Config{
		Issuer:    testIssuer,
		Keys:      must(jwtauth.NewKeySet(key))(t),
		Secret:    []byte("0f3c9a7e55d1428bb6a0e2c4971d8f36"),
		Store:     jwtauth.NewMemoryStore(),
		Now:       k.clock.Now,
		Logger:    slog.New(slog.DiscardHandler),
		Passwords: jwtauth.PasswordConfig{Memory: 64, Time: 1, InsecureForTests: true},
		Limits:    jwtauth.LimitConfig{Disabled: true},
		Tokens:    jwtauth.TokenConfig{MaxTTL: week},
	}
	for _, f := range change {
		f(&core)
	}
	k.auth = must(jwtauth.New(core))(t)
	k.api = must(wpjwt.New(k.auth, cfg))(t)
	mux := http.NewServeMux()
	compat.Mount(mux, "/wp-json", compat.Site{Auth: k.auth, URL: testIssuer, Namespaces: map[string]http.Handler{
		"jwt-auth/v1": k.api,
		"host/v1":     k.api.Authenticate(http.HandlerFunc(whoami)),
	}})
	k.handler = mux
	return k
}

// whoami is a route of the host's own that everybody may see.
func whoami(w http.ResponseWriter, r *http.Request) {
	user := "nobody"
	if id, ok := jwtauth.FromContext(r.Context()); ok {
		user = id.UserID
	}
	compat.WriteJSON(w, 200, map[string]string{"hello": user})
}

// must(f())(t) is the value of f, or the end of the test.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (k *kit) register(t testing.TB, name string, roles ...string) jwtauth.User {
	t.Helper()
	return must(k.auth.CreateUser(bg, jwtauth.Registration{Username: name, Email: name + "@example.test",
		Password: testPassword, Name: "Test " + name, Roles: roles}))(t)
}

// login logs in without HTTP, from an address that the list of sessions shows.
func (k *kit) login(t testing.TB, name string) *jwtauth.Grant {
	t.Helper()
	ctx := jwtauth.WithClient(bg, jwtauth.Client{UserAgent: "Firefox/1.0"})
	return must(k.auth.Login(ctx, jwtauth.Credentials{Username: name, Password: testPassword}))(t)
}

// send makes one request below /wp-json.
func (k *kit) send(method, path, token, form string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/wp-json"+path, strings.NewReader(form))
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	k.handler.ServeHTTP(w, r)
	return w
}
