package main

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-jwtauth/jwtauth"
)

// app is the server without the network.
type app struct {
	auth      *jwtauth.Auth
	handler   http.Handler
	namespace string
	// notes are lines for whoever started it.
	notes []string
}

func newApp(ctx context.Context, o options, getenv func(string) string, log *slog.Logger) (*app, error) {
	f, err := readFile(o.config)
	if err != nil {
		return nil, err
	}
	if f.Issuer == "" {
		f.Issuer = o.issuer
	}
	store, err := openStore(o.db)
	if err != nil {
		return nil, err
	}
	a := &app{namespace: strings.Trim(f.Namespace, "/")}
	if a.namespace == "" {
		a.namespace = "headlesskey/v1"
	}
	cfg := jwtauth.Config{Issuer: f.Issuer, Store: store, Logger: log}
	f.apply(&cfg)
	if cfg.Keys, cfg.Secret, err = a.openKeys(o, f, getenv); err != nil {
		return nil, err
	}
	if a.auth, err = jwtauth.New(cfg); err != nil {
		return nil, err
	}
	a.handler = a.routes()
	return a, a.createAdmin(ctx, o.admin)
}

func openStore(db string) (jwtauth.Store, error) {
	if db != "memory" {
		return nil, fmt.Errorf("-db %q: the only store is memory", db)
	}
	return jwtauth.NewMemoryStore(), nil
}

// routes mounts the API and the host's own handlers.
func (a *app) routes() http.Handler {
	mux := http.NewServeMux()
	prefix := "/wp-json/" + a.namespace
	mux.Handle(prefix+"/", http.StripPrefix(prefix, a.auth.Handler()))
	mux.Handle("GET /hello", a.auth.Require(http.HandlerFunc(hello)))
	mux.Handle("GET /admin", a.auth.RequireRole("administrator")(http.HandlerFunc(hello)))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]string{"status": "ok"})
	})
	return mux
}

// hello is a handler of the host's own.
func hello(w http.ResponseWriter, r *http.Request) {
	id, _ := jwtauth.FromContext(r.Context())
	reply(w, map[string]any{"hello": id.UserID, "roles": id.Roles})
}

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(body)
}

// openKeys finds the signing key and the secret: the file or the environment
// first, then the directory, else new ones that last until the server stops.
func (a *app) openKeys(o options, f file, getenv func(string) string) (*jwtauth.KeySet, []byte, error) {
	secret, err := a.secret(o, f, getenv)
	if err != nil {
		return nil, nil, err
	}
	if f.Algorithm != "" && f.PrivateKeyFile != "" {
		return nil, nil, errors.New("config: algorithm and private_key_file exclude each other")
	}
	alg := f.Algorithm
	if alg == "" {
		alg = "ES256"
	}
	switch {
	case f.PrivateKeyFile != "":
		keys, err := keyFromFile(f.dir, f.PrivateKeyFile)
		return keys, secret, err
	case alg == "HS256" && len(f.Secret) > 0:
		keys, err := keyFromSecret(secret)
		return keys, secret, err
	case o.keys != "":
		keys, err := jwtauth.OpenKeys(o.keys, alg)
		return keys, secret, err
	}
	key, err := jwtauth.GenerateKey(alg)
	if err != nil {
		return nil, nil, err
	}
	a.notes = append(a.notes, "signing key: "+alg+", new and in memory; every token dies with this process (-keys DIR keeps it)")
	keys, err := jwtauth.NewKeySet(key)
	return keys, secret, err
}

func (a *app) secret(o options, f file, getenv func(string) string) ([]byte, error) {
	if len(f.Secret) > 0 {
		return f.Secret, nil
	}
	if env := getenv("JWTAUTH_SECRET"); env != "" {
		secret, err := base64.StdEncoding.DecodeString(env)
		if err != nil {
			return nil, errors.New("JWTAUTH_SECRET is not base64 (try: openssl rand -base64 32)")
		}
		return secret, nil
	}
	if o.keys != "" {
		return jwtauth.OpenSecret(o.keys)
	}
	a.notes = append(a.notes, "secret: new and in memory; every session dies with this process (JWTAUTH_SECRET or -keys DIR keeps it)")
	secret := make([]byte, 32)
	rand.Read(secret)
	return secret, nil
}

// keyFromSecret derives an HS256 key, so that it is not the secret itself.
func keyFromSecret(secret []byte) (*jwtauth.KeySet, error) {
	raw, err := hkdf.Key(sha256.New, secret, nil, "examples/server signing key", 32)
	if err != nil {
		return nil, err
	}
	key, err := jwtauth.HS256("hs-1", raw)
	if err != nil {
		return nil, err
	}
	return jwtauth.NewKeySet(key)
}

// keyFromFile reads a PEM file of either kind.
func keyFromFile(dir, name string) (*jwtauth.KeySet, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	pem, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	key, errES := jwtauth.ES256("es-1", pem)
	if errES != nil {
		var errRS error
		if key, errRS = jwtauth.RS256("rs-1", pem); errRS != nil {
			return nil, fmt.Errorf("%s: neither an ES256 key (%w) nor an RS256 key (%w)", name, errES, errRS)
		}
	}
	return jwtauth.NewKeySet(key)
}

// createAdmin makes the first administrator. No other account exists before
// somebody registers, and there is no default password.
func (a *app) createAdmin(ctx context.Context, email string) error {
	if email == "" {
		return nil
	}
	if _, err := a.auth.UserByLogin(ctx, email); err == nil {
		a.notes = append(a.notes, "administrator: "+email+" exists; nothing was changed")
		return nil
	}
	password := rand.Text()
	u, err := a.auth.CreateUser(ctx, jwtauth.Registration{Email: email, Password: password, Roles: []string{"administrator"}})
	if err != nil {
		return fmt.Errorf("-admin: %w", err)
	}
	a.notes = append(a.notes, fmt.Sprintf("administrator: %s, password %s (change it: POST /change-password)", u.Login, password))
	return nil
}
