package jwtauth

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"
)

// Config is everything an [Auth] can be told. Issuer, Keys, Secret and Store
// are required; the zero value of the rest is the safe default. [New] reports
// every mistake at once and keeps a copy of its own: changes made later have no
// effect.
type Config struct {
	// Issuer is the absolute URL of this service, for example
	// "https://auth.example.com". It is the iss of every token, compared
	// exactly: without user info, query or fragment. Plain http is accepted
	// for loopback hosts alone, unless InsecureAllowHTTP is set.
	Issuer string
	// Audience lists who the tokens are for. Tokens are issued for all of
	// them and accepted if one matches. Default: the Issuer.
	Audience []string
	// Keys sign access tokens. A rotation of the set is seen at once.
	Keys *KeySet
	// Secret is at least 32 random bytes, the same on all nodes. Refresh
	// tokens and one-time codes derive from it (HKDF, RFC 5869, a label for
	// each use). It must not be a key of Keys.
	Secret []byte
	// OldSecrets are still accepted while Secret takes over. Sessions move
	// to the new one at their next refresh.
	OldSecrets [][]byte
	// Store keeps users, sessions, revocations, codes, counters and events.
	Store Store
	// Users, Revocations, Codes and Counters replace single parts of Store,
	// as Sessions.Store and Audit.Store do for sessions and the audit trail.
	// With all of them set, Store may be nil.
	Users       UserStore
	Revocations RevocationStore
	Codes       CodeStore
	Counters    CounterStore
	// StoreTimeout is how long one call of a store, or of Limits.Limiter, may
	// take. What does not answer by then refuses the request with
	// [ErrUnavailable]; so do further calls, at once, until the store answers
	// again, which is tried ten times in that span. Work on many rows behind
	// the requests gets ten times as long. Default 3 s; 10 ms to 1 min. A
	// [MemoryStore] is never waited for.
	StoreTimeout time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Logger gets one line for each event, and the precise reason of each
	// refusal at level debug. It never gets a secret. Default: slog.Default.
	Logger *slog.Logger
	// Nodes is how many processes run with this configuration, if it is known:
	// [Auth.Check] then tells what they can't share. It changes nothing.
	Nodes int
	// Metrics receives counts and durations, and makes spans if it is a
	// [Tracer] too. What it does can neither fail nor delay a request. Nil:
	// nothing is measured.
	Metrics Metrics
	// InsecureAllowHTTP accepts an Issuer with http on any host.
	InsecureAllowHTTP bool

	Tokens       TokenConfig
	Passwords    PasswordConfig
	Registration RegistrationConfig
	Sessions     SessionConfig
	Accounts     AccountConfig
	Recovery     RecoveryConfig
	Verification VerificationConfig
	Mail         MailConfig
	SSO          SSOConfig
	AutoLogin    AutoLoginConfig
	Cookies      CookieConfig
	CORS         CORSConfig
	Access       AccessConfig
	Proxies      ProxyConfig
	Limits       LimitConfig
	Lockout      LockoutConfig
	Audit        AuditConfig
	Hooks        Hooks
	Development  DevelopmentConfig
}

// String tells the issuer and nothing else: most other fields are secret, or
// lead to what is.
func (cfg Config) String() string { return "jwtauth.Config(" + cfg.Issuer + ")" }

// GoString is String, for %#v.
func (cfg Config) GoString() string { return cfg.String() }

// TokenConfig is about access tokens.
type TokenConfig struct {
	// TTL is how long an access token lives, if its session does not end
	// first. Default 1 h, at most 24 h.
	TTL time.Duration
	// MaxTTL is the longest life that a [TokenProfile] may give to a token:
	// from TTL, the default, to 31 days. Tokens that live longer are refused,
	// and revocations are remembered for that long, so more than is used
	// costs memory. All nodes need the same value; raise it on all of them
	// before any makes such tokens. A [Verifier] elsewhere needs it as its
	// MaxLifetime if it is more than 24 h.
	MaxTTL time.Duration
	// Leeway is how far ahead the clock of another node may run: it applies
	// to iat and nbf and never stretches exp. Default 30 s, at most 10 min;
	// negative means none.
	Leeway time.Duration
	// CacheSize is how many accepted tokens are remembered, as
	// [VerifierConfig] says. Default 10,000; negative means none.
	CacheSize int
}

// RegistrationConfig is about new accounts.
type RegistrationConfig struct {
	// Closed refuses [Auth.Register] and POST /register.
	Closed bool
	// Private hides whether a name or address is taken: the answer of a
	// registration is then the same for both, and carries no token.
	Private bool
	// Roles are given to new accounts. Default: "subscriber".
	Roles []string
	// EmailDomains, if set, are the only ones accepted, compared exactly
	// after canonicalization.
	EmailDomains []string
}

// SessionConfig is about logins and refresh tokens.
type SessionConfig struct {
	// Store replaces the sessions of Config.Store.
	Store SessionStore
	// Lifetime is the absolute end of a session, counted from the login.
	// Default 30 days.
	Lifetime time.Duration
	// Idle ends a session that was not refreshed for so long. 0 means never.
	Idle time.Duration
	// Grace is how long after a refresh the refresh token before it still
	// yields the current one, so that concurrent refreshes and lost answers
	// log nobody out, and how long older access tokens go on. Default 30 s,
	// at most 10 min; negative means none.
	Grace time.Duration
	// MaxPerUser limits the devices of a user. 0 means no limit.
	MaxPerUser int
	// EvictOldest ends the session with the oldest login when a new one
	// exceeds MaxPerUser, instead of refusing the new one.
	EvictOldest bool
	// RefreshTokensOnly refuses a refresh that presents an access token.
	RefreshTokensOnly bool
}

// AccountConfig is about what users may do with their own account.
type AccountConfig struct {
	// ReauthToDelete asks for the current password before DELETE /me.
	ReauthToDelete bool
	// NoSelfDelete refuses DELETE /me.
	NoSelfDelete bool
}

// LimitConfig bounds requests. The zero value has the defaults in the comments;
// a [Rule] with a negative Limit switches one of them off.
type LimitConfig struct {
	// Disabled switches all of them off.
	Disabled bool
	// Login is for POST /token and /login together, by address. 5 a minute.
	Login Rule
	// Register is by address. 10 a minute.
	Register Rule
	// Validate is by token. 60 a minute.
	Validate Rule
	// Refresh is by session. 10 a minute.
	Refresh Rule
	// Revoke is by token. 10 a minute.
	Revoke Rule
	// Account is for change-password and DELETE /me, by session. 10 a minute.
	Account Rule
	// Forgot is for forgot-password and verify-email/resend, by address. 5 a
	// minute.
	Forgot Rule
	// Reset is for reset-password and verify-email, by address. 5 a minute.
	Reset Rule
	// SSO is for sso/exchange and autologin, by address. 30 a minute.
	SSO Rule
	// Limiter counts. Default: a [MemoryLimiter] of this Auth alone.
	Limiter Limiter
	// DangerouslyAllowWhenDown lets requests pass without a limit while the
	// Limiter does not answer, instead of refusing them with 503. Whoever can
	// bring the Limiter down then has no limit. Wrong passwords still count
	// in Counters, and wrong codes of Access.Codes are still refused.
	// [EventUnlimited] records it once a minute, and [Auth.Outages] counts it.
	DangerouslyAllowWhenDown bool
}

const (
	defaultTokenTTL    = time.Hour
	maxTokenTTL        = 24 * time.Hour
	maxProfileTTL      = 31 * 24 * time.Hour
	defaultLeeway      = 30 * time.Second
	maxLeeway          = 10 * time.Minute
	defaultSessionLife = 30 * 24 * time.Hour
	maxSessionLife     = 10 * 365 * 24 * time.Hour
	defaultGrace       = 30 * time.Second
	maxGrace           = 10 * time.Minute
	minSecret          = 32
	defaultRole        = "subscriber"
)

// withDefaults returns a copy of cfg that shares no slice with it and has no
// zero value left where a default is documented.
func (cfg Config) withDefaults() Config {
	cfg.Audience = append([]string(nil), cfg.Audience...)
	if len(cfg.Audience) == 0 {
		cfg.Audience = []string{cfg.Issuer}
	}
	cfg.Secret = append([]byte(nil), cfg.Secret...)
	old := make([][]byte, len(cfg.OldSecrets))
	for i, s := range cfg.OldSecrets {
		old[i] = append([]byte(nil), s...)
	}
	cfg.OldSecrets = old
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	cfg.fillStores()
	defaultTo(&cfg.StoreTimeout, defaultStoreTimeout)
	defaultTo(&cfg.Tokens.TTL, defaultTokenTTL)
	defaultTo(&cfg.Tokens.MaxTTL, cfg.Tokens.TTL)
	cfg.Tokens.Leeway = orNone(cfg.Tokens.Leeway, defaultLeeway)
	defaultTo(&cfg.Sessions.Lifetime, defaultSessionLife)
	cfg.Sessions.Grace = orNone(cfg.Sessions.Grace, defaultGrace)
	cfg.Registration.Roles = append([]string(nil), cfg.Registration.Roles...)
	if len(cfg.Registration.Roles) == 0 {
		cfg.Registration.Roles = []string{defaultRole}
	}
	cfg.Registration.EmailDomains = append([]string(nil), cfg.Registration.EmailDomains...)
	cfg.Limits = cfg.Limits.withDefaults()
	cfg.Passwords = cfg.Passwords.withDefaults()
	defaultTo(&cfg.Recovery.LinkTTL, time.Hour)
	defaultTo(&cfg.Recovery.RecentLogin, 15*time.Minute)
	defaultTo(&cfg.Verification.TTL, 24*time.Hour)
	cfg.Mail = cfg.Mail.withDefaults()
	defaultTo(&cfg.Mail.Site, hostOf(cfg.Issuer))
	cfg.SSO = cfg.SSO.withDefaults(cfg.Audience)
	cfg.AutoLogin = cfg.AutoLogin.withDefaults()
	cfg.CORS = cfg.CORS.withDefaults()
	cfg.Lockout = cfg.Lockout.withDefaults()
	cfg.Audit = cfg.Audit.withDefaults()
	return cfg
}

func (cfg *Config) fillStores() {
	s := cfg.Store
	if s == nil {
		return
	}
	if cfg.Users == nil {
		cfg.Users = s
	}
	if cfg.Sessions.Store == nil {
		cfg.Sessions.Store = s
	}
	if cfg.Revocations == nil {
		cfg.Revocations = s
	}
	if cfg.Codes == nil {
		cfg.Codes = s
	}
	if cfg.Counters == nil {
		cfg.Counters = s
	}
	if cfg.Audit.Store == nil {
		cfg.Audit.Store = s
	}
}

func (l LimitConfig) withDefaults() LimitConfig {
	defaultTo(&l.Login, Rule{Limit: 5, Per: time.Minute})
	defaultTo(&l.Register, Rule{Limit: 10, Per: time.Minute})
	defaultTo(&l.Validate, Rule{Limit: 60, Per: time.Minute})
	defaultTo(&l.Refresh, Rule{Limit: 10, Per: time.Minute})
	defaultTo(&l.Revoke, Rule{Limit: 10, Per: time.Minute})
	defaultTo(&l.Account, Rule{Limit: 10, Per: time.Minute})
	defaultTo(&l.Forgot, Rule{Limit: 5, Per: time.Minute})
	defaultTo(&l.Reset, Rule{Limit: 5, Per: time.Minute})
	defaultTo(&l.SSO, Rule{Limit: 30, Per: time.Minute})
	if l.Limiter == nil {
		l.Limiter = NewMemoryLimiter()
	}
	return l
}

func defaultTo[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// orNone reads a duration whose zero means the default and whose negative
// values mean none.
func orNone(d, def time.Duration) time.Duration {
	switch {
	case d == 0:
		return def
	case d < 0:
		return 0
	}
	return d
}

// validate reports every mistake of a Config that has its defaults.
func (cfg Config) validate() error {
	return errors.Join(
		cfg.validateIssuer(),
		cfg.validateKeys(),
		cfg.validateStores(),
		within("StoreTimeout", cfg.StoreTimeout, minStoreTimeout, maxStoreTimeout),
		within("Tokens.TTL", cfg.Tokens.TTL, time.Second, maxTokenTTL),
		within("Tokens.MaxTTL", cfg.Tokens.MaxTTL, min(cfg.Tokens.TTL, maxProfileTTL), maxProfileTTL),
		within("Tokens.Leeway", cfg.Tokens.Leeway, 0, maxLeeway),
		cfg.validateCache(),
		within("Sessions.Lifetime", cfg.Sessions.Lifetime, time.Second, maxSessionLife),
		within("Sessions.Idle", cfg.Sessions.Idle, 0, maxSessionLife),
		within("Sessions.Grace", cfg.Sessions.Grace, 0, maxGrace),
		cfg.validateRoles(),
		cfg.Passwords.validate(),
		cfg.validateRecovery(),
		cfg.Mail.validate(),
		cfg.validateSSO(),
		cfg.AutoLogin.validate(cfg.InsecureAllowHTTP),
		cfg.CORS.validate(cfg.InsecureAllowHTTP),
		cfg.validateAccess(),
		cfg.Lockout.validate(),
		cfg.Audit.validate(),
		cfg.Limits.validate(),
		cfg.validateDevelopment(),
	)
}

func (cfg Config) validateCache() error {
	if cfg.Tokens.CacheSize > maxCacheSize {
		return errors.New("jwtauth: Config.Tokens.CacheSize must be at most 10,000,000")
	}
	return nil
}

func (cfg Config) validateIssuer() error {
	if err := checkURL("Issuer", cfg.Issuer, cfg.InsecureAllowHTTP); err != nil {
		return err
	}
	var errs []error
	for i, aud := range cfg.Audience {
		if !plainText(aud) {
			errs = append(errs, fmt.Errorf("jwtauth: Config.Audience[%d] must be 1 to 255 printable characters", i))
		}
	}
	return errors.Join(errs...)
}

// checkPage is checkURL for a page that links lead to: it may have a query.
func checkPage(field, s string, allowHTTP bool) error {
	page, _, _ := strings.Cut(s, "?")
	return errors.Join(checkURL(field, page, allowHTTP), checkURL(field, strings.ReplaceAll(s, "?", "/"), allowHTTP))
}

// checkURL accepts an absolute http(s) URL that stands for itself: it is
// compared as text, and links are built from it.
func checkURL(field, s string, allowHTTP bool) error {
	fail := func(why string) error { return fmt.Errorf("jwtauth: Config.%s %s", field, why) }
	u, err := url.Parse(s)
	switch {
	case s == "":
		return fail("is required")
	case err != nil || !plainText(s):
		return fail("is not a URL")
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return fail("must be an absolute http or https URL")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(s, "#"):
		return fail("must not have user info, a query or a fragment")
	case u.Scheme == "http" && !allowHTTP && !loopback(u.Hostname()):
		return fail("must use https (InsecureAllowHTTP accepts http)")
	}
	return nil
}

// hostOf is the host of a URL, or "" if it is none; validate says so then.
func hostOf(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

func loopback(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}

func (cfg Config) validateKeys() error {
	var errs []error
	if cfg.Keys == nil {
		errs = append(errs, errors.New("jwtauth: Config.Keys is required"))
	} else if !cfg.Keys.canSign() {
		errs = append(errs, errors.New("jwtauth: Config.Keys has no signing key"))
	}
	for i, s := range append([][]byte{cfg.Secret}, cfg.OldSecrets...) {
		name := "Secret"
		if i > 0 {
			name = fmt.Sprintf("OldSecrets[%d]", i-1)
		}
		if err := checkSecret(s); err != nil {
			errs = append(errs, fmt.Errorf("jwtauth: Config.%s %w", name, err))
		} else if cfg.Keys != nil && cfg.Keys.holdsSecret(s) {
			errs = append(errs, fmt.Errorf("jwtauth: Config.%s must not be a signing key as well", name))
		}
	}
	return errors.Join(errs...)
}

func (cfg Config) validateStores() error {
	var errs []error
	for _, s := range []struct {
		name    string
		missing bool
	}{
		{"Users", cfg.Users == nil}, {"Sessions.Store", cfg.Sessions.Store == nil},
		{"Revocations", cfg.Revocations == nil}, {"Codes", cfg.Codes == nil},
		{"Counters", cfg.Counters == nil}, {"Audit.Store", cfg.Audit.Store == nil},
	} {
		if s.missing {
			errs = append(errs, fmt.Errorf("jwtauth: Config.Store is required, or else Config.%s", s.name))
		}
	}
	return errors.Join(errs...)
}

func (cfg Config) validateRoles() error {
	if err := checkRoles(cfg.Registration.Roles); err != nil {
		return fmt.Errorf("jwtauth: Config.Registration.Roles: %w", err)
	}
	if cfg.Sessions.MaxPerUser < 0 {
		return errors.New("jwtauth: Config.Sessions.MaxPerUser must not be negative")
	}
	return nil
}

func (cfg Config) validateAccess() error {
	_, errAccess := newAccess("Config.Access", cfg.Access)
	_, errProxies := newProxies(cfg.Proxies)
	return errors.Join(errAccess, errProxies)
}

func (l LimitConfig) validate() error {
	var errs []error
	for name, r := range map[string]Rule{"Login": l.Login, "Register": l.Register, "Validate": l.Validate,
		"Refresh": l.Refresh, "Revoke": l.Revoke, "Account": l.Account, "Forgot": l.Forgot, "Reset": l.Reset, "SSO": l.SSO} {
		if err := r.validate(); err != nil {
			errs = append(errs, fmt.Errorf("jwtauth: Config.Limits.%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

func within(name string, d, low, high time.Duration) error {
	if d < low || d > high {
		return fmt.Errorf("jwtauth: Config.%s must be between %v and %v", name, low, high)
	}
	return nil
}
