package jwtauth

import (
	"context"
	"net/netip"

	"github.com/go-jwtauth/jwtauth/internal/publicnet"
)

// Client says who calls: the address, the browser or app, and an id for the
// request in logs. The HTTP layer puts one in the context of each request;
// a host that calls [Auth.Login] from elsewhere (gRPC, a queue) may put its own
// there with [WithClient]. Its absence is not an error: the limits that count
// by address then do not apply, and events carry no address.
type Client struct {
	// IP is the caller's address. Use [netip.Addr.Unmap] on what comes from
	// a socket.
	IP netip.Addr
	// UserAgent names the browser or app, as the caller wrote it. It is cut
	// to 256 bytes where it is kept.
	UserAgent string
	// DeviceID is an optional id that the caller chose for its device. It
	// is a label and proves nothing.
	DeviceID string
	// DeviceToken is what an earlier [Grant] gave to this device. It proves
	// that the device has logged in to an account before.
	DeviceToken Secret
	// RequestID ties log lines and events of one request together.
	RequestID string
}

type clientKey struct{}

// WithClient returns a context that says who calls.
func WithClient(ctx context.Context, c Client) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

// ClientFrom returns who calls; the zero Client where nobody said so.
func ClientFrom(ctx context.Context) Client {
	c, _ := ctx.Value(clientKey{}).(Client)
	return c
}

// parseAddress reads an address in its one spelling.
func parseAddress(text string) (netip.Addr, error) {
	ip, err := netip.ParseAddr(text)
	return ip.Unmap(), err
}

// sourceOf is Source for an address that was stored as text.
func sourceOf(address string) string {
	ip, err := parseAddress(address)
	if err != nil {
		return ""
	}
	return Client{IP: ip}.Source()
}

// Source is the address as limits count it: an IPv4 address, or the /64 prefix
// of an IPv6 address, since one subscriber has all of it. "" where the address
// is unknown.
func (c Client) Source() string {
	ip := c.IP.Unmap().WithZone("")
	if !ip.IsValid() {
		return ""
	}
	if ip.Is4() || publicnet.NAT64.Contains(ip) {
		return ip.String()
	}
	p, err := ip.Prefix(64)
	if err != nil {
		return ""
	}
	return p.String()
}
