// Package jwtauth is authentication to embed: login, registration, refresh,
// revocation and session endpoints for a host's own mux, and middleware for its
// own routes, on signed access tokens (RFC 9068) and derived refresh tokens.
//
//	keys, err := jwtauth.OpenKeys("keys", "ES256")
//	secret, err := jwtauth.OpenSecret("keys")
//	auth, err := jwtauth.New(jwtauth.Config{Issuer: "https://auth.example.com", Keys: keys, Secret: secret, Store: store})
//
//	mux.Handle("/auth/", http.StripPrefix("/auth", auth.Handler()))
//	mux.Handle("GET /hello", auth.Require(http.HandlerFunc(hello)))
//
// This is the tour: what most people need first, the rest in the order in which
// it is met. The guides in docs/guides of the repository take one task each.
//
// # What most people need
//
// [New] makes an [Auth] from a [Config] with four required fields; what is not
// configured is off, or safe. Most applications then need three of its methods:
//
//   - [Auth.Handler] is the HTTP API, to be mounted with [http.StripPrefix];
//     [Auth.Routes] gives the same routes one by one, for other routers.
//   - [Auth.Require] and [Auth.RequireRole] protect the host's own handlers,
//     which read the caller with [FromContext]. [Auth.Protect] guards all routes
//     by one list.
//   - [Auth.Close] waits for mail and for the audit trail when the program ends.
//
// Before the first user comes, choose a store that keeps what it is given (package
// [github.com/go-jwtauth/jwtauth/sqlstore]), a [Mailer] (module
// [github.com/go-jwtauth/jwtauth/smtpmail]), and log what [Auth.Check] finds.
// Test your own handlers with package [github.com/go-jwtauth/jwtauth/authtest].
//
// # With handlers of your own
//
// They call what the endpoints call: [Auth.Login], [Auth.Register],
// [Auth.Refresh], [Auth.Revoke], [Auth.ChangePassword], [Auth.Sessions], and
// [Auth.Issue] for users whom the host has recognized by other means. [Status]
// and [Code] map every error. The limits belong to the endpoints: put
// [Auth.RateLimit] in front. [WithClient] says who calls where no middleware did.
//
// # Accounts
//
// [Auth.CreateUser], [Auth.SetRoles], [Auth.Disable], [Auth.DeleteUser] and
// [Auth.RevokeUser] are for the host: each of those that take something away ends
// all sessions of the user. Forgotten passwords and addresses to confirm are
// [RecoveryConfig], [VerificationConfig] and [MailConfig]; passwords are
// [PasswordConfig], their number of tries [LockoutConfig].
//
// # Keys and secrets
//
// A [KeySet] has the key that signs and those that verify; [OpenKeys] keeps it in
// files, [KeySet.Rotate] changes it under a running Auth. Refresh tokens and
// mailed codes derive from [Config].Secret, which [OpenSecret] keeps.
//
// # Several services, several nodes
//
// A service that only checks tokens uses a [Verifier] alone, with public keys at
// hand or from a [JWKS]. Nodes that share a database share all but the limits of
// requests; module [github.com/go-jwtauth/jwtauth/redisstore] shares those too. A
// [RevocationView] saves the round trip of each check. [Auth.Outages] tells which
// store does not answer.
//
// # Browsers and other sites
//
// Tokens travel in the Authorization header, or in cookies ([CookieConfig]);
// [CORSConfig] says which pages of other origins may call. Users of other sites come
// in by [SSOConfig], and [Auth.AutoLoginToken] makes a link that logs a browser in.
//
// # Rules, hooks, and what happened
//
// [AccessConfig] restricts endpoints by their names. [Hooks] are functions of the
// host: gates, filters and notices. Each outcome leaves an [Event] in an audit
// trail that [Auth.Events] searches and [Auth.VerifyTrail] proves; package
// [github.com/go-jwtauth/jwtauth/webhook] sends it to others, and [Metrics] gets
// numbers (module [github.com/go-jwtauth/jwtauth/otelauth]).
//
// # What is kept
//
// A [Store] keeps users and sessions, what is revoked, one-time codes, counters
// and events. Each part can be replaced by itself: a [UserStore] over a table that
// the host has, for example. [NewMemoryStore] is the embedded one, and package
// [github.com/go-jwtauth/jwtauth/storetest] proves any other. Access and refresh
// tokens are never stored.
//
// # Other protocols
//
// Package [github.com/go-jwtauth/jwtauth/compat] and those below it answer clients
// that were written for WordPress. [Auth.NewGate] and [Auth.WithTokens] are for a
// protocol of the host's own. Most applications need none of them.
//
// # Errors
//
// Every cause that a caller can act on is an [*Error] with a stable code;
// compare with [errors.Is]. A store that does not answer refuses the request
// with [ErrUnavailable]: nothing is granted on doubt.
package jwtauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Auth is the service. Make one with [New]; it is safe for concurrent use, and
// several in one process share nothing.
type Auth struct {
	cfg         Config
	users       UserStore
	sessions    SessionStore
	revocations RevocationStore
	codes       CodeStore
	counters    CounterStore
	trail       *trail
	keys        *KeySet
	secrets     secrets
	verifier    *Verifier
	passwords   *hasher
	limiter     Limiter
	outages     *outages
	outbox      *outbox
	sites       map[string]*ssoSite
	guard       *originGuard
	cors        *corsPolicy
	native      *Gate
	proxies     proxies
	observed    *observed
	locks       *lockMemory
	profile     TokenProfile
	meter       *meter
	now         func() time.Time
	log         *slog.Logger
}

// New checks cfg, reports every mistake at once (joined with [errors.Join]) and
// returns an Auth that keeps a private copy of it.
func New(cfg Config) (*Auth, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	secrets, err := newSecrets(cfg.Secret, cfg.OldSecrets)
	if err != nil {
		return nil, err
	}
	outages := newOutages(cfg.StoreTimeout, cfg.Logger)
	meter := newMeter(cfg.Metrics, cfg.Logger)
	outages.bind(&cfg, meter)
	verifier, err := NewVerifier(VerifierConfig{
		Keys: cfg.Keys, Issuer: cfg.Issuer, Audience: cfg.Audience,
		Leeway: orNegative(cfg.Tokens.Leeway), MaxLifetime: cfg.Tokens.MaxTTL,
		Now: cfg.Now, Revocations: cfg.Revocations, CacheSize: cfg.Tokens.CacheSize, Logger: cfg.Logger, Metrics: meter,
	})
	if err != nil {
		return nil, err
	}
	guard, err := newOriginGuard(cfg.CORS)
	if err != nil {
		return nil, err
	}
	a := &Auth{
		cfg: cfg, users: cfg.Users, sessions: cfg.Sessions.Store, revocations: cfg.Revocations,
		codes: cfg.Codes, counters: cfg.Counters, meter: meter,
		keys: cfg.Keys, secrets: secrets, verifier: verifier, passwords: newHasher(cfg.Passwords),
		limiter: cfg.Limits.Limiter, outages: outages, now: cfg.Now, log: cfg.Logger, sites: newSites(cfg), guard: guard, cors: newCORS(cfg),
		observed: new(observed),
	}
	a.proxies, _ = newProxies(cfg.Proxies) // validate has reported what is wrong
	a.trail = a.newTrail(cfg.Audit)
	a.locks = newLockMemory(cfg.Audit.Store)
	a.passwords.meter = meter
	a.outbox = newOutbox(cfg.Mail, cfg.Logger, a.mailFailed)
	if a.native, err = a.newGate("Config.Access", cfg.Access, a.endpointNames()); err != nil {
		return nil, err
	}
	a.warn()
	return a, nil
}

// warn says what is allowed and still unlikely to be meant.
func (a *Auth) warn() {
	if a.cfg.Mail.Mailer == nil {
		a.log.Warn("no mailer: mails about passwords and addresses are dropped")
	}
}

// orNegative undoes orNone, for a config that is given on.
func orNegative(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// Close waits until all mail has left and the audit trail is sealed, or ctx
// ends; the error then says what is lost. What was measured leaves as well. Call it after the HTTP server has shut
// down. The Auth goes on working.
func (a *Auth) Close(ctx context.Context) error {
	err := errors.Join(a.outbox.drain(ctx), a.closeTrail(ctx))
	a.meter.drain(ctx)
	return err
}

// Issuer is the iss of every token, from [Config.Issuer].
func (a *Auth) Issuer() string { return a.cfg.Issuer }

// Now is the time by [Config.Now].
func (a *Auth) Now() time.Time { return a.now() }

// String tells the issuer and nothing else.
func (a *Auth) String() string { return "jwtauth.Auth(" + a.cfg.Issuer + ")" }

// GoString is String, for %#v.
func (a *Auth) GoString() string { return a.String() }

// Grant is what a successful login, registration or refresh hands out.
type Grant struct {
	// AccessToken goes into the Authorization header of further requests.
	AccessToken string
	// RefreshToken gets the next pair. Empty where an access token was
	// refreshed by an access token.
	RefreshToken string
	// DeviceToken marks this device as one that has logged in to the account,
	// for [Client.DeviceToken] of later logins: it is then told from
	// strangers when wrong passwords are counted. Empty at a refresh.
	DeviceToken Secret
	// TokenType is "Bearer".
	TokenType string
	// ExpiresAt is when the access token expires.
	ExpiresAt time.Time
	// TokenID is the jti of the access token.
	TokenID string
	// User and Session are whose and which.
	User    User
	Session Session
}

// String tells whose grant it is, without the tokens.
func (g Grant) String() string {
	return "jwtauth.Grant(user " + g.User.ID + ", session " + g.Session.ID + ")"
}

// GoString is String, for %#v.
func (g Grant) GoString() string { return g.String() }

// MarshalText is String, for encoding/json, log/slog and others.
func (g Grant) MarshalText() ([]byte, error) { return hidden(g) }

// Verify returns who an access token speaks for, as [Verifier.Verify] does with
// the keys and revocations of this Auth.
func (a *Auth) Verify(ctx context.Context, token string) (*Identity, error) {
	return a.verifier.Verify(ctx, token)
}

// accessToken signs a token for a session at its current generation.
func (a *Auth) accessToken(ctx context.Context, u User, s Session, now time.Time) (Claims, string, error) {
	extra, err := a.extraClaims(ctx, u, s)
	if err != nil {
		return Claims{}, "", ErrUnavailable.because(err)
	}
	issued := now.Truncate(time.Second).UTC()
	return a.signed(typeAccess, Claims{
		Subject: u.ID, Audience: a.cfg.Audience, IssuedAt: issued, ExpiresAt: a.tokenEnd(issued, s),
		SessionID: s.ID, Generation: s.Generation, Version: u.CredentialVersion, Roles: u.Roles,
	}, extra)
}

// signed makes a token of ours: it adds the issuer and an id to the claims.
func (a *Auth) signed(typ string, c Claims, extra map[string]any) (_ Claims, token string, err error) {
	key, ok := a.keys.signing()
	if !ok {
		return Claims{}, "", ErrUnavailable.because(errors.New("no signing key"))
	}
	c.Issuer = a.cfg.Issuer
	if c.ID, err = newTokenID(); err != nil {
		return Claims{}, "", ErrUnavailable.because(err)
	}
	if token, err = sign(key, typ, c, extra); err != nil {
		return Claims{}, "", ErrUnavailable.because(fmt.Errorf("token not signed: %w", err))
	}
	return c, token, nil
}

// JWKS returns the public keys as a JSON Web Key Set (RFC 7517, section 5): an
// empty set for HS256, whose keys are secret.
func (a *Auth) JWKS() (json.RawMessage, error) { return a.keys.JWKS() }
