package smtpmail

import (
	"testing"
	"time"
)

// Internal: a Mailer does not show what it was made of, and Open can't be told
// of the certificate of a test server.
func TestURLSettings(t *testing.T) {
	cases := []struct {
		url, address string
		want         Config
	}{
		{"smtp://h.example?from=a@example.test", "h.example:587", Config{Host: "h.example", From: "a@example.test"}},
		{"smtps://h.example?from=a@example.test", "h.example:465", Config{Host: "h.example", From: "a@example.test", ImplicitTLS: true}},
		{"smtp://u%40x:p%40s%2Fs%3A%25+1@h.example:25/?from=Example+%3Ca@example.test%3E", "h.example:25",
			Config{Host: "h.example", Port: 25, From: "Example <a@example.test>", Username: "u@x", Password: "p@s/s:%+1"}},
		{"smtp://[::1]:2525?from=a@example.test", "[::1]:2525", Config{Host: "::1", Port: 2525, From: "a@example.test"}},
	}
	for _, tc := range cases {
		got, err := parseURL(tc.url)
		// The fields one by one: a Config does not show its password.
		if err != nil || got.Host != tc.want.Host || got.Port != tc.want.Port || got.From != tc.want.From || got.Username != tc.want.Username ||
			got.Password != tc.want.Password || got.ImplicitTLS != tc.want.ImplicitTLS || got.InsecurePlaintext || got.TLS != nil {
			t.Errorf("%s: %#v, %v", tc.url, got, err)
		}
		if address := got.address(); address != tc.address {
			t.Errorf("%s connects to %s", tc.url, address)
		}
	}
}

// Internal for the default, which nobody waits for.
func TestTimeoutDefault(t *testing.T) {
	m, err := New(Config{Host: "h", From: "a@example.test"})
	if err != nil || m.timeout != 15*time.Second {
		t.Errorf("%v, %v", m, err)
	}
}
