package jwtauth

// The rules of lists and proxies are tested inside the package: over HTTP only
// addresses that a connection can have would reach them.

import (
	"encoding/json"
	"net/netip"
	"os"
	"testing"
)

func loadWeb(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile("testdata/web/" + name)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestIPListVectors(t *testing.T) {
	var file struct {
		Vectors []struct{ Pattern, Addr, Expect, Why string }
	}
	loadWeb(t, "ip_allowlist_vectors.json", &file)
	if len(file.Vectors) < 30 {
		t.Fatalf("only %d vectors", len(file.Vectors))
	}
	for _, v := range file.Vectors {
		t.Run(v.Pattern+" "+v.Addr, func(t *testing.T) {
			l, err := newIPList([]string{v.Pattern})
			if (err != nil) != (v.Expect == "config-error") {
				t.Fatalf("list accepted: %v, want %s: %s", err, v.Expect, v.Why)
			}
			if err != nil {
				return
			}
			addr, parseErr := netip.ParseAddr(v.Addr)
			if ap, err := netip.ParseAddrPort(v.Addr); err == nil {
				addr, parseErr = ap.Addr(), nil
			}
			if got := parseErr == nil && l.holds(addr); got != (v.Expect == "match") {
				t.Errorf("holds: %v, want %s: %s", got, v.Expect, v.Why)
			}
		})
	}
}

func TestListsThatAreNoLists(t *testing.T) {
	if l, err := newIPList(nil); l != nil || err != nil || !l.holds(netip.MustParseAddr("192.0.2.1")) {
		t.Errorf("no list: %v, %v; it must hold everything", l, err)
	}
	for _, entries := range [][]string{{""}, {" , "}, {","}} {
		if _, err := newIPList(entries); err == nil {
			t.Errorf("%q opened the gate", entries)
		}
	}
	l, err := newIPList([]string{"0.0.0.0/0", "::/0"})
	if err != nil || l.holds(netip.Addr{}) {
		t.Errorf("an unknown address is in the list: %v", err)
	}
}

func TestForwardedForVectors(t *testing.T) {
	var file struct {
		Vectors []struct {
			ID, Peer string
			Headers  map[string]any
			Client   string `json:"expect_client"`
			Why      string
		}
	}
	loadWeb(t, "forwarded_for_vectors.json", &file)
	if len(file.Vectors) < 15 {
		t.Fatalf("only %d vectors", len(file.Vectors))
	}
	for _, v := range file.Vectors {
		t.Run(v.ID, func(t *testing.T) {
			header := headerXFF
			if _, chosen := v.Headers[headerForwarded]; chosen {
				header = headerForwarded
			}
			p, err := newProxies(ProxyConfig{Trusted: []string{"10.0.0.0/8", "2001:db8:ffff::/48"}, Header: header})
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			switch value := v.Headers[header].(type) {
			case string:
				lines = []string{value}
			case []any:
				for _, line := range value {
					lines = append(lines, line.(string))
				}
			}
			if got := p.client(netip.MustParseAddrPort(v.Peer).Addr(), lines); got.String() != v.Client {
				t.Errorf("client is %s, want %s: %s", got, v.Client, v.Why)
			}
		})
	}
}

func TestForwardedHeader(t *testing.T) {
	p, err := newProxies(ProxyConfig{Trusted: []string{"10.0.0.0/8"}, Header: headerForwarded})
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		`for=198.51.100.7`: "198.51.100.7",
		`For="[2001:db8::7]:4711";proto=https;by=203.0.113.43`: "2001:db8::7",
		`for=1.1.1.1, proto=http; for="198.51.100.7:80"`:       "198.51.100.7",
		`for=1.1.1.1, for=10.0.0.2`:                            "1.1.1.1",
		`for=unknown`:                                          "10.0.0.1",
		`by=198.51.100.7`:                                      "10.0.0.1",
		`for=1.1.1.1, for=_secret, for=10.0.0.2`:               "10.0.0.2",
		`for="[fe80::1%eth0]"`:                                 "10.0.0.1",
		``:                                                     "10.0.0.1",
	} {
		if got := p.client(netip.MustParseAddr("10.0.0.1"), []string{line}); got.String() != want {
			t.Errorf("%s: client is %s, want %s", line, got, want)
		}
	}
}

func FuzzForwardedFor(f *testing.F) {
	for _, s := range []string{"1.1.1.1, 10.0.0.2", `for="[::1]:1"`, ",,", "10.0.0.1,10.0.0.2,10.0.0.3"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, line string, forwarded bool) {
		cfg := ProxyConfig{Trusted: []string{"10.0.0.0/8"}}
		if forwarded {
			cfg.Header = headerForwarded
		}
		p, err := newProxies(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.client(netip.MustParseAddr("10.0.0.1"), []string{line}); !got.IsValid() || got.Is4In6() || got.Zone() != "" {
			t.Fatalf("client is %v", got)
		}
		if got := p.client(netip.MustParseAddr("203.0.113.9"), []string{line}); got.String() != "203.0.113.9" {
			t.Fatalf("a peer that is not trusted was believed: %v", got)
		}
	})
}
