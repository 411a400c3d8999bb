// Package publicnet keeps requests to URLs that somebody else had a hand in on
// the public internet: a check of the URL, which tells the operator early, and a
// dialer that looks at the address of each connection, which decides.
package publicnet

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// ParseURL reads an absolute URL with https, or with http where that is
// allowed. Errors are what is wrong with "the URL", without a word of it: it may
// hold a secret.
func ParseURL(raw string, allowHTTP bool) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return nil, errors.New("is required")
	case err != nil:
		return nil, errNotAbsolute
	}
	return u, CheckURL(u, allowHTTP)
}

var errNotAbsolute = errors.New("is not an absolute URL")

// CheckURL is ParseURL for one that was parsed.
func CheckURL(u *url.URL, allowHTTP bool) error {
	switch {
	case u.Hostname() == "" || u.Opaque != "":
		return errNotAbsolute
	case u.Scheme == "http" && !allowHTTP:
		return errors.New("must use https (InsecureAllowHTTP accepts http)")
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("must use https")
	case u.User != nil || u.Fragment != "":
		return errors.New("must not have user info or a fragment")
	}
	return nil
}

// privateNames are names, and the ends of names, that no public name server
// answers for, or that each network answers for itself: RFC 6761, RFC 6762, RFC
// 8375, and .internal, which ICANN reserved for private use in 2024.
var privateNames = []string{"localhost", "localdomain", "local", "internal", "home.arpa"}

// Host reports whether the host of a URL can be on the public internet, as far
// as it can be told without resolving it. It refuses names that some resolvers
// read as an address: the last label of a public name is never a number.
func Host(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return Addr(ip)
	}
	for _, c := range []byte(host) {
		if c <= ' ' || c > '~' || c == '%' {
			return false // full-width dots and digits are read as others by IDNA; write the xn-- form
		}
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, name := range privateNames {
		if host == name || strings.HasSuffix(host, "."+name) {
			return false
		}
	}
	dot := strings.LastIndexByte(host, '.')
	last := host[dot+1:]
	return dot > 0 && last != "" && (last[0] < '0' || last[0] > '9')
}

// Transport dials directly: a proxy named by the environment would make the
// connection, and with it the choice of address, somebody else's. Unless
// allowPrivate is set it dials public addresses only. A nil resolver is the
// default one.
func Transport(timeout time.Duration, allowPrivate bool, resolver *net.Resolver) *http.Transport {
	dialer := &net.Dialer{Timeout: timeout, Resolver: resolver}
	if !allowPrivate {
		dialer.Control = refusePrivate
	}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    timeout,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// specialRanges are the IPv4 networks and, within 2000::/3, the IPv6 networks
// that are no destination on the public internet (the IANA special-purpose
// registries, RFC 6890), and what is one and belongs to somebody inside.
var specialRanges = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),        // this network: RFC 791
	netip.MustParsePrefix("10.0.0.0/8"),       // private: RFC 1918
	netip.MustParsePrefix("100.64.0.0/10"),    // carrier-grade NAT: RFC 6598
	netip.MustParsePrefix("127.0.0.0/8"),      // loopback: RFC 1122
	netip.MustParsePrefix("168.63.129.16/32"), // the host agent of Azure, a public address inside
	netip.MustParsePrefix("169.254.0.0/16"),   // link-local and cloud metadata: RFC 3927
	netip.MustParsePrefix("172.16.0.0/12"),    // private: RFC 1918
	netip.MustParsePrefix("192.0.0.0/24"),     // protocol assignments: RFC 6890
	netip.MustParsePrefix("192.0.2.0/24"),     // documentation: RFC 5737
	netip.MustParsePrefix("192.88.99.0/24"),   // 6to4 relays: RFC 7526
	netip.MustParsePrefix("192.168.0.0/16"),   // private: RFC 1918
	netip.MustParsePrefix("198.18.0.0/15"),    // benchmarks: RFC 2544
	netip.MustParsePrefix("198.51.100.0/24"),  // documentation: RFC 5737
	netip.MustParsePrefix("203.0.113.0/24"),   // documentation: RFC 5737
	netip.MustParsePrefix("224.0.0.0/4"),      // multicast: RFC 5771
	netip.MustParsePrefix("240.0.0.0/4"),      // reserved and broadcast: RFC 1112
	netip.MustParsePrefix("2001::/23"),        // protocol assignments, Teredo among them: RFC 2928
	netip.MustParsePrefix("2001:db8::/32"),    // documentation: RFC 3849
	netip.MustParsePrefix("2002::/16"),        // 6to4, which carries an IPv4 address: RFC 3056
	netip.MustParsePrefix("3fff::/20"),        // documentation: RFC 9637
}

// globalUnicast is all of IPv6 that is handed out to networks (RFC 4291,
// section 2.4, and the IANA registry). Loopback, link-local, site-local, unique
// local, multicast, discard-only, IPv4-compatible and locally translated
// addresses lie outside.
var globalUnicast = netip.MustParsePrefix("2000::/3")

// NAT64 is the well-known prefix of RFC 6052, section 2.1: each address below
// it is one IPv4 host, so a /64 there is not one subscriber.
var NAT64 = netip.MustParsePrefix("64:ff9b::/96")

// Addr reports whether an address may be dialled for a URL that somebody
// else had a hand in. It is to be asked about the address of the connection
// itself: what a name resolved to earlier proves nothing.
func Addr(ip netip.Addr) bool {
	if !ip.IsValid() || ip.Zone() != "" {
		return false
	}
	ip = ip.Unmap() // RFC 4291, section 2.5.5.2: another spelling of IPv4
	if NAT64.Contains(ip) {
		// Behind such a gateway it is the only way to IPv4 hosts, so the
		// host inside decides (RFC 6052, section 2.2).
		b := ip.As16()
		ip = netip.AddrFrom4([4]byte(b[12:]))
	}
	if ip.Is6() && !globalUnicast.Contains(ip) {
		return false
	}
	for _, r := range specialRanges {
		if r.Contains(ip) {
			return false
		}
	}
	return true
}

// ErrPrivate is why an address was not dialled.
var ErrPrivate = errors.New("the address is not on the public internet")

// refusePrivate is a Control function of net.Dialer. It runs on the resolved
// address of each connection attempt, so a name that resolves differently the
// second time gains nothing.
func refusePrivate(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || !Addr(ap.Addr()) {
		return ErrPrivate
	}
	return nil
}
