package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// file is what -config reads. Every key is optional; an absent one keeps the
// default of the field in jwtauth.Config that it stands for.
type file struct {
	// Issuer is the URL in every token.
	Issuer string `json:"issuer"`
	// Namespace is the path of the API below /wp-json/. Default:
	// "headlesskey/v1".
	Namespace string `json:"namespace"`
	// Secret is base64 of at least 32 bytes. With the algorithm HS256 the
	// signing key derives from it, or else from JWTAUTH_SECRET.
	Secret []byte `json:"secret"`
	// Algorithm is HS256, RS256 or ES256, the default. A private key file
	// says it by itself, and excludes it.
	Algorithm string `json:"algorithm"`
	// PrivateKeyFile is a PEM file with an RSA or P-256 key, relative to the
	// config file.
	PrivateKeyFile string `json:"private_key_file"`

	Roles struct {
		// Default is the role of a new account.
		Default string `json:"default"`
	} `json:"roles"`
	// Limits are those of jwtauth.LimitConfig.
	Limits struct {
		Disabled bool  `json:"disabled"`
		Login    *rule `json:"login"`
		Register *rule `json:"register"`
		Validate *rule `json:"validate"`
		Refresh  *rule `json:"refresh"`
		Revoke   *rule `json:"revoke"`
		Account  *rule `json:"account"`
		Forgot   *rule `json:"forgot"`
		Reset    *rule `json:"reset"`
		SSO      *rule `json:"sso"`
	} `json:"limits"`
	// Lockout has the tiers of jwtauth.LockoutConfig; an empty list keeps the
	// default.
	Lockout struct {
		Disabled bool   `json:"disabled"`
		Account  []tier `json:"account"`
		Device   []tier `json:"device"`
		Source   []tier `json:"source"`
	} `json:"lockout"`
	Hash struct {
		MemoryKiB int `json:"memory_kib"`
		Time      int `json:"time"`
		// InsecureForTests accepts values below the floor.
		InsecureForTests bool `json:"insecure_for_tests"`
	} `json:"hash"`
	Sessions struct {
		// GraceSeconds may be 0, which means no grace.
		GraceSeconds *int `json:"grace_seconds"`
		MaxPerUser   int  `json:"max_per_user"`
		EvictOldest  bool `json:"evict_oldest"`
	} `json:"sessions"`
	Registration struct {
		Closed       bool     `json:"closed"`
		Private      bool     `json:"private"`
		EmailDomains []string `json:"email_domains"`
	} `json:"registration"`

	// RecoveryURL is the page that links in mails lead to.
	RecoveryURL string      `json:"recovery_url"`
	VerifyEmail verifyEmail `json:"verify_email"`
	// Redirects are the origins that auto-login may lead to.
	Redirects []string `json:"redirects"`
	AutoLogin struct {
		Target            string `json:"target"`
		TargetFromRequest bool   `json:"target_from_request"`
	} `json:"autologin"`
	Cookies cookies `json:"cookies"`
	CORS    struct {
		Off     bool     `json:"off"`
		Origins []string `json:"origins"`
	} `json:"cors"`
	SSO []site `json:"sso"`
	// Webhooks are told what happens.
	Webhooks []hook `json:"webhooks"`

	// Admin serves pages for administrators and for each user.
	Admin adminPages `json:"admin"`

	// TrustedProxies may say for whom they ask, in X-Forwarded-For.
	TrustedProxies []string `json:"trusted_proxies"`
	// AllowIPs are the only addresses that may call the API at all.
	AllowIPs []string `json:"allow_ips"`
	// Access has rules by the name of a route.
	Access    map[string]accessRule `json:"access"`
	AuthCodes []authCode            `json:"auth_codes"`
	// Protect has ordered rules for the server's own routes.
	Protect []protectRule `json:"protect"`
	Audit   struct {
		// RetentionDays is negative for records that are kept for good.
		RetentionDays int      `json:"retention_days"`
		Roles         []string `json:"roles"`
		SkipReads     bool     `json:"skip_reads"`
	} `json:"audit"`

	// Development explains refusals.
	Development struct {
		Enabled bool `json:"enabled"`
		// InsecureExplain tells callers too.
		InsecureExplain bool `json:"insecure_explain"`
	} `json:"development"`

	// SimpleJWTLogin adds the namespace simple-jwt-login/v1.
	SimpleJWTLogin *simpleJWTLogin `json:"simple_jwt_login"`
	// JWTAuth adds the namespace jwt-auth/v1.
	JWTAuth *jwtAuth `json:"jwt_auth"`

	dir string
	// spa is the flag of that name.
	spa bool
}

// accessRule restricts one route.
type accessRule struct {
	Off           bool     `json:"off"`
	Authenticated bool     `json:"authenticated"`
	Roles         []string `json:"roles"`
	AllowIPs      []string `json:"allow_ips"`
	AuthCode      bool     `json:"auth_code"`
}

// authCode is a code that rules ask for.
type authCode struct {
	Code      string    `json:"code"`
	Role      string    `json:"role"`
	Expires   time.Time `json:"expires"`
	Endpoints []string  `json:"endpoints"`
}

// protectRule says who may reach some of the server's own routes.
type protectRule struct {
	Pattern string   `json:"pattern"`
	Public  bool     `json:"public"`
	Roles   []string `json:"roles"`
}

// protect returns the middleware of the rules; without rules it does nothing.
func (f file) protect(auth *jwtauth.Auth) (func(http.Handler) http.Handler, error) {
	if len(f.Protect) == 0 {
		return func(next http.Handler) http.Handler { return next }, nil
	}
	rules := make([]jwtauth.ProtectRule, len(f.Protect))
	for i, r := range f.Protect {
		rules[i] = jwtauth.ProtectRule{Pattern: r.Pattern, Public: r.Public, Roles: r.Roles}
	}
	return auth.Protect(rules...)
}

// applyAccess writes who may use what.
func (f file) applyAccess(cfg *jwtauth.Config) {
	cfg.Proxies.Trusted = f.TrustedProxies
	cfg.Access.AllowIPs = f.AllowIPs
	cfg.Access.Endpoints = make(map[string]jwtauth.AccessRule, len(f.Access))
	for name, r := range f.Access {
		cfg.Access.Endpoints[name] = jwtauth.AccessRule{Off: r.Off, Authenticated: r.Authenticated,
			Roles: r.Roles, AllowIPs: r.AllowIPs, Code: r.AuthCode}
	}
	cfg.Access.Codes = f.authCodes()
}

func (f file) authCodes() (codes []jwtauth.AuthCode) {
	for _, c := range f.AuthCodes {
		codes = append(codes, jwtauth.AuthCode{Code: jwtauth.Secret(c.Code), Role: c.Role, Expires: c.Expires, Endpoints: c.Endpoints})
	}
	return codes
}

// verifyEmail may be written as true or false alone.
type verifyEmail struct {
	Required bool   `json:"required"`
	URL      string `json:"url"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (v *verifyEmail) UnmarshalJSON(data []byte) error {
	type plain verifyEmail
	return boolOr(data, &v.Required, (*plain)(v))
}

// cookies may be written as true or false alone.
type cookies struct {
	Enabled bool `json:"enabled"`
	Strict  bool `json:"strict"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *cookies) UnmarshalJSON(data []byte) error {
	type plain cookies
	return boolOr(data, &c.Enabled, (*plain)(c))
}

// adminPages may be written as true or false alone.
type adminPages struct {
	Enabled bool `json:"enabled"`
	// AllowIPs are the only addresses that may call the pages for
	// administrators. Default: those that may call the API.
	AllowIPs []string `json:"allow_ips"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *adminPages) UnmarshalJSON(data []byte) error {
	type plain adminPages
	return boolOr(data, &p.Enabled, (*plain)(p))
}

// boolOr reads a boolean into flag, or else an object into whole. An outer
// decoder's strictness does not reach in here.
func boolOr(data []byte, flag *bool, whole any) error {
	if json.Unmarshal(data, flag) == nil {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	return dec.Decode(whole)
}

// site is a connected site.
type site struct {
	Key               string            `json:"key"`
	Secret            []byte            `json:"secret"`
	Issuer            string            `json:"issuer"`
	Audience          string            `json:"audience"`
	PublicKeyPEM      string            `json:"public_key_pem"`
	JWKSURL           string            `json:"jwks_url"`
	Create            bool              `json:"create"`
	LinkVerifiedEmail bool              `json:"link_verified_email"`
	RoleMap           map[string]string `json:"role_map"`
}

// open finds the keys of a site.
func (s site) open() (jwtauth.SSOSite, error) {
	out := jwtauth.SSOSite{Key: s.Key, Secret: s.Secret, Issuer: s.Issuer, Create: s.Create,
		LinkVerifiedEmail: s.LinkVerifiedEmail, Roles: s.RoleMap}
	if s.Audience != "" {
		out.Audience = []string{s.Audience}
	}
	var err error
	switch {
	case (s.PublicKeyPEM == "") == (s.JWKSURL == ""):
		err = errors.New("needs public_key_pem or jwks_url, and not both")
	case s.JWKSURL != "":
		out.JWKS, err = jwtauth.NewJWKS(jwtauth.JWKSConfig{URL: s.JWKSURL})
	default:
		var key jwtauth.Key
		if key, err = namedKey([]byte(s.PublicKeyPEM)); err == nil {
			out.Keys, err = jwtauth.NewVerifyKeySet(key)
		}
	}
	if err != nil {
		return out, fmt.Errorf("sso site %q: %w", s.Key, err)
	}
	return out, nil
}

// tier is a number of wrong passwords in so many seconds.
type tier struct {
	Failures int `json:"failures"`
	Seconds  int `json:"seconds"`
}

func (f file) applyLockout(cfg *jwtauth.Config) {
	cfg.Lockout.Disabled = f.Lockout.Disabled
	for field, tiers := range map[*[]jwtauth.LockoutTier][]tier{
		&cfg.Lockout.Account: f.Lockout.Account, &cfg.Lockout.Device: f.Lockout.Device, &cfg.Lockout.Source: f.Lockout.Source,
	} {
		for _, t := range tiers {
			*field = append(*field, jwtauth.LockoutTier{Failures: t.Failures, Per: time.Duration(t.Seconds) * time.Second})
		}
	}
}

// rule is a limit: so many requests per so many seconds. A negative limit means
// none.
type rule struct {
	Limit   int `json:"limit"`
	Seconds int `json:"seconds"`
}

// readFile reads a config file. A key that it does not know is a mistake in
// the file, not something to pass over.
func readFile(name string) (file, error) {
	f := file{dir: filepath.Dir(name)}
	if name == "" {
		return f, nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return f, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return f, fmt.Errorf("%s: %w", name, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return f, fmt.Errorf("%s: more than one JSON value", name)
	}
	if err := f.check(); err != nil {
		return f, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}

// namespaces keep out what a pattern of http.ServeMux gives a meaning.
var namespaces = regexp.MustCompile(`^/?[A-Za-z0-9_-]+(/[A-Za-z0-9_.-]*[A-Za-z0-9_-])*/?$`)

// check refuses what jwtauth.New does not see, or would take for something else.
func (f file) check() error {
	var errs []error
	if f.Namespace != "" && !namespaces.MatchString(f.Namespace) {
		errs = append(errs, errors.New(`namespace must be path segments of letters, digits and "_-.", like "headlesskey/v1"`))
	}
	if f.Algorithm != "" && f.PrivateKeyFile != "" {
		errs = append(errs, errors.New("algorithm and private_key_file exclude each other"))
	}
	if g := f.Sessions.GraceSeconds; g != nil && (*g < 0 || *g > 600) {
		errs = append(errs, errors.New("sessions.grace_seconds must be between 0 and 600"))
	}
	errs = append(errs, f.SimpleJWTLogin.check(), f.JWTAuth.check())
	return errors.Join(errs...)
}

// apply writes what the file says into cfg; keys and stores come from
// elsewhere.
func (f file) apply(cfg *jwtauth.Config) error {
	if f.Roles.Default != "" {
		cfg.Registration.Roles = []string{f.Roles.Default}
	}
	cfg.Registration.Closed = f.Registration.Closed
	cfg.Registration.Private = f.Registration.Private
	cfg.Registration.EmailDomains = f.Registration.EmailDomains
	cfg.Passwords.Memory = f.Hash.MemoryKiB
	cfg.Passwords.Time = f.Hash.Time
	cfg.Passwords.InsecureForTests = f.Hash.InsecureForTests
	cfg.Sessions.MaxPerUser = f.Sessions.MaxPerUser
	cfg.Sessions.EvictOldest = f.Sessions.EvictOldest
	if g := f.Sessions.GraceSeconds; g != nil {
		cfg.Sessions.Grace = time.Duration(*g) * time.Second
		if *g == 0 {
			cfg.Sessions.Grace = -1 // a zero there is the default
		}
	}
	cfg.Tokens.MaxTTL = max(time.Hour, f.JWTAuth.ttl(), f.SimpleJWTLogin.ttl())
	f.applyLimits(cfg)
	f.applyLockout(cfg)
	cfg.Audit = jwtauth.AuditConfig{Retention: time.Duration(f.Audit.RetentionDays) * 24 * time.Hour,
		Roles: f.Audit.Roles, SkipReads: f.Audit.SkipReads}
	cfg.Development = jwtauth.DevelopmentConfig{Enabled: f.Development.Enabled, InsecureExplain: f.Development.InsecureExplain}
	f.applyAccess(cfg)
	cfg.Recovery.URL = f.RecoveryURL
	cfg.Verification = jwtauth.VerificationConfig{Required: f.VerifyEmail.Required, URL: f.VerifyEmail.URL}
	cfg.AutoLogin = jwtauth.AutoLoginConfig{Origins: f.Redirects, Target: f.AutoLogin.Target, TargetFromRequest: f.AutoLogin.TargetFromRequest}
	cfg.Cookies = jwtauth.CookieConfig{Enabled: f.Cookies.Enabled || f.Admin.Enabled, Strict: f.Cookies.Strict}
	cfg.CORS = jwtauth.CORSConfig{Off: f.CORS.Off, Origins: f.CORS.Origins}
	f.SimpleJWTLogin.apply(cfg)
	var errs []error
	for _, s := range f.SSO {
		open, err := s.open()
		errs = append(errs, err)
		cfg.SSO.Sites = append(cfg.SSO.Sites, open)
	}
	return errors.Join(errs...)
}

func (f file) applyLimits(cfg *jwtauth.Config) {
	cfg.Limits.Disabled = f.Limits.Disabled
	for field, r := range map[*jwtauth.Rule]*rule{
		&cfg.Limits.Login: f.Limits.Login, &cfg.Limits.Register: f.Limits.Register,
		&cfg.Limits.Validate: f.Limits.Validate, &cfg.Limits.Refresh: f.Limits.Refresh,
		&cfg.Limits.Revoke: f.Limits.Revoke, &cfg.Limits.Account: f.Limits.Account,
		&cfg.Limits.Forgot: f.Limits.Forgot, &cfg.Limits.Reset: f.Limits.Reset, &cfg.Limits.SSO: f.Limits.SSO,
	} {
		if r != nil {
			*field = jwtauth.Rule{Limit: r.Limit, Per: time.Duration(r.Seconds) * time.Second}
		}
	}
}
