// Package jwtauth is authentication to embed: login, registration, refresh,
// revocation and session endpoints for a host's own mux, and middleware for its
// own routes, on signed access tokens (RFC 9068) and derived refresh tokens.
//
// # Where to start
//
// [New] makes an [Auth] from a [Config] with four required fields. Most
// applications then need three of its methods:
//
//   - [Auth.Handler] is the HTTP API, to be mounted with [http.StripPrefix];
//     [Auth.Routes] gives the same routes one by one, for other routers.
//   - [Auth.Require] and [Auth.RequireRole] protect the host's own handlers,
//     which read the caller with [FromContext].
//   - [Auth.Verify] checks a token anywhere else.
//
// A host that has its own handlers calls [Auth.Login], [Auth.Register],
// [Auth.Refresh] and [Auth.Revoke] instead. A service that only checks tokens
// which another one issues uses a [Verifier] alone.
//
// Further on there are forgotten passwords and mail ([Auth.ForgotPassword],
// [MailConfig]), users of other sites ([SSOConfig]), links that log in
// ([Auth.AutoLoginToken]), cookies and other origins ([CookieConfig],
// [CORSConfig]), rules for endpoints and for a host's own routes
// ([AccessConfig], [Auth.Protect]), and functions of the host ([Hooks]). What
// is not configured is off, or safe.
//
// # What is kept
//
// A [Store] keeps users and sessions, what is revoked, one-time codes, counters
// and events. [NewMemoryStore] is the embedded one; package storetest proves
// any other. Access and refresh tokens are never stored.
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
	key, ok := a.keys.signing()
	if !ok {
		return Claims{}, "", ErrUnavailable.because(errors.New("no signing key"))
	}
	extra, err := a.extraClaims(ctx, u, s)
	if err != nil {
		return Claims{}, "", ErrUnavailable.because(err)
	}
	id, err := newTokenID()
	if err != nil {
		return Claims{}, "", ErrUnavailable.because(err)
	}
	issued := now.Truncate(time.Second).UTC()
	c := Claims{
		Issuer: a.cfg.Issuer, Subject: u.ID, Audience: a.cfg.Audience, ID: id,
		IssuedAt: issued, ExpiresAt: a.tokenEnd(issued, s),
		SessionID: s.ID, Generation: s.Generation, Version: u.CredentialVersion, Roles: u.Roles,
	}
	token, _, err := sign(key, typeAccess, c, extra)
	if err != nil {
		return Claims{}, "", ErrUnavailable.because(fmt.Errorf("token not signed: %w", err))
	}
	return c, token, nil
}

// JWKS returns the public keys as a JSON Web Key Set (RFC 7517, section 5): an
// empty set for HS256, whose keys are secret.
func (a *Auth) JWKS() (json.RawMessage, error) { return a.keys.JWKS() }
