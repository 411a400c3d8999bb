package jwtauth

import (
	"errors"
	"net/netip"
	"syscall"
)

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

// publicAddr reports whether an address may be dialled for a URL that somebody
// else had a hand in. It is to be asked about the address of the connection
// itself: what a name resolved to earlier proves nothing.
func publicAddr(ip netip.Addr) bool {
	if !ip.IsValid() || ip.Zone() != "" {
		return false
	}
	ip = ip.Unmap() // RFC 4291, section 2.5.5.2: another spelling of IPv4
	if nat64.Contains(ip) {
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

var errPrivateAddr = errors.New("the address is not on the public internet")

// refusePrivate is a Control function of net.Dialer. It runs on the resolved
// address of each connection attempt, so a name that resolves differently the
// second time gains nothing.
func refusePrivate(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || !publicAddr(ap.Addr()) {
		return errPrivateAddr
	}
	return nil
}
