package jwtauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Identity is who a verified access token speaks for.
type Identity struct {
	// UserID is the subject.
	UserID string
	// SessionID is the session that the token belongs to; "" for tokens of
	// issuers that have none.
	SessionID string
	// TokenID is the jti.
	TokenID string
	// Roles are the user's roles.
	Roles []string
	// Claims are all claims, typed and raw.
	Claims Claims
}

// ownIdentity is an Identity together with room for its slices, so that a copy
// which shares nothing that can be changed costs one allocation.
type ownIdentity struct {
	Identity
	roles    [4]string
	audience [1]string
}

// set copies id. Its owner may do with the copy what it likes: what the cache
// holds stays as it was signed.
func (o *ownIdentity) set(id *Identity) {
	o.Identity = *id
	o.Roles = copyInto(o.roles[:], id.Roles)
	o.Claims.Roles = o.Roles
	o.Claims.Audience = copyInto(o.audience[:], id.Claims.Audience)
}

// copyInto returns a copy of list, in room if it fits. Appending to it does not
// reach beyond it.
func copyInto(room, list []string) []string {
	if list == nil || len(list) > len(room) {
		return slices.Clone(list)
	}
	n := copy(room, list)
	return room[:n:n]
}

// HasRole reports whether the identity has at least one of the roles.
func (id *Identity) HasRole(roles ...string) bool {
	return slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(id.Roles, r) })
}

// VerifierConfig says which tokens a [Verifier] accepts. Issuer is required,
// and either Keys or JWKS.
type VerifierConfig struct {
	// Keys verify the tokens. [NewVerifyKeySet] makes a set of public keys.
	Keys *KeySet
	// JWKS fetches the issuer's public keys instead.
	JWKS *JWKS
	// Issuer is the exact iss of the tokens.
	Issuer string
	// Audience lists who we are: a token must name one of them. Default: the
	// Issuer.
	Audience []string
	// Leeway is how far ahead the issuer's clock may run: it applies to iat
	// and nbf and never stretches exp. Default 30 s, at most 10 min; negative
	// means none.
	Leeway time.Duration
	// MaxLifetime bounds exp − iat. Default 24 h.
	MaxLifetime time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Revocations is asked about every token. Nil: none is asked, and a
	// token lives until it expires.
	Revocations RevocationStore
	// StoreTimeout is how long one question to Revocations may take, as
	// [Config.StoreTimeout]. Default 3 s.
	StoreTimeout time.Duration
	// CacheSize is how many accepted tokens are remembered, so that a token
	// that comes again costs no signature. Each takes some 700 bytes and
	// twice its own length. What can change is asked each time all the same:
	// times, keys and revocations. Default 10,000, at most 10,000,000;
	// negative means none.
	CacheSize int
	// Logger gets the precise reason of a refusal at level debug. Default:
	// slog.Default.
	Logger *slog.Logger
	// Metrics receives counts and durations, as [Config.Metrics] does. Nil:
	// nothing is measured.
	Metrics Metrics
}

const (
	defaultCacheSize = 10_000
	maxCacheSize     = 10_000_000
)

// Verifier accepts access tokens. An [Auth] has one; a service that only checks
// tokens uses it alone. It is safe for concurrent use.
type Verifier struct {
	gate        gate
	keys        keyFinder
	revocations RevocationStore
	cache       *tokenCache
	now         func() time.Time
	log         *slog.Logger
	meter       *meter
}

// NewVerifier reports every mistake of cfg at once.
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	if len(cfg.Audience) == 0 {
		cfg.Audience = []string{cfg.Issuer}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	cfg.Leeway = orNone(cfg.Leeway, defaultLeeway)
	defaultTo(&cfg.MaxLifetime, maxTokenTTL)
	defaultTo(&cfg.StoreTimeout, defaultStoreTimeout)
	defaultTo(&cfg.CacheSize, defaultCacheSize)
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Verifier{
		gate: gate{issuer: cfg.Issuer, audience: slices.Clone(cfg.Audience), typ: typeAccess,
			leeway: cfg.Leeway, maxLifetime: cfg.MaxLifetime, headers: new(knownHeaders)},
		keys:        cfg.finder(),
		revocations: boundRevocations(cfg.Revocations, cfg.StoreTimeout, cfg.Logger),
		cache:       newTokenCache(cfg.CacheSize),
		now:         cfg.Now,
		log:         cfg.Logger,
		meter:       newMeter(cfg.Metrics, cfg.Logger),
	}, nil
}

func (cfg VerifierConfig) validate() error {
	var errs []error
	add := func(bad bool, text string) {
		if bad {
			errs = append(errs, errors.New("jwtauth: VerifierConfig."+text))
		}
	}
	add(!plainText(cfg.Issuer), "Issuer is required")
	for i, aud := range cfg.Audience {
		add(!plainText(aud), fmt.Sprintf("Audience[%d] must be 1 to 255 printable characters", i))
	}
	add((cfg.Keys == nil) == (cfg.JWKS == nil), "Keys or JWKS is required, and not both")
	add(cfg.Leeway > maxLeeway, "Leeway must be at most 10 min")
	add(cfg.StoreTimeout < minStoreTimeout || cfg.StoreTimeout > maxStoreTimeout, "StoreTimeout must be between 10ms and 1m")
	add(cfg.MaxLifetime < 0 || cfg.MaxLifetime > maxSessionLife, "MaxLifetime must be positive and at most 10 years")
	add(cfg.CacheSize > maxCacheSize, "CacheSize must be at most 10,000,000")
	return errors.Join(errs...)
}

func (cfg VerifierConfig) finder() keyFinder {
	if cfg.JWKS != nil {
		return func(ctx context.Context, kid string) (Key, error) {
			key, err := cfg.JWKS.key(ctx, kid)
			if errors.Is(err, ErrNotFound) {
				return Key{}, invalidToken(ReasonKey)
			}
			return key, err
		}
	}
	return func(_ context.Context, kid string) (Key, error) {
		if key, ok := cfg.Keys.lookup(kid); ok {
			return key, nil
		}
		return Key{}, invalidToken(ReasonKey)
	}
}

// Verify returns who an access token speaks for. Every token that is not
// accepted gives [ErrInvalidToken]; [ErrUnavailable] says that the revocations
// or the issuer's keys could not be asked, which refuses the token as well.
//
// The answer is the caller's own: changing it changes nothing for anybody else.
func (v *Verifier) Verify(ctx context.Context, token string) (*Identity, error) {
	own := new(ownIdentity)
	if err := v.identify(ctx, token, own); err != nil {
		return nil, err
	}
	return &own.Identity, nil
}

// identify is Verify into a place that the caller has.
func (v *Verifier) identify(ctx context.Context, token string, into *ownIdentity) (err error) {
	if v.meter != nil {
		defer v.meter.start(ctx, MetricVerify).end(&err)
	}
	return v.accept(ctx, token, into)
}

func (v *Verifier) accept(ctx context.Context, token string, into *ownIdentity) error {
	now := v.now()
	e, err := v.recall(ctx, token, now)
	if err != nil {
		return v.refuse(ctx, err, Claims{})
	}
	known := e != nil
	if !known {
		c, key, err := v.gate.check(ctx, token, v.keys, now)
		if err != nil {
			return v.refuse(ctx, err, c)
		}
		e = &cachedToken{key: key, identity: identityOf(c)}
	}
	if err := v.checkRevoked(ctx, &e.identity.Claims, now); err != nil {
		return v.refuse(ctx, err, e.identity.Claims)
	}
	into.set(&e.identity)
	if !known {
		v.cache.put(e, token, now)
	}
	return nil
}

// recall returns what is known of a token, if that would still be found today:
// its key is held under its id, and its time has come and not passed. Whatever
// else there is to say of it is said by the gate, from the beginning; but if the
// keys can't be asked, [ErrUnavailable], since the gate would only ask again.
func (v *Verifier) recall(ctx context.Context, token string, now time.Time) (*cachedToken, error) {
	e := v.cache.get(token)
	if e == nil {
		return nil, nil
	}
	key, err := v.keys(ctx, e.key.ID())
	if errors.Is(err, ErrUnavailable) {
		return nil, err
	}
	if err != nil || key != e.key || v.gate.inTime(&e.identity.Claims, now) != nil {
		v.cache.remove(e)
		return nil, nil
	}
	return e, nil
}

// verify checks a token of another kind, of which none is remembered.
func (v *Verifier) verify(ctx context.Context, g *gate, token string) (*Identity, error) {
	now := v.now()
	c, _, err := g.check(ctx, token, v.keys, now)
	if err == nil {
		err = v.checkRevoked(ctx, &c, now)
	}
	if err != nil {
		return nil, v.refuse(ctx, err, c)
	}
	id := identityOf(c)
	return &id, nil
}

func identityOf(c Claims) Identity {
	return Identity{UserID: c.Subject, SessionID: c.SessionID, TokenID: c.ID, Roles: c.Roles, Claims: c}
}

// refuse leaves the precise reason in the log.
func (v *Verifier) refuse(ctx context.Context, err error, c Claims) error {
	v.log.DebugContext(ctx, "token refused", "reason", Reason(err), "token", clip(c.ID, 64))
	return err
}

func (v *Verifier) checkRevoked(ctx context.Context, c *Claims, now time.Time) error {
	if v.revocations == nil {
		return nil
	}
	revoked, err := v.revocations.Revoked(ctx, TokenRef{TokenID: c.ID, SessionID: c.SessionID,
		Generation: c.Generation, UserID: c.Subject, Version: c.Version, Now: now})
	switch {
	case err != nil:
		return ErrUnavailable.because(err)
	case revoked:
		return invalidToken(ReasonRevoked)
	}
	return nil
}
