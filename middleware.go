package jwtauth

import (
	"context"
	"errors"
	"net/http"

	"github.com/google/uuid"
)

// identityKey holds who was identified, and by whose verifier: what one Auth
// has verified means nothing to another, unless [Auth.WithTokens] made it of it.
type identityKey struct{}

type identified struct {
	by *Verifier
	id *Identity
}

// FromContext returns the identity that [Auth.Authenticate], [Auth.Require] or
// [Auth.RequireRole] has put there; false for an anonymous caller.
func FromContext(ctx context.Context) (*Identity, bool) {
	v, ok := ctx.Value(identityKey{}).(identified)
	return v.id, ok
}

// Authenticate identifies the caller where it can and goes on either way: with
// a valid token [FromContext] has the identity, without one, or with one that
// is not accepted, the caller is anonymous. A store that does not answer is 503.
//
// Use it for pages that everybody may see. For all others use [Auth.Require].
func (a *Auth) Authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = a.withClient(r)
		id, err := a.identify(r)
		switch {
		case err == nil:
			next.ServeHTTP(w, a.withIdentity(r, id))
		case Status(err) == http.StatusUnauthorized:
			next.ServeHTTP(w, a.withIdentity(r, nil))
		default:
			writeError(w, err)
		}
	})
}

// Require lets identified callers through and answers everybody else with 401.
func (a *Auth) Require(next http.Handler) http.Handler {
	return a.RequireRole()(next)
}

// RequireRole lets callers through who have at least one of the roles. It
// answers anonymous callers with 401 and others with 403. Without a role it is
// the same as [Auth.Require].
func (a *Auth) RequireRole(roles ...string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = a.withClient(r)
			id, err := a.identify(r)
			if err == nil && len(roles) > 0 && !id.HasRole(roles...) {
				err = ErrForbidden
			}
			if err != nil {
				writeError(w, a.refusedAccess(r.Context(), id, err))
				return
			}
			next.ServeHTTP(w, a.withIdentity(r, id))
		})
	}
}

// refusedAccess records what somebody may want to look into: a right that is
// missing, a token that was made up or revoked. That a token has expired, or that
// there is none, happens to everybody.
func (a *Auth) refusedAccess(ctx context.Context, id *Identity, err error) error {
	event := Event{Name: EventAccess}
	switch {
	case errors.Is(err, ErrForbidden):
		event.UserID, event.SessionID, event.TokenID = id.UserID, id.SessionID, id.TokenID
	case !errors.Is(err, ErrInvalidToken), Reason(err) == ReasonExpired:
		return err
	}
	return a.refused(ctx, event, err)
}

// RateLimit bounds the requests of each caller to a host's own handlers: by
// session where the caller has a valid token, else by address. name separates
// the counts of different routes. It sets the X-RateLimit headers and answers
// 429 past the limit.
func (a *Auth) RateLimit(name string, rule Rule) func(http.Handler) http.Handler {
	if err := rule.validate(); err != nil {
		panic("jwtauth: RateLimit(" + name + "): " + err.Error())
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = a.withClient(r)
			key := sourceKey(r)
			if id, err := a.identify(r); err == nil {
				key = sessionKey(id)
				r = a.withIdentity(r, id)
			}
			if err := a.limit(r.Context(), w.Header(), "host:"+name, key, rule); err != nil {
				writeError(w, err)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// limit counts one request and sets the headers that tell the state.
func (a *Auth) limit(ctx context.Context, h http.Header, name, key string, rule Rule) error {
	if a.cfg.Limits.Disabled {
		return nil
	}
	if a.cfg.Hooks.Limit != nil {
		if other := a.cfg.Hooks.Limit(ctx, name, rule); other != (Rule{}) {
			rule = other
		}
	}
	if rule.off() {
		return nil
	}
	now := a.now()
	u, err := a.limiter.Allow(ctx, name+"|"+key, rule, now)
	if err != nil {
		return ErrUnavailable.because(err)
	}
	u = u.rounded(now)
	writeUsage(h, u)
	if !u.Allowed {
		return ErrRateLimited.after(u.RetryAfter)
	}
	return nil
}

// sourceKey is the address as a key. Callers whose address is unknown share one.
func sourceKey(r *http.Request) string { return "a:" + ClientFrom(r.Context()).Source() }

func sessionKey(id *Identity) string {
	if id.SessionID == "" {
		return "t:" + id.TokenID
	}
	return "s:" + id.SessionID
}

// identify verifies the token of a request, once: middleware that is stacked
// finds the identity of the one before it.
func (a *Auth) identify(r *http.Request) (*Identity, error) {
	if v, ok := r.Context().Value(identityKey{}).(identified); ok && v.by == a.verifier && v.id != nil {
		return v.id, nil
	}
	token, err := bearer(r.Header)
	if err != nil {
		return nil, err
	}
	if token == "" {
		if token, err = a.cookieToken(r, accessCookie); err != nil {
			return nil, err
		}
	}
	if token == "" {
		return nil, ErrMissingToken
	}
	return a.Verify(r.Context(), token)
}

// withIdentity sets who is calling; nil hides an identity that another Auth set.
func (a *Auth) withIdentity(r *http.Request, id *Identity) *http.Request {
	v, ok := r.Context().Value(identityKey{}).(identified)
	if ok && v.by == a.verifier && v.id == id || !ok && id == nil {
		return r
	}
	return r.WithContext(context.WithValue(r.Context(), identityKey{}, identified{a.verifier, id}))
}

// withClient says who calls, unless the host has said so already.
func (a *Auth) withClient(r *http.Request) *http.Request {
	if _, ok := r.Context().Value(clientKey{}).(Client); ok {
		return r
	}
	c := Client{IP: a.remoteIP(r), UserAgent: r.UserAgent(), DeviceID: r.Header.Get("X-Device-ID"),
		DeviceToken: a.deviceOf(r), RequestID: uuid.NewString()}
	return r.WithContext(WithClient(r.Context(), c))
}
