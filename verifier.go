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
	// Logger gets the precise reason of a refusal at level debug. Default:
	// slog.Default.
	Logger *slog.Logger
}

// Verifier accepts access tokens. An [Auth] has one; a service that only checks
// tokens uses it alone. It is safe for concurrent use.
type Verifier struct {
	gate        gate
	keys        keyFinder
	revocations RevocationStore
	now         func() time.Time
	log         *slog.Logger
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
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Verifier{
		gate: gate{issuer: cfg.Issuer, audience: slices.Clone(cfg.Audience), typ: typeAccess,
			leeway: cfg.Leeway, maxLifetime: cfg.MaxLifetime},
		keys:        cfg.finder(),
		revocations: boundRevocations(cfg.Revocations, cfg.StoreTimeout, cfg.Logger),
		now:         cfg.Now,
		log:         cfg.Logger,
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
func (v *Verifier) Verify(ctx context.Context, token string) (*Identity, error) {
	return v.verify(ctx, &v.gate, token)
}

func (v *Verifier) verify(ctx context.Context, g *gate, token string) (*Identity, error) {
	now := v.now()
	c, err := g.check(ctx, token, v.keys, now)
	if err == nil {
		err = v.checkRevoked(ctx, c, now)
	}
	if err != nil {
		v.log.DebugContext(ctx, "token refused", "reason", Reason(err), "token", clip(c.ID, 64))
		return nil, err
	}
	return &Identity{UserID: c.Subject, SessionID: c.SessionID, TokenID: c.ID, Roles: c.Roles, Claims: c}, nil
}

func (v *Verifier) checkRevoked(ctx context.Context, c Claims, now time.Time) error {
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
