package jwtauth

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// origins is a list of origins that a browser may be sent to, in the form
// "https://app.example.com" or "https://app.example.com:8443".
type origins []string

// newOrigins brings origins into the one form that is compared.
func newOrigins(field string, list []string, allowHTTP bool) (origins, error) {
	var out origins
	var errs []error
	for i, s := range list {
		origin, rest, ok := splitOrigin(s)
		switch {
		case !ok || strings.Trim(rest, "/") != "" || len(rest) > 1:
			errs = append(errs, fmt.Errorf("jwtauth: Config.%s[%d] must be an origin such as https://app.example.com", field, i))
		case strings.HasPrefix(origin, "http://") && !allowHTTP && !loopback(hostOf(origin)):
			errs = append(errs, fmt.Errorf("jwtauth: Config.%s[%d] must use https", field, i))
		}
		out = append(out, origin)
	}
	return out, errors.Join(errs...)
}

// allow reports whether a browser that follows target ends at one of the
// origins. Browsers read a URL by the WHATWG standard, which forgives
// backslashes, control characters, missing slashes and much else that Go's
// net/url reads otherwise. Where two readers disagree an attacker lives, so
// this accepts only what no reader can take for anything else: an exact origin,
// then printable ASCII. Relative targets are refused as well.
func (o origins) allow(target string) bool {
	origin, _, ok := splitOrigin(target)
	if !ok {
		return false
	}
	for _, own := range o {
		if origin == own {
			return true
		}
	}
	return false
}

// splitOrigin cuts a URL after its authority. The origin comes back in lower
// case, without the default port.
func splitOrigin(s string) (origin, rest string, ok bool) {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\\\"<>^`{|}", c) >= 0 {
			return "", "", false
		}
	}
	scheme, after, found := strings.Cut(s, "://")
	scheme = strings.ToLower(scheme)
	if !found || scheme != "https" && scheme != "http" {
		return "", "", false
	}
	end := strings.IndexAny(after, "/?#")
	if end < 0 {
		end = len(after)
	}
	host := strings.ToLower(after[:end])
	if !plainHost(host) {
		return "", "", false
	}
	host = strings.TrimSuffix(host, map[string]string{"https": ":443", "http": ":80"}[scheme])
	return scheme + "://" + host, after[end:], true
}

// plainHost accepts a name or an IPv4 address with an optional port, or an IPv6
// address in brackets: no user info, no escapes.
func plainHost(host string) bool {
	if host == "" {
		return false
	}
	for i := range len(host) {
		c := host[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-._:[]", c) >= 0) {
			return false
		}
	}
	return true
}

// expandTarget fills the variables of a configured target in. Each value is
// escaped as a component, so that it can change neither the host nor the
// parameters around it. A variable without a value stays as it is written.
func expandTarget(target string, u User, site string) string {
	for name, value := range map[string]string{
		"user_id": u.ID, "user_email": u.Email, "user_login": u.Login,
		"user_first_name": u.Meta[MetaFirstName], "user_last_name": u.Meta[MetaLastName],
		"user_nicename": u.Meta[MetaNicename], "site_url": site,
	} {
		if value != "" {
			target = strings.ReplaceAll(target, "{{"+name+"}}", strings.ReplaceAll(url.QueryEscape(value), "+", "%20"))
		}
	}
	return target
}
