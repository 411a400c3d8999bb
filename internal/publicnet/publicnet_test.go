package publicnet

// These tests are internal because the control function of the dialer is: it shows
// from outside only in which connections are refused.

import (
	"net/netip"
	"testing"
)

func TestAddr(t *testing.T) {
	for addr, public := range map[string]bool{
		"0.0.0.0": false, "0.1.2.3": false, "1.0.0.1": true, "8.8.8.8": true, "9.255.255.255": true,
		"10.0.0.0": false, "10.255.255.255": false, "11.0.0.0": true,
		"100.63.255.255": true, "100.64.0.0": false, "100.100.100.200": false, "100.127.255.255": false, "100.128.0.0": true,
		"127.0.0.1": false, "127.255.255.255": false, "128.0.0.1": true,
		"168.63.129.15": true, "168.63.129.16": false,
		"169.253.255.255": true, "169.254.0.0": false, "169.254.169.254": false, "169.254.170.2": false, "169.255.0.0": true,
		"172.15.255.255": true, "172.16.0.0": false, "172.31.255.255": false, "172.32.0.0": true,
		"192.0.0.8": false, "192.0.0.192": false, "192.0.1.0": true, "192.0.2.1": false, "192.88.99.1": false,
		"192.167.255.255": true, "192.168.0.0": false, "192.168.255.255": false, "192.169.0.0": true,
		"198.17.255.255": true, "198.18.0.1": false, "198.19.255.255": false, "198.20.0.0": true, "198.51.100.1": false,
		"203.0.113.1": false, "203.0.114.1": true, "223.255.255.255": true,
		"224.0.0.1": false, "239.255.255.255": false, "240.0.0.1": false, "255.255.255.255": false,

		"::": false, "::1": false, "::127.0.0.1": false, "::8.8.8.8": false, // IPv4-compatible
		"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:8.8.8.8": true, // IPv4-mapped
		"::ffff:0:8.8.8.8":   false,                                                              // IPv4-translated
		"64:ff9b::127.0.0.1": false, "64:ff9b::169.254.169.254": false, "64:ff9b::8.8.8.8": true, // NAT64
		"64:ff9b:1::8.8.8.8": false, // local NAT64
		"100::1":             false, // discard-only
		"1fff:ffff::1":       false,
		"2000::1":            true, "2001::1": false /* Teredo */, "2001:1ff::1": false, "2001:200::1": true,
		"2001:db8::1": false, "2001:4860:4860::8888": true,
		"2002:7f00:1::": false, "2002:808:808::1": false, // 6to4
		"2606:4700::1111": true,
		"3ffe::1":         true, "3fff::1": false, "3fff:fff::1": false, "3fff:1000::1": true, "4000::1": false,
		"5f00::1": false, "fc00::1": false, "fd00:ec2::254": false, "fe80::1": false, "fe80::1%eth0": false,
		"2606:4700::1111%eth0": false, "::ffff:8.8.8.8%eth0": false, "fec0::1": false, "ff02::1": false,
	} {
		if got := Addr(netip.MustParseAddr(addr)); got != public {
			t.Errorf("%s: got %v, want %v", addr, got, public)
		}
	}
	if Addr(netip.Addr{}) {
		t.Error("the zero address is public")
	}
}

func TestHost(t *testing.T) {
	for host, public := range map[string]bool{
		"hook.example.com": true, "hook.example.com.": true, "xn--bcher-kva.example": true, "1password.com": true, "a.b2": true,
		"8.8.8.8": true, "2606:4700::1111": true, "127.0.0.1": false, "::1": false, "fe80::1%eth0": false,
		"": false, ".": false, "..": false, "localhost": false, "LOCALHOST.": false, "a.localhost": false, "notlocalhost": false,
		"notlocalhost.com": true, "intranet": false, "printer.local": false, "metadata.google.internal": false, "nas.home.arpa": false,
		"127.1": false, "127.0.0.1.": false, "0177.0.0.1": false, "2130706433": false, "0x7f000001": false, "0x7f.1": false,
		"1.2.3.0x4": false, "a.1": false, "127\u30020\u30020\u30021": false, "b\u00fccher.example": false, "a b.com": false, "a%00.com": false,
	} {
		if got := Host(host); got != public {
			t.Errorf("%q: got %v, want %v", host, got, public)
		}
	}
}

func TestRefusePrivate(t *testing.T) {
	for address, ok := range map[string]bool{
		"8.8.8.8:443": true, "[2606:4700::1111]:443": true, "127.0.0.1:443": false, "[::1]:443": false,
		"[::ffff:127.0.0.1]:443": false, "[fe80::1%eth0]:443": false,
		"": false, "8.8.8.8": false, "localhost:443": false, "/run/socket": false,
	} {
		if err := refusePrivate("tcp", address, nil); (err == nil) != ok {
			t.Errorf("%q: got %v", address, err)
		}
	}
}
