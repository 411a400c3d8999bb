package simplejwtlogin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// Version is a generation of the protocol.
type Version int

// The two generations that front ends speak. V3 is what both published SDKs and
// nearly all public front ends were written for.
const (
	V3 Version = iota
	V4
)

// Config says what the dialect offers. The zero value logs in, refreshes,
// validates and revokes, as V3; everything else is off until it is switched on.
// What an account may be and do at all is for [jwtauth.Config] to say.
type Config struct {
	// Version is V3 (default) or V4: it decides about statuses and the shapes
	// of answers.
	Version Version

	// Payload lists what access tokens say besides what every token does:
	// "email", "id", "site" and "username". "iat" and "iss" are there
	// always. Without "exp" a token lives as long as
	// [jwtauth.TokenConfig.MaxTTL] allows, never endlessly. Default: iat,
	// exp, email, id, site, username.
	Payload []string
	// TTL is how long access tokens live, in whole seconds, at most
	// [jwtauth.TokenConfig.MaxTTL]. Default: as all others,
	// [jwtauth.TokenConfig.TTL].
	TTL time.Duration
	// Site is the value of "site". Default: the issuer.
	Site string
	// CallerClaims lists the claims that a caller of /auth may choose with the
	// parameter payload. They say what the caller says and prove nothing.
	// Default: none.
	CallerClaims []string

	// RefreshTTL is how long after it expired an access token still refreshes
	// its session. Default 14 days; negative means not at all.
	RefreshTTL time.Duration
	// RefreshTokens hands out refresh tokens as well, as V4 does. A refresh
	// by refresh token works without it.
	RefreshTokens bool

	// PasswordBase64 takes passwords in base64: for clients that put them
	// into a URL.
	PasswordBase64 bool
	// DangerouslyAcceptPasswordHash takes password_hash, the stored hash, in
	// place of a password. Whoever has read the user table can then log in as
	// anybody in it but accounts with more roles than a new one gets. See
	// [jwtauth.Auth.DangerouslyLoginWithHash].
	DangerouslyAcceptPasswordHash bool

	// Register offers POST /users, and POST /register in V3.
	Register bool
	// RegisterRoles are those of new accounts. Default:
	// [jwtauth.RegistrationConfig.Roles]. The role of an auth code goes first.
	RegisterRoles []string
	// RegisterJWT logs new accounts in and answers with their token.
	RegisterJWT bool
	// RegisterLogin logs the browser in, and answers a registration as an
	// auto-login would. It needs AutoLogin.
	RegisterLogin bool
	// RandomPassword gives new accounts a password that nobody knows; their
	// owners choose one by /user/reset_password.
	RandomPassword bool
	// UserMeta lists the members of user_meta that a registration may bring.
	// Default: none.
	UserMeta []string

	// Delete offers DELETE /users.
	Delete bool

	// ResetPassword offers POST and PUT /user/reset_password.
	ResetPassword bool
	// ResetWithJWT lets an access token stand for the code: whoever finds one
	// then has the account.
	ResetWithJWT bool
	// DeliverCode takes a code to its user instead of the mail. See
	// [jwtauth.Forgot]. Default: a mail.
	DeliverCode func(ctx context.Context, u jwtauth.User, code string)

	// AutoLogin offers GET /autologin, as [jwtauth.AutoLoginConfig] says; it
	// needs [jwtauth.CookieConfig.Enabled]. Front ends send access tokens
	// there, which AutoLoginConfig.AcceptAccessTokens lets in.
	AutoLogin bool
	// AutoLoginFailure is where a browser goes if that fails, with
	// error_message and error_code in the query: an allowed target of
	// [jwtauth.AutoLoginConfig.Origins]. Empty: an answer in JSON.
	AutoLoginFailure string
	// AutoLoginForward lists the parameters of the link that are handed on to
	// where the browser goes. Default: none.
	AutoLoginForward []string

	// Access restricts endpoints: "auth", "refresh", "validate", "revoke",
	// "register", "delete", "reset-password" (both methods), "autologin" and
	// "openapi". It is where addresses are allowed and auth codes are asked for.
	Access jwtauth.AccessConfig
	// AuthCodeNames are the parameters that a code may have, the first that is
	// given counts. Default: AUTH_KEY and AUTH_CODE. Case matters.
	AuthCodeNames []string

	// Tokens says where an access token is looked for.
	Tokens TokenSources
}

// TokenSources says where a request may carry its access token. The first place
// that has one counts: the header, then the cookie, then the parameter.
type TokenSources struct {
	// Header is the name of the header. Default: Authorization.
	Header string
	// RequireBearer ignores a header without the word Bearer in front of the
	// token.
	RequireBearer bool
	// Cookie is the name of the cookie; the original calls it
	// simple-jwt-login-token. Empty: none. With it, requests from pages of
	// other origins are refused, but for those of
	// [jwtauth.CORSConfig.Origins].
	Cookie string
	// Parameter is the name of the parameter, in any case. Default: JWT.
	Parameter string
	// NoHeader and NoParameter close the two places that are open by default.
	NoHeader, NoParameter bool
}

const defaultRefreshTTL = 20160 * time.Minute

// payloadNames are what Payload can list.
var payloadNames = []string{"iat", "exp", "email", "id", "site", "username", "iss"}

// withDefaults returns a copy that shares nothing with cfg.
func (cfg Config) withDefaults(auth *jwtauth.Auth) Config {
	cfg.Payload = slices.Clone(cfg.Payload)
	if cfg.Payload == nil {
		cfg.Payload = []string{"iat", "exp", "email", "id", "site", "username"}
	}
	cfg.CallerClaims = slices.Clone(cfg.CallerClaims)
	cfg.RegisterRoles = slices.Clone(cfg.RegisterRoles)
	cfg.UserMeta = slices.Clone(cfg.UserMeta)
	cfg.AutoLoginForward = slices.Clone(cfg.AutoLoginForward)
	cfg.Access.Endpoints = maps.Clone(cfg.Access.Endpoints)
	cfg.Access.Codes = slices.Clone(cfg.Access.Codes)
	if cfg.AuthCodeNames = slices.Clone(cfg.AuthCodeNames); len(cfg.AuthCodeNames) == 0 {
		cfg.AuthCodeNames = []string{"AUTH_KEY", "AUTH_CODE"}
	}
	if cfg.Site == "" {
		cfg.Site = auth.Issuer()
	}
	switch {
	case cfg.RefreshTTL == 0:
		cfg.RefreshTTL = defaultRefreshTTL
	case cfg.RefreshTTL < 0:
		cfg.RefreshTTL = 0
	}
	if cfg.Tokens.Header == "" {
		cfg.Tokens.Header = "Authorization"
	}
	if cfg.Tokens.Parameter == "" {
		cfg.Tokens.Parameter = "JWT"
	}
	return cfg
}

// validate reports every mistake of a Config that has its defaults.
func (cfg Config) validate(auth *jwtauth.Auth) error {
	var errs []error
	wrong := func(is bool, what string) {
		if is {
			errs = append(errs, errors.New("simplejwtlogin: Config."+what))
		}
	}
	wrong(cfg.Version != V3 && cfg.Version != V4, "Version must be V3 or V4")
	for _, name := range cfg.Payload {
		wrong(!slices.Contains(payloadNames, name), fmt.Sprintf("Payload: there is no member %q", name))
	}
	wrong(cfg.TTL < 0, "TTL must not be negative")
	wrong(cfg.TTL != 0 && !slices.Contains(cfg.Payload, "exp"), "TTL has no meaning without exp in Payload")
	for _, name := range cfg.CallerClaims {
		wrong(!jwtauth.ValidClaimName(name) || jwtauth.ReservedClaim(name) || slices.Contains(payloadNames, name),
			fmt.Sprintf("CallerClaims: %q is not for callers to choose", name))
	}
	wrong(len(cfg.CallerClaims) > maxCallerClaims, "CallerClaims has more than 16 names")
	wrong(cfg.AutoLogin && !auth.UsesCookies(), "AutoLogin needs jwtauth.CookieConfig.Enabled: there is nothing else to log a browser in with")
	wrong(cfg.RegisterLogin && !cfg.AutoLogin, "RegisterLogin needs AutoLogin")
	wrong(cfg.RegisterLogin && cfg.RegisterJWT, "RegisterLogin answers without a token, so RegisterJWT has no meaning")
	wrong(cfg.AutoLoginFailure != "" && !auth.AllowedTarget(cfg.AutoLoginFailure), "AutoLoginFailure must lie on one of jwtauth.AutoLoginConfig.Origins")
	wrong(cfg.ResetWithJWT && !cfg.ResetPassword, "ResetWithJWT needs ResetPassword")
	wrong(cfg.Tokens.NoHeader && cfg.Tokens.NoParameter && cfg.Tokens.Cookie == "", "Tokens leaves no place for a token")
	return errors.Join(errs...)
}

// ttl is how long tokens live, for a [jwtauth.TokenProfile]: without exp among
// the members the longest life there is.
func (cfg Config) ttl() time.Duration {
	if !slices.Contains(cfg.Payload, "exp") {
		return -1
	}
	return cfg.TTL
}
