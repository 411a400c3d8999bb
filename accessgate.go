package jwtauth

import (
	"net/http"
	"net/netip"
	"slices"
	"time"
)

// remoteIP is the address that a request comes from. A header is believed only
// from a proxy that is trusted: any client can write one.
func (a *Auth) remoteIP(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return a.proxies.client(ap.Addr(), r.Header.Values(a.proxies.header))
}

// admit applies the rule of an endpoint, before anything is done. What is off
// looks like what does not exist; a refused address learns nothing about the
// list.
func (c *call) admit(e endpoint) error {
	rule, restricted := c.auth.access.rules[ruleName(e)]
	switch {
	case !restricted:
		return nil
	case rule.Off:
		return errNoRoute
	case !rule.from.holds(ClientFrom(c.r.Context()).IP):
		return ErrForbidden
	case rule.Authenticated || len(rule.Roles) > 0:
		id, err := c.identity()
		if err != nil {
			return err
		}
		if len(rule.Roles) > 0 && !id.HasRole(rule.Roles...) {
			return ErrForbidden
		}
	}
	if rule.Code {
		return c.checkCode(e)
	}
	return nil
}

// codeRule bounds wrong codes by address, under a name that is not let pass while
// the limiter is down: nothing else stands between a guess and the next one.
const codeLimit = "code"

var codeRule = Rule{Limit: 10, Per: time.Minute}

// checkCode asks for a code. Wrong ones count, whatever else is limited here.
func (c *call) checkCode(e endpoint) error {
	given := c.in.text("AUTH_CODE", "AUTH_KEY")
	if err := c.in.err(); err != nil {
		return err
	}
	code, ok := c.auth.access.code(ruleName(e), given, c.auth.now())
	if !ok {
		if err := c.auth.limit(c.r.Context(), c.w.Header(), codeLimit, sourceKey(c.r), codeRule); err != nil {
			return err
		}
		return ErrAuthCode
	}
	c.code = code
	return nil
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
