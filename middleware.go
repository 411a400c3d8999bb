package jwtauth

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/google/uuid"
)

// identityKey finds the [caller] of a context.
type identityKey struct{}

// caller is the context of a request behind the middleware: who calls, as far
// as the request tells, and as whom. All of it is one allocation, since every
// request has one.
type caller struct {
	context.Context
	// auth is who identified the caller: what one Auth has verified means
	// nothing to another, unless [Auth.WithTokens] made it of it.
	auth *Auth
	// request and client are for [ClientFrom]: few handlers ask for it.
	request *http.Request
	client  atomic.Pointer[Client]
	// own is the identity, if it is known. anonymous hides one that is known
	// further out. None of the three changes once the context is handed on.
	known, anonymous bool
	own              ownIdentity
	// outcome and answer are for endpoints: answer is the header of what they answer.
	outcome outcome
	answer  http.Header
}

// Value implements [context.Context].
func (c *caller) Value(key any) any {
	switch key.(type) {
	case identityKey:
		if c.known || c.anonymous {
			return c
		}
	case clientKey:
		return *c.who()
	case outcomeKey:
		return &c.outcome
	case answerKey:
		return c.answer
	}
	return c.Context.Value(key)
}

// who says who calls, unless the host or a middleware further out has said so
// already. It is made out when first asked for, and the same from then on: most
// requests never ask, and a request id alone costs as much as all of [Auth.Require].
func (c *caller) who() *Client {
	if known := c.client.Load(); known != nil {
		return known
	}
	client, said := c.Context.Value(clientKey{}).(Client)
	if !said {
		r := c.request
		client = Client{IP: c.auth.remoteIP(r), UserAgent: r.UserAgent(), DeviceID: r.Header.Get("X-Device-ID"),
			DeviceToken: c.auth.deviceOf(r), RequestID: uuid.NewString()}
	}
	c.client.CompareAndSwap(nil, &client)
	return c.client.Load()
}

// String hides what is in the context: the request has a token.
func (c *caller) String() string { return "jwtauth.caller" }

// GoString is String, for %#v.
func (c *caller) GoString() string { return c.String() }

// caller returns a context for r that is not handed on yet.
func (a *Auth) caller(r *http.Request) *caller {
	return &caller{Context: r.Context(), auth: a, request: r}
}

// answering is caller, for a request that an endpoint answers.
func (a *Auth) answering(w http.ResponseWriter, r *http.Request) *caller {
	c := a.caller(r)
	c.answer = w.Header()
	return c
}

// FromContext returns the identity that [Auth.Authenticate], [Auth.Require] or
// [Auth.RequireRole] has put there; false for an anonymous caller. All of one
// request get the same, and no other request does.
func FromContext(ctx context.Context) (*Identity, bool) {
	c, ok := ctx.Value(identityKey{}).(*caller)
	if !ok || !c.known {
		return nil, false
	}
	return &c.own.Identity, true
}

// Authenticate identifies the caller where it can and goes on either way: with
// a valid token [FromContext] has the identity, without one, or with one that
// is not accepted, the caller is anonymous. A store that does not answer is 503.
//
// Use it for pages that everybody may see. For all others use [Auth.Require].
func (a *Auth) Authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, r, err := a.identify(r)
		if err != nil && Status(err) != http.StatusUnauthorized {
			a.refuse(w, r, err)
			return
		}
		if err != nil {
			c.anonymous = true
		}
		next.ServeHTTP(w, r)
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
			c, r, err := a.identify(r)
			if err == nil && len(roles) > 0 && !c.own.HasRole(roles...) {
				err = ErrForbidden
			}
			if err != nil {
				a.refuse(w, r, a.refusedAccess(r.Context(), &c.own.Identity, err))
				return
			}
			next.ServeHTTP(w, r)
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
			c, r, err := a.identify(r)
			var key string
			if err == nil {
				key = sessionKey(&c.own.Identity)
			} else {
				key = sourceKey(r)
			}
			if err := a.limit(r.Context(), w.Header(), hostRoute+name, key, rule); err != nil {
				a.refuse(w, r, err)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// refuse answers a request to a route of the host.
func (a *Auth) refuse(w http.ResponseWriter, r *http.Request, err error) {
	a.Explain(w, r, err)
	writeError(w, err)
}

// hostRoute stands in front of the names that a host chose.
const hostRoute = "host:"

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
		return a.unlimited(ctx, err)
	}
	u = u.rounded(now)
	writeUsage(h, u)
	if !u.Allowed {
		a.meter.limited(ctx, name)
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
// finds the identity of the one before it. The request that it returns has the
// caller for its context, with an identity or without.
func (a *Auth) identify(r *http.Request) (*caller, *http.Request, error) {
	if c, ok := r.Context().Value(identityKey{}).(*caller); ok && c.auth.verifier == a.verifier && c.known {
		return c, r, nil
	}
	c := a.caller(r)
	token, err := a.tokenOf(r)
	if err == nil {
		err = a.verifier.identify(c, token, &c.own)
	}
	c.known = err == nil
	return c, r.WithContext(c), err
}

// tokenOf returns the token of a request: from its header, else its cookie.
func (a *Auth) tokenOf(r *http.Request) (string, error) {
	token, err := bearer(r.Header)
	if err == nil && token == "" {
		token, err = a.cookieToken(r, accessCookie)
	}
	if err == nil && token == "" {
		err = ErrMissingToken
	}
	return token, err
}

// WithIdentity returns a request whose context says who calls, for
// [FromContext] and for the records of what is done: for handlers that take
// tokens from elsewhere and have verified id with [Auth.Verify].
func (a *Auth) WithIdentity(r *http.Request, id *Identity) *http.Request {
	c := a.caller(r)
	c.known = true
	c.own.set(id)
	return r.WithContext(c)
}
