package main

import (
	"cmp"
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
	"github.com/go-jwtauth/jwtauth/examples/spa"
	"github.com/go-jwtauth/jwtauth/webhook"
)

// app is the server without the network.
type app struct {
	auth      *jwtauth.Auth
	hooks     *webhook.Dispatcher
	handler   http.Handler
	namespace string
	// notes are lines for whoever started it.
	notes []string
	// closed says that nobody can register.
	closed bool
	// rotate makes a new key sign; nil where the key is somebody else's.
	rotate     func(context.Context) error
	closeRedis func() error
	closeStore func() error
}

const defaultNamespace = "headlesskey/v1"

// newApp puts the server together. base is the URL that it listens on; it is
// the issuer where neither the flag nor the file names one.
func newApp(ctx context.Context, o options, base string, getenv func(string) string, log *slog.Logger) (_ *app, err error) {
	f, err := readFile(o.config)
	if err != nil {
		return nil, err
	}
	if f.spa = o.spa; f.spa {
		f.Cookies.Enabled = true
	}
	store, closeStore, err := openStore(ctx, o.db, log)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, closeStore())
		}
	}()
	o.keys = cmp.Or(o.keys, besideDatabase(o.db))
	a := &app{
		closeStore: closeStore,
		namespace:  cmp.Or(strings.Trim(f.Namespace, "/"), defaultNamespace),
		closed:     f.Registration.Closed,
	}
	cfg := jwtauth.Config{Issuer: cmp.Or(o.issuer, f.Issuer, base), Store: store, Logger: log}
	if err := f.apply(&cfg); err != nil {
		return nil, err
	}
	if cfg.Mail.Mailer, err = openMailer(o.mail); err != nil {
		return nil, err
	}
	if cfg.Keys, cfg.Secret, err = a.openKeys(o, f, getenv); err != nil {
		return nil, err
	}
	if err := a.useRedis(ctx, o, &cfg); err != nil {
		return nil, err
	}
	if a.auth, err = jwtauth.New(cfg); err != nil {
		return nil, err
	}
	for _, finding := range a.auth.Check(ctx) {
		a.note("check: %s", finding)
	}
	if a.hooks, err = f.openWebhooks(a.auth, store, log); err != nil {
		return nil, err
	}
	protect, err := f.protect(a.auth)
	if err != nil {
		return nil, err
	}
	if a.handler, err = a.routes(f, protect, log); err != nil {
		return nil, err
	}
	if f.spa {
		a.note("front end: %s/spa/ (with bearer tokens: %[1]s/spa/?mode=bearer)", base)
	}
	return a, a.createAdmin(ctx, o.admin)
}

// routes mounts the APIs, and the host's own handlers behind protect. Where the
// config file has rules for them, they don't ask for anything by themselves.
func (a *app) routes(f file, protect func(http.Handler) http.Handler, log *slog.Logger) (http.Handler, error) {
	own := http.NewServeMux()
	member, admin := a.auth.Require, a.auth.RequireRole("administrator")
	if len(f.Protect) > 0 {
		member = func(next http.Handler) http.Handler { return next }
		admin = member
	}
	own.Handle("GET /hello", member(http.HandlerFunc(hello)))
	own.Handle("GET /admin", admin(http.HandlerFunc(hello)))
	own.Handle("POST /autologin-token", a.auth.Require(http.HandlerFunc(a.autoLoginToken)))
	own.Handle("POST /sso-token", a.auth.Require(http.HandlerFunc(a.ssoToken)))

	mux := http.NewServeMux()
	if err := errors.Join(a.mount(mux, f, protect(own)), a.mountPages(mux, f, log)); err != nil {
		return nil, err
	}
	mux.Handle("/", protect(own))
	if f.spa {
		mux.Handle("GET /spa/{$}", spa.Handler("/wp-json/"+a.namespace))
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]string{"status": "ok"})
	})
	return mux, nil
}

// hello is a handler of the host's own.
func hello(w http.ResponseWriter, r *http.Request) {
	id, known := jwtauth.FromContext(r.Context())
	if !known {
		reply(w, map[string]any{"hello": "stranger"})
		return
	}
	reply(w, map[string]any{"hello": id.UserID, "roles": id.Roles})
}

// autoLoginToken gives a token for /autologin to somebody who is logged in, for
// example to open a browser from an app.
func (a *app) autoLoginToken(w http.ResponseWriter, r *http.Request) {
	id, _ := jwtauth.FromContext(r.Context())
	a.replyToken(w, func() (string, error) { return a.auth.AutoLoginToken(r.Context(), id.UserID) })
}

// ssoToken gives a token for /sso/exchange of another site to somebody who is
// logged in here; the parameter audience is that site's issuer.
func (a *app) ssoToken(w http.ResponseWriter, r *http.Request) {
	id, _ := jwtauth.FromContext(r.Context())
	a.replyToken(w, func() (string, error) {
		return a.auth.SSOToken(r.Context(), id.UserID, r.URL.Query().Get("audience"))
	})
}

func (a *app) replyToken(w http.ResponseWriter, sign func() (string, error)) {
	token, err := sign()
	if err != nil {
		http.Error(w, jwtauth.Code(err), jwtauth.Status(err))
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	reply(w, map[string]string{"token": token})
}

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(body)
}

// openKeys finds the signing key and the secret: the file or the environment
// first, then the directory, else new ones that last until the server stops.
func (a *app) openKeys(o options, f file, getenv func(string) string) (*jwtauth.KeySet, []byte, error) {
	secret, given, err := a.openSecret(o, f, getenv)
	if err != nil {
		return nil, nil, err
	}
	alg := cmp.Or(f.Algorithm, "ES256")
	var keys *jwtauth.KeySet
	switch {
	case f.PrivateKeyFile != "":
		keys, err = keyFromFile(f.dir, f.PrivateKeyFile)
	case alg == "HS256" && given:
		keys, err = keyFromSecret(secret)
	case o.keys != "":
		keys, err = jwtauth.OpenKeys(o.keys, alg)
		a.rotate = func(context.Context) error {
			_, err := jwtauth.AddKey(o.keys, alg)
			return orElse(err, keys.Reload)
		}
	default:
		a.note("signing key: %s, new and in memory; every token dies with this process (-keys DIR keeps it)", alg)
		keys, err = newKey(alg)
		a.rotate = func(context.Context) error {
			key, err := jwtauth.GenerateKey(alg)
			return orElse(err, func() error { return keys.Rotate(key) })
		}
	}
	return keys, secret, err
}

// openSecret also reports whether the operator gave the secret.
func (a *app) openSecret(o options, f file, getenv func(string) string) (secret []byte, given bool, err error) {
	if len(f.Secret) > 0 {
		return f.Secret, true, nil
	}
	if env := getenv("JWTAUTH_SECRET"); env != "" {
		secret, err := base64.StdEncoding.DecodeString(env)
		if err != nil { // which says where, and so a little of what: not repeated
			return nil, false, errors.New("JWTAUTH_SECRET is not base64 (try: openssl rand -base64 32)")
		}
		return secret, true, nil
	}
	if o.keys != "" {
		secret, err := jwtauth.OpenSecret(o.keys)
		return secret, false, err
	}
	a.note("secret: new and in memory; every session dies with this process (JWTAUTH_SECRET or -keys DIR keeps it)")
	secret = make([]byte, 32)
	rand.Read(secret) // never fails: the program ends instead (crypto/rand)
	return secret, false, nil
}

// orElse goes on where nothing has failed.
func orElse(err error, next func() error) error {
	if err != nil {
		return err
	}
	return next()
}

func (a *app) note(format string, args ...any) {
	a.notes = append(a.notes, fmt.Sprintf(format, args...))
}

func newKey(alg string) (*jwtauth.KeySet, error) {
	key, err := jwtauth.GenerateKey(alg)
	if err != nil {
		return nil, err
	}
	return jwtauth.NewKeySet(key)
}

// keyFromSecret derives an HS256 key, so that it is not the secret itself. Its
// id derives as well: another secret is another id.
func keyFromSecret(secret []byte) (*jwtauth.KeySet, error) {
	raw, errKey := hkdf.Key(sha256.New, secret, nil, "examples/server signing key", 32)
	id, errID := hkdf.Key(sha256.New, secret, nil, "examples/server key id", 16)
	if err := errors.Join(errKey, errID); err != nil {
		return nil, err
	}
	key, err := jwtauth.HS256(base64.RawURLEncoding.EncodeToString(id), raw)
	if err != nil {
		return nil, err
	}
	return jwtauth.NewKeySet(key)
}

// keyFromFile reads a PEM file of either kind. The id is a hash of the public
// half: with another key in the file, tokens of the old one name a key that is
// not held, and services that keep our JWKS fetch it again.
func keyFromFile(dir, name string) (*jwtauth.KeySet, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	key, err := namedKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return jwtauth.NewKeySet(key)
}

// namedKey reads the PEM of an ES256 or an RS256 key and gives it an id.
func namedKey(text []byte) (jwtauth.Key, error) {
	parse := jwtauth.ES256
	key, errES := parse("unnamed", text)
	if errES != nil {
		parse = jwtauth.RS256
		var errRS error
		if key, errRS = parse("unnamed", text); errRS != nil {
			return jwtauth.Key{}, fmt.Errorf("neither an ES256 key (%w) nor an RS256 key (%w)", errES, errRS)
		}
	}
	public, err := key.PublicPEM()
	if err != nil {
		return jwtauth.Key{}, err
	}
	id := sha256.Sum256(public)
	return parse(base64.RawURLEncoding.EncodeToString(id[:]), text)
}

// createAdmin makes the first administrator. No other account exists before
// somebody registers, and there is no default password.
func (a *app) createAdmin(ctx context.Context, email string) error {
	if email == "" {
		return nil
	}
	switch _, err := a.auth.UserByLogin(ctx, email); {
	case err == nil:
		a.note("administrator: %s exists; nothing was changed", email)
		return nil
	case !errors.Is(err, jwtauth.ErrNotFound):
		return fmt.Errorf("-admin: %w", err)
	}
	password := rand.Text()
	u, err := a.auth.CreateUser(ctx, jwtauth.Registration{Email: email, Password: password,
		Roles: []string{"administrator"}, EmailVerified: true})
	if err != nil {
		return fmt.Errorf("-admin: %w", err)
	}
	a.note("administrator: %s, password %s (change it: POST /change-password)", u.Login, password)
	return nil
}
