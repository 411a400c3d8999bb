package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/compat"
	wpjwt "github.com/go-jwtauth/jwtauth/compat/jwtauth"
	"github.com/go-jwtauth/jwtauth/compat/simplejwtlogin"
)

// jwtAuth speaks as the plugins JWT Auth and JWT Auth Pro.
type jwtAuth struct {
	// Mode is "free" (default) or "pro".
	Mode string `json:"mode"`
	// TTLMinutes is how long its tokens live. Default: 7 days in the mode free,
	// whose clients can't refresh, and as all other tokens in the mode pro.
	TTLMinutes int `json:"ttl_minutes"`
}

// week is how long tokens of the free plugin live.
const week = 7 * 24 * time.Hour

// ttl is 0 for the life of all other tokens.
func (j *jwtAuth) ttl() time.Duration {
	switch {
	case j == nil:
		return 0
	case j.TTLMinutes != 0:
		return time.Duration(j.TTLMinutes) * time.Minute
	case j.Mode != "pro":
		return week
	}
	return 0
}

func (j *jwtAuth) check() error {
	switch {
	case j == nil:
		return nil
	case j.Mode != "" && j.Mode != "free" && j.Mode != "pro":
		return errors.New(`jwt_auth.mode must be "free" or "pro"`)
	}
	return checkMinutes("jwt_auth.ttl_minutes", j.TTLMinutes)
}

// checkMinutes keeps a life within what jwtauth.TokenConfig allows.
func checkMinutes(key string, n int) error {
	if n < 0 || n > 31*24*60 {
		return fmt.Errorf("%s must be between 0 and 44640, which is 31 days", key)
	}
	return nil
}

// open also lets in only who may call any API here.
func (j *jwtAuth) open(a *jwtauth.Auth, from []string) (*wpjwt.API, error) {
	mode := wpjwt.Free
	if j.Mode == "pro" {
		mode = wpjwt.Pro
	}
	return wpjwt.New(a, wpjwt.Config{Mode: mode, TTL: j.ttl(), Access: jwtauth.AccessConfig{AllowIPs: from}})
}

// simpleJWTLogin speaks as the plugin Simple JWT Login. What is not switched on
// is off, but for logging in, validating, refreshing and revoking.
type simpleJWTLogin struct {
	// Version is "3" (default) or "4".
	Version string `json:"version"`

	Register       bool `json:"register"`
	Delete         bool `json:"delete"`
	ResetPassword  bool `json:"reset_password"`
	ResetWithJWT   bool `json:"reset_with_jwt"`
	PasswordBase64 bool `json:"password_base64"`
	// AutoLogin needs cookies, and switches them on.
	AutoLogin bool `json:"autologin"`
	// RegisterJWT answers a registration with a token.
	RegisterJWT    bool `json:"register_jwt"`
	RandomPassword bool `json:"random_password"`
	// UserMeta lists what a registration may bring as user_meta.
	UserMeta []string `json:"user_meta"`
	// RefreshTokens hands out refresh tokens as well.
	RefreshTokens bool `json:"refresh_tokens"`
	// AcceptPasswordHash takes the stored hash for a password.
	AcceptPasswordHash bool `json:"dangerously_accept_password_hash"`

	// RequireAuthCode lists the endpoints that ask for one of auth_codes.
	RequireAuthCode []string `json:"require_auth_code"`
	// AllowIPs lists the only addresses that may call, separated by commas.
	AllowIPs string `json:"allow_ips"`

	// Payload lists the members of tokens.
	Payload []string `json:"payload"`
	// TTLMinutes is how long tokens live. Default: as all others.
	TTLMinutes int `json:"ttl_minutes"`
	// RefreshTTLMinutes is how long after its end a token is refreshed.
	RefreshTTLMinutes int `json:"refresh_ttl_minutes"`
}

func (s *simpleJWTLogin) check() error {
	if s == nil {
		return nil
	}
	errs := []error{checkMinutes("simple_jwt_login.ttl_minutes", s.TTLMinutes)}
	if s.Version != "" && s.Version != "3" && s.Version != "4" {
		errs = append(errs, errors.New(`simple_jwt_login.version must be "3" or "4"`))
	}
	if s.RefreshTTLMinutes < 0 || s.RefreshTTLMinutes > 5_256_000 {
		errs = append(errs, errors.New("simple_jwt_login.refresh_ttl_minutes must be between 0 and 5256000, which is 10 years"))
	}
	return errors.Join(errs...)
}

// ttl is 0 for the life of all other tokens.
func (s *simpleJWTLogin) ttl() time.Duration {
	if s == nil {
		return 0
	}
	return time.Duration(s.TTLMinutes) * time.Minute
}

// apply writes what the dialect needs of the core.
func (s *simpleJWTLogin) apply(cfg *jwtauth.Config) {
	if s == nil || !s.AutoLogin {
		return
	}
	cfg.Cookies.Enabled = true
	cfg.AutoLogin.AcceptAccessTokens = true // what its clients send
}

// open also lets in only who may call any API here.
func (s *simpleJWTLogin) open(a *jwtauth.Auth, from []string, codes []jwtauth.AuthCode) (http.Handler, error) {
	cfg := simplejwtlogin.Config{
		Payload: s.Payload, TTL: s.ttl(), RefreshTTL: time.Duration(s.RefreshTTLMinutes) * time.Minute,
		RefreshTokens: s.RefreshTokens, PasswordBase64: s.PasswordBase64, DangerouslyAcceptPasswordHash: s.AcceptPasswordHash,
		Register: s.Register, RegisterJWT: s.RegisterJWT, RandomPassword: s.RandomPassword, UserMeta: s.UserMeta,
		Delete: s.Delete, ResetPassword: s.ResetPassword, ResetWithJWT: s.ResetWithJWT, AutoLogin: s.AutoLogin,
		Access: s.access(codes),
	}
	cfg.Access.AllowIPs = from
	if s.Version == "4" {
		cfg.Version = simplejwtlogin.V4
	}
	if s.Payload != nil && !slices.Contains(s.Payload, "exp") {
		cfg.TTL = 0 // without exp it is the longest life there is
	}
	api, err := simplejwtlogin.New(a, cfg)
	if err != nil {
		return nil, err
	}
	return api.Handler(), nil
}

// sjlEndpoints are those that a rule can be for.
var sjlEndpoints = []string{"auth", "refresh", "validate", "revoke", "register", "delete", "reset-password", "autologin"}

// access allows the addresses everywhere, and asks for codes where it is said.
func (s *simpleJWTLogin) access(codes []jwtauth.AuthCode) jwtauth.AccessConfig {
	rules := map[string]jwtauth.AccessRule{}
	if s.AllowIPs != "" {
		for _, name := range sjlEndpoints {
			rules[name] = jwtauth.AccessRule{AllowIPs: []string{s.AllowIPs}}
		}
	}
	for _, name := range s.RequireAuthCode {
		rule := rules[name]
		rule.Code = true
		rules[name] = rule
	}
	return jwtauth.AccessConfig{Endpoints: rules, Codes: codes}
}

// mount serves every API under the addresses of WordPress; home answers "/"
// where it is none of them.
func (a *app) mount(mux *http.ServeMux, f file, home http.Handler) error {
	all := map[string]http.Handler{a.namespace: compat.Native(a.auth)}
	if a.namespace == defaultNamespace {
		all["wpauthapi/v1"] = all[a.namespace] // what older clients call it
	}
	add := func(name string, h http.Handler) error {
		if all[name] != nil {
			return fmt.Errorf("namespace %q is taken", name)
		}
		all[name] = h
		return nil
	}
	identify := a.auth.Authenticate
	if f.JWTAuth != nil {
		api, err := f.JWTAuth.open(a.auth, f.AllowIPs)
		if err != nil {
			return err
		}
		if err := add("jwt-auth/v1", api); err != nil {
			return err
		}
		identify = api.Authenticate
	}
	if f.SimpleJWTLogin != nil {
		api, err := f.SimpleJWTLogin.open(a.auth, f.AllowIPs, f.authCodes())
		if err != nil {
			return err
		}
		if err := add("simple-jwt-login/v1", api); err != nil {
			return err
		}
	}
	if err := add("wp/v2", identify(a.users())); err != nil {
		return err
	}
	compat.Mount(mux, "/wp-json", compat.Site{Auth: a.auth, URL: a.auth.Issuer(), Name: "jwtauth", Namespaces: all, Home: home})
	return nil
}

// users is a namespace of the host's own: a route of WordPress that front ends
// call to see who they are.
func (a *app) users() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/me", a.me)
	mux.HandleFunc("POST /users/me", a.me)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		compat.WriteError(w, http.StatusNotFound, "rest_no_route", "There is nothing at this address for that method.")
	})
	return mux
}

func (a *app) me(w http.ResponseWriter, r *http.Request) {
	id, ok := jwtauth.FromContext(r.Context())
	if !ok {
		compat.WriteError(w, http.StatusUnauthorized, "rest_not_logged_in", "You are not logged in.")
		return
	}
	u, err := a.auth.UserByID(r.Context(), id.UserID)
	if err != nil {
		compat.WriteError(w, jwtauth.Status(err), jwtauth.Code(err), "The account could not be read.")
		return
	}
	compat.WriteJSON(w, http.StatusOK, map[string]any{
		"id": compat.ID(u.ID), "name": u.DisplayName, "slug": compat.Nicename(u), "username": u.Login, "email": u.Email,
		"first_name": u.Meta[jwtauth.MetaFirstName], "last_name": u.Meta[jwtauth.MetaLastName], "url": u.Meta[jwtauth.MetaURL],
		"description": u.Meta[jwtauth.MetaDescription], "roles": u.Roles, "registered_date": u.Created.UTC().Format(time.RFC3339),
	})
}
