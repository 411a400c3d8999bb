package jwtauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"
)

// Gate lets requests in: it counts them on the limits and applies the rules of
// an [AccessConfig]. The native API stands behind one; [Auth.NewGate] makes
// another for endpoints that speak a different protocol.
type Gate struct {
	auth      *Auth
	access    access
	endpoints []string
}

// String names the endpoints and hides the codes.
func (g *Gate) String() string { return fmt.Sprintf("jwtauth.Gate%v", g.endpoints) }

// GoString is String, for %#v.
func (g *Gate) GoString() string { return g.String() }

// MarshalText is String, for encoding/json, log/slog and others.
func (g *Gate) MarshalText() ([]byte, error) { return hidden(g) }

// Limit names a limit of [LimitConfig] as it is counted. A caller has one bucket
// for each, whichever API a request comes through, so that a second API is no
// second set of tries. [Hooks] are told of it under this name.
type Limit string

// The limits. Those by token and by session count there only if the token is
// valid, and on the address otherwise, so that garbage makes no buckets.
const (
	LimitLogin          Limit = "login"               // LimitConfig.Login, by address
	LimitRegister       Limit = "register"            // LimitConfig.Register, by address
	LimitValidate       Limit = "validate"            // LimitConfig.Validate, by token
	LimitRefresh        Limit = "refresh"             // LimitConfig.Refresh, by session
	LimitRevoke         Limit = "revoke"              // LimitConfig.Revoke, by token
	LimitChangePassword Limit = "change-password"     // LimitConfig.Account, by session
	LimitDelete         Limit = "delete-me"           // LimitConfig.Account, by session
	LimitForgot         Limit = "forgot-password"     // LimitConfig.Forgot, by address
	LimitResend         Limit = "resend-verification" // LimitConfig.Forgot, by address
	LimitReset          Limit = "reset-password"      // LimitConfig.Reset, by address
	LimitVerifyEmail    Limit = "verify-email"        // LimitConfig.Reset, by address
	LimitSSO            Limit = "sso-exchange"        // LimitConfig.SSO, by address
	LimitAutoLogin      Limit = "autologin"           // LimitConfig.SSO, by address
)

// rule returns the rule of a limit; false if there is no such limit.
func (l LimitConfig) rule(limit Limit) (Rule, bool) {
	switch limit {
	case LimitLogin:
		return l.Login, true
	case LimitRegister:
		return l.Register, true
	case LimitValidate:
		return l.Validate, true
	case LimitRefresh:
		return l.Refresh, true
	case LimitRevoke:
		return l.Revoke, true
	case LimitChangePassword, LimitDelete:
		return l.Account, true
	case LimitForgot, LimitResend:
		return l.Forgot, true
	case LimitReset, LimitVerifyEmail:
		return l.Reset, true
	case LimitSSO, LimitAutoLogin:
		return l.SSO, true
	}
	return Rule{}, false
}

// NewGate makes a gate for endpoints of the host's own, or of another protocol.
// cfg is theirs alone, with its codes; what it says of a name that is not among
// the endpoints is an error, since the endpoint that was meant would stay open.
func (a *Auth) NewGate(cfg AccessConfig, endpoints ...string) (*Gate, error) {
	return a.newGate("AccessConfig", cfg, endpoints)
}

func (a *Auth) newGate(field string, cfg AccessConfig, endpoints []string) (*Gate, error) {
	checked, err := newAccess(field, cfg)
	errs := []error{err}
	for name := range cfg.Endpoints {
		if !slices.Contains(endpoints, name) {
			errs = append(errs, fmt.Errorf("jwtauth: %s.Endpoints[%q]: there is no such endpoint", field, name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for _, i := range checked.weakCodes() {
		a.log.Warn("a code is short enough to be guessed: 16 random bytes are advised", "code", fmt.Sprintf("%s.Codes[%d]", field, i))
	}
	return &Gate{auth: a, access: checked, endpoints: slices.Clone(endpoints)}, nil
}

// Admission is what a request brings to be let in by [Gate.Admit].
type Admission struct {
	// Endpoint is one of those that the gate was made for.
	Endpoint string
	// Limit is what the request counts on; "" for none.
	Limit Limit
	// Token is the access token that the request brings, RefreshToken the
	// refresh token, and Code what it gives where a rule asks for a code. They
	// need not be valid; an absent one is "".
	Token, RefreshToken, Code string
}

// String hides the secrets.
func (ad Admission) String() string { return "jwtauth.Admission(" + ad.Endpoint + ")" }

// GoString hides the secrets.
func (ad Admission) GoString() string { return ad.String() }

// MarshalText is String, for encoding/json, log/slog and others.
func (ad Admission) MarshalText() ([]byte, error) { return hidden(ad) }

// Admit lets a request in or says why not. Call it before anything is done, and
// go on with the request that it returns, whose context says who calls (see
// [ClientFrom]); it is usable with an error as well. The code is the one that was given where
// one is asked for.
//
// In this order it counts the request and sets the X-RateLimit headers of the
// answer ([ErrRateLimited]), and applies the rule of the endpoint: what is off
// is refused with the code rest_no_route, a wrong address or role with
// [ErrForbidden], an anonymous caller with [ErrMissingToken] or
// [ErrInvalidToken], a wrong code with [ErrAuthCode]. Wrong codes count on the
// address besides, and past 10 a minute that is [ErrRateLimited] too.
//
// Whatever comes of it, the request ends with [Gate.Finish].
func (g *Gate) Admit(w http.ResponseWriter, r *http.Request, ad Admission) (*http.Request, AuthCode, error) {
	r = r.WithContext(g.auth.answering(w, r))
	code, err := g.pass(w.Header(), r, ad.Endpoint, ad.Limit, &visitor{auth: g.auth, r: r, ad: ad})
	return r, code, err
}

// applicant is what a gate has to know of whoever wants in. It asks for the
// identity only where that decides something.
type applicant interface {
	identity() (*Identity, error)
	refreshSession() string
	authCode() (string, error)
}

// pass is the whole way in: the limit, the rule of the endpoint, its code.
func (g *Gate) pass(h http.Header, r *http.Request, endpoint string, limit Limit, c applicant) (AuthCode, error) {
	if !slices.Contains(g.endpoints, endpoint) {
		return AuthCode{}, fmt.Errorf("jwtauth: this gate has no endpoint %q", endpoint)
	}
	if err := g.count(h, r, limit, c); err != nil {
		return AuthCode{}, err
	}
	rule, restricted := g.access.rules[endpoint]
	if !g.access.from.holds(ClientFrom(r.Context()).IP) {
		return AuthCode{}, rule.refusedAddress()
	}
	if !restricted {
		return AuthCode{}, nil
	}
	if err := rule.admit(r, c); err != nil || !rule.Code {
		return AuthCode{}, err
	}
	return g.checkCode(r, endpoint, c)
}

func (g *Gate) count(h http.Header, r *http.Request, limit Limit, c applicant) error {
	if limit == "" {
		return nil
	}
	rule, ok := g.auth.cfg.Limits.rule(limit)
	if !ok {
		return fmt.Errorf("jwtauth: there is no limit %q", limit)
	}
	return g.auth.limit(r.Context(), h, string(limit), limitKey(r, limit, c), rule)
}

// limitKey says on whom a limit counts.
func limitKey(r *http.Request, limit Limit, c applicant) string {
	switch limit {
	case LimitValidate, LimitRevoke:
		if id, err := c.identity(); err == nil {
			return "t:" + id.TokenID
		}
	case LimitRefresh, LimitChangePassword, LimitDelete:
		if limit == LimitRefresh && c.refreshSession() != "" {
			return "s:" + c.refreshSession()
		}
		if id, err := c.identity(); err == nil {
			return sessionKey(id)
		}
	}
	return sourceKey(r)
}

// refusedAddress is what a wrong address is told. What is off looks like what
// does not exist, to everybody.
func (rule accessRule) refusedAddress() error {
	if rule.Off {
		return errNoRoute
	}
	return ErrForbidden
}

// admit applies a rule, but for its code. What is off looks like what does not
// exist; a refused address learns nothing about the list.
func (rule accessRule) admit(r *http.Request, c applicant) error {
	switch {
	case rule.Off, !rule.from.holds(ClientFrom(r.Context()).IP):
		return rule.refusedAddress()
	case !rule.Authenticated && len(rule.Roles) == 0:
		return nil
	}
	id, err := c.identity()
	if err == nil && len(rule.Roles) > 0 && !id.HasRole(rule.Roles...) {
		err = ErrForbidden
	}
	return err
}

// codeRule bounds wrong codes by address.
var codeRule = Rule{Limit: 10, Per: time.Minute}

// checkCode asks for a code. A try counts on the address before anything is
// compared, and a right one is taken back: past ten wrong ones in a minute not
// even the right one gets in from there, or the limit would bound nothing.
func (g *Gate) checkCode(r *http.Request, endpoint string, c applicant) (AuthCode, error) {
	given, err := c.authCode()
	if err != nil {
		return AuthCode{}, err
	}
	takeBack, err := g.auth.countCode(r.Context(), "code:"+sourceKey(r))
	if err != nil {
		return AuthCode{}, err
	}
	code, ok := g.access.code(endpoint, given, g.auth.now())
	if !ok {
		return AuthCode{}, ErrAuthCode
	}
	return code, takeBack()
}

func (a *Auth) countCode(ctx context.Context, key string) (takeBack func() error, err error) {
	if a.cfg.Limits.Disabled {
		return func() error { return nil }, nil
	}
	now := a.now()
	n, err := a.counters.Hit(ctx, key, codeRule.Limit, codeRule.Per, now)
	switch {
	case err != nil:
		return nil, storeFault(err)
	case !n.Admitted:
		a.meter.limited(ctx, "code")
		return nil, ErrRateLimited.after(n.Reset.Sub(now))
	}
	return func() error { return storeFault(a.counters.Refund(context.WithoutCancel(ctx), key, now)) }, nil
}

// visitor is the applicant of [Gate.Admit].
type visitor struct {
	auth *Auth
	r    *http.Request
	ad   Admission
	once onceIdentity
}

func (v *visitor) identity() (*Identity, error) {
	return v.once.verify(func() (*Identity, error) {
		if v.ad.Token == "" {
			return nil, ErrMissingToken
		}
		return v.auth.Verify(v.r.Context(), v.ad.Token)
	})
}

func (v *visitor) refreshSession() string { return v.auth.RefreshSession(v.ad.RefreshToken) }

func (v *visitor) authCode() (string, error) { return v.ad.Code, nil }

// onceIdentity is the outcome of verifying the token of a request, once it was
// asked for.
type onceIdentity struct {
	id   *Identity
	err  error
	done bool
}

func (o *onceIdentity) verify(f func() (*Identity, error)) (*Identity, error) {
	if !o.done {
		o.done = true
		o.id, o.err = f()
	}
	return o.id, o.err
}

// remoteIP is the address that a request comes from. A header is believed only
// from a proxy that is trusted: any client can write one.
func (a *Auth) remoteIP(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	lines := r.Header.Values(a.proxies.header)
	if len(lines) > 0 && a.proxies.trusted == nil {
		a.observed.forwarded.Store(true)
	}
	return a.proxies.client(ap.Addr(), lines)
}

// weakCodes names the codes that are shorter than advised, for the log.
func (a access) weakCodes() (places []int) {
	for i, c := range a.codes {
		if len(c.Code) < adviseCode {
			places = append(places, i)
		}
	}
	return slices.Clip(places)
}
