package jwtauth

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// AccessConfig says who may use which endpoint.
type AccessConfig struct {
	// Endpoints has a rule for each endpoint that is not open as it comes, by
	// the name of its [Route], for example "register". A rule for "autologin"
	// covers its confirmation as well. The routes "token" and "login" do the
	// same and have a rule each.
	Endpoints map[string]AccessRule
	// AllowIPs lists the only addresses that may call any endpoint, as
	// [AccessRule.AllowIPs] does for one. Empty: all. Where both are given, an
	// address must be in both.
	AllowIPs []string
	// Codes are accepted where a rule asks for a code.
	Codes []AuthCode
}

// AccessRule restricts one endpoint. All of its parts must be met; the zero
// value restricts nothing.
type AccessRule struct {
	// Off answers as if the endpoint did not exist.
	Off bool
	// Authenticated asks for a valid access token.
	Authenticated bool
	// Roles asks for one with at least one of these roles.
	Roles []string
	// AllowIPs lists the only addresses that may call: single addresses,
	// CIDR prefixes, or IPv4 with * for whole octets ("85.*.*.*"). An entry
	// may also hold several, separated by commas.
	AllowIPs []string
	// Code asks for one of [AccessConfig.Codes], as the member AUTH_CODE or
	// AUTH_KEY of the body.
	Code bool
}

// AuthCode is a secret that an endpoint asks for besides everything else.
type AuthCode struct {
	// Code is the secret: 16 random bytes or more are advised, and New warns
	// about less.
	Code Secret
	// Role is given to accounts that register with this code, instead of
	// [RegistrationConfig.Roles]. Empty: those.
	Role string
	// Expires ends it. Zero: never.
	Expires time.Time
	// Endpoints limits it to these endpoints. Empty: all that ask for one.
	Endpoints []string
}

// ProxyConfig says whose word about the caller's address is believed.
type ProxyConfig struct {
	// Trusted lists the proxies, as [AccessRule.AllowIPs] does. Default:
	// none, and the address of the connection counts.
	Trusted []string
	// Header is what they write: "X-Forwarded-For" (default) or "Forwarded"
	// (RFC 7239). No other header is ever read.
	Header string
}

const (
	headerXFF       = "X-Forwarded-For"
	headerForwarded = "Forwarded"
	// maxHops bounds what one request can make us read.
	maxHops = 32
	// adviseCode is the length of 16 random bytes in base64.
	adviseCode = 22
)

// access is an AccessConfig that was checked.
type access struct {
	from  *ipList
	rules map[string]accessRule
	codes []authCode
}

type accessRule struct {
	AccessRule
	from *ipList
}

// authCode keeps a digest, so that all comparisons take equally long.
type authCode struct {
	AuthCode
	digest [sha256.Size]byte
}

// newAccess reports every mistake; field is where cfg is written.
func newAccess(field string, cfg AccessConfig) (access, error) {
	from, err := newIPList(cfg.AllowIPs)
	a := access{from: from, rules: make(map[string]accessRule, len(cfg.Endpoints))}
	errs := []error{inField(field+".AllowIPs", err)}
	for name, rule := range cfg.Endpoints {
		rule.Roles = slices.Clone(rule.Roles)
		from, err := newIPList(rule.AllowIPs)
		errs = append(errs, inField(fmt.Sprintf("%s.Endpoints[%q].AllowIPs", field, name), err))
		if rule.Code && len(cfg.Codes) == 0 {
			errs = append(errs, fmt.Errorf("jwtauth: %s.Endpoints[%q] asks for a code, and there is none", field, name))
		}
		a.rules[name] = accessRule{rule, from}
	}
	for i, c := range cfg.Codes {
		if c.Code == "" {
			errs = append(errs, fmt.Errorf("jwtauth: %s.Codes[%d] is empty", field, i))
		}
		if c.Role != "" {
			errs = append(errs, inField(fmt.Sprintf("%s.Codes[%d].Role", field, i), checkRoles([]string{c.Role})))
		}
		c.Endpoints = slices.Clone(c.Endpoints)
		a.codes = append(a.codes, authCode{c, sha256.Sum256([]byte(c.Code))})
	}
	return a, errors.Join(errs...)
}

// inField says in which field a mistake is.
func inField(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("jwtauth: %s: %w", name, err)
}

// code finds the code for an endpoint. It compares with all of them, so that
// the duration tells neither which one nor how much of it fits.
func (a access) code(endpoint, given string, now time.Time) (AuthCode, bool) {
	digest := sha256.Sum256([]byte(given))
	var found AuthCode
	ok := false
	for _, c := range a.codes {
		equal := hmac.Equal(c.digest[:], digest[:])
		live := c.Expires.IsZero() || now.Before(c.Expires)
		here := len(c.Endpoints) == 0 || slices.Contains(c.Endpoints, endpoint)
		if equal && live && here && !ok {
			found, ok = c.AuthCode, true
		}
	}
	return found, ok && given != ""
}

// ipList holds addresses, prefixes and octet patterns. Nil holds everything.
type ipList struct {
	prefixes []netip.Prefix
	patterns [][4]int // -1 for any
}

// newIPList returns nil for an empty list. A list that holds nothing but empty
// entries is a mistake, not an open door.
func newIPList(entries []string) (*ipList, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	l := &ipList{}
	var errs []error
	for _, entry := range entries {
		for item := range strings.SplitSeq(entry, ",") {
			if item = strings.TrimSpace(item); item != "" {
				errs = append(errs, l.add(item))
			}
		}
	}
	if len(l.prefixes)+len(l.patterns) == 0 && errors.Join(errs...) == nil {
		errs = append(errs, errors.New("the list holds no address"))
	}
	return l, errors.Join(errs...)
}

func (l *ipList) add(item string) error {
	if strings.Contains(item, "*") {
		pattern, ok := parseOctets(item)
		if !ok {
			return fmt.Errorf("%q is not four octets, each a number or *", item)
		}
		l.patterns = append(l.patterns, pattern)
		return nil
	}
	if strings.Contains(item, "/") {
		p, err := netip.ParsePrefix(item)
		switch {
		case err != nil:
			return fmt.Errorf("%q is not a prefix", item)
		case p != p.Masked():
			return fmt.Errorf("%q has bits set behind its prefix: %s is meant?", item, p.Masked())
		}
		l.prefixes = append(l.prefixes, p)
		return nil
	}
	addr, err := netip.ParseAddr(item)
	if err != nil || addr.Zone() != "" {
		return fmt.Errorf("%q is not an address", item)
	}
	addr = addr.Unmap()
	l.prefixes = append(l.prefixes, netip.PrefixFrom(addr, addr.BitLen()))
	return nil
}

func parseOctets(s string) (octets [4]int, ok bool) {
	parts := strings.Split(s, ".")
	if len(parts) != 4 {
		return octets, false
	}
	for i, part := range parts {
		if part == "*" {
			octets[i] = -1
			continue
		}
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil || strconv.FormatUint(n, 10) != part {
			return octets, false
		}
		octets[i] = int(n)
	}
	return octets, true
}

// holds reports whether the list has an address. An unknown address is in no
// list.
func (l *ipList) holds(addr netip.Addr) bool {
	if l == nil {
		return true
	}
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return false
	}
	for _, p := range l.prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	if !addr.Is4() {
		return false
	}
	b := addr.As4()
	return slices.ContainsFunc(l.patterns, func(p [4]int) bool {
		for i, want := range p {
			if want >= 0 && want != int(b[i]) {
				return false
			}
		}
		return true
	})
}

// proxies is a ProxyConfig that was checked.
type proxies struct {
	trusted *ipList // nil: nobody
	header  string
}

func newProxies(cfg ProxyConfig) (proxies, error) {
	trusted, err := newIPList(cfg.Trusted)
	p := proxies{trusted: trusted, header: cfg.Header}
	defaultTo(&p.header, headerXFF)
	if p.header != headerXFF && p.header != headerForwarded {
		err = errors.Join(err, errors.New("it must be X-Forwarded-For or Forwarded"))
	}
	return p, inField("Config.Proxies", err)
}

// client returns who called, by the peer of the connection and the lines of the
// configured header. Each proxy appends whom it heard from, so the lines are
// read from the right, for as long as the one who wrote an entry is trusted.
// Everything further left could have been written by anybody. An entry that is
// no address ends it: then the last proxy that is known counts.
func (p proxies) client(peer netip.Addr, lines []string) netip.Addr {
	peer = peer.Unmap()
	if p.trusted == nil || !peer.IsValid() {
		return peer
	}
	rest := strings.Join(lines, ",")
	for hops := 0; hops < maxHops && rest != "" && p.trusted.holds(peer); hops++ {
		cut := strings.LastIndexByte(rest, ',')
		hop, ok := p.hop(rest[cut+1:])
		if !ok {
			return peer
		}
		peer, rest = hop, rest[:max(cut, 0)]
	}
	return peer
}

// hop reads one entry of the header.
func (p proxies) hop(entry string) (netip.Addr, bool) {
	entry = strings.TrimSpace(entry)
	if p.header == headerForwarded {
		entry = forwardedFor(entry)
	}
	if addr, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil && addr.Zone() == "" {
		return addr.Unmap(), true
	}
	ap, err := netip.ParseAddrPort(entry)
	return ap.Addr().Unmap(), err == nil && ap.Addr().Zone() == ""
}

// forwardedFor returns the for parameter of one element (RFC 7239, section 4).
func forwardedFor(element string) string {
	for pair := range strings.SplitSeq(element, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if strings.EqualFold(name, "for") {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}
