package jwtauth

import (
	"context"
	"fmt"
	"maps"
	"time"
)

// TokenProfile is what access tokens of [Auth.WithTokens] have of their own.
type TokenProfile struct {
	// TTL is how long they live, at most [TokenConfig.MaxTTL]. 0 is the life
	// of all other tokens, a negative one the longest that is allowed. No
	// token outlives its session.
	TTL time.Duration
	// Claims adds to them, under the rules of [Hooks].Claims: names follow
	// [ValidClaimName], the registered ones and those of this package are
	// refused, and an error or a panic refuses the token. Where the hook adds
	// a claim of the same name, the host's stays.
	Claims func(ctx context.Context, u User, s Session) (map[string]any, error)
}

// WithTokens returns an Auth whose tokens, at every login and refresh through
// it, follow p. It shares everything else with a: each accepts the tokens of
// the other and recognizes who it has identified, and what is counted, locked
// or revoked through one is so for both. It replaces the profile that a had.
//
// It costs little, and an API that speaks another protocol makes one for itself.
func (a *Auth) WithTokens(p TokenProfile) (*Auth, error) {
	switch {
	case p.TTL < 0:
		p.TTL = a.cfg.Tokens.MaxTTL
	case p.TTL == 0:
		p.TTL = a.cfg.Tokens.TTL
	case p.TTL < time.Second || p.TTL > a.cfg.Tokens.MaxTTL:
		return nil, fmt.Errorf("jwtauth: TokenProfile.TTL must be between 1 s and Config.Tokens.MaxTTL, %v", a.cfg.Tokens.MaxTTL)
	}
	view := *a
	view.profile = p
	return &view, nil
}

// tokenEnd is when a token expires: after its own life, or with its session.
func (a *Auth) tokenEnd(issued time.Time, s Session) time.Time {
	ttl := a.cfg.Tokens.TTL
	if a.profile.TTL > 0 {
		ttl = a.profile.TTL
	}
	end, over := issued.Add(ttl), s.Expires.Truncate(time.Second).UTC()
	if over.Before(end) {
		return over
	}
	return end
}

// extraClaims asks the profile and the host's hook. A panic counts as an error:
// a token without the claims that somebody relies on must not exist.
func (a *Auth) extraClaims(ctx context.Context, u User, s Session) (extra map[string]any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("claims hook panicked: %v", p)
		}
	}()
	for _, f := range []func(context.Context, User, Session) (map[string]any, error){a.profile.Claims, a.cfg.Hooks.Claims} {
		if f == nil {
			continue
		}
		claims, err := f(ctx, forHooks(u), s)
		if err != nil {
			return nil, fmt.Errorf("claims hook: %w", err)
		}
		if extra == nil {
			extra = make(map[string]any, len(claims))
		}
		maps.Copy(extra, claims)
	}
	return extra, nil
}
