package smtpmail_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/authtest"
	"github.com/go-jwtauth/jwtauth/smtpmail"
)

const (
	user     = "no-reply"
	password = "planted-smtp-password"
)

// backend keeps what it is sent.
type backend struct {
	mu    sync.Mutex
	mails [][]byte
	users []string
}

func (b *backend) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{b: b}, nil }

func (b *backend) last(t *testing.T) []byte {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.mails) == 0 {
		t.Fatal("no mail arrived")
	}
	return b.mails[len(b.mails)-1]
}

type session struct{ b *backend }

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, name, pass string) error {
		if name != user || pass != password {
			return errors.New("wrong")
		}
		s.b.mu.Lock()
		defer s.b.mu.Unlock()
		s.b.users = append(s.b.users, name)
		return nil
	}), nil
}

func (s *session) Mail(string, *smtp.MailOptions) error { return nil }
func (s *session) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (s *session) Reset()                               {}
func (s *session) Logout() error                        { return nil }

func (s *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.b.mails = append(s.b.mails, data)
	return err
}

// certificate makes a self-signed one for localhost.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// serve starts a server and returns a Config that fits it.
func serve(t *testing.T, implicit, plain bool) (*backend, smtpmail.Config) {
	t.Helper()
	cert, pool := certificate(t)
	b := &backend{}
	s := smtp.NewServer(b)
	s.Domain = "localhost"
	s.AllowInsecureAuth = plain
	s.ErrorLog = discard{}
	if !plain {
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if implicit {
		l = tls.NewListener(l, s.TLSConfig)
	}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	return b, smtpmail.Config{Host: "localhost", Port: port, From: "Beispiel GmbH äöü <no-reply@example.test>", Username: user, Password: password,
		ImplicitTLS: implicit, InsecurePlaintext: plain, TLS: &tls.Config{RootCAs: pool}, Timeout: time.Minute}
}

type discard struct{}

func (discard) Printf(string, ...any) {}
func (discard) Println(...any)        {}

var message = jwtauth.Message{To: "zoë.o'hara@example.test", Subject: "Grüße – 🦊", Text: "Hallo äöü\n.\nEnde", HTML: "<p>Hallo äöü</p>"}

func TestDelivery(t *testing.T) {
	for name, mode := range map[string]struct{ implicit, plain bool }{
		"STARTTLS": {false, false}, "TLS from the first byte": {true, false}, "plain text where it is asked for": {false, true},
	} {
		t.Run(name, func(t *testing.T) {
			b, cfg := serve(t, mode.implicit, mode.plain)
			m, err := smtpmail.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			ascii := message
			ascii.To = "zoe@example.test"
			if err := m.Send(t.Context(), ascii); err != nil {
				t.Fatal(err)
			}
			got := parse(t, b.last(t))
			if got.subject != message.Subject || got.to != "<zoe@example.test>" || got.from != "Beispiel GmbH äöü" ||
				strings.ReplaceAll(got.text, "\r\n", "\n") != message.Text || got.html != message.HTML || got.auto != "auto-generated" {
				t.Errorf("delivered %+v", got)
			}
			if len(b.users) != 1 {
				t.Errorf("logged in %d times", len(b.users))
			}
		})
	}
}

// delivered is a mail as its reader sees it.
type delivered struct{ subject, from, to, text, html, auto string }

func parse(t *testing.T, raw []byte) delivered {
	t.Helper()
	m, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	var words mime.WordDecoder
	subject, err := words.DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	from, err := netmail.ParseAddress(m.Header.Get("From"))
	if err != nil || m.Header.Get("Date") == "" || m.Header.Get("Message-ID") == "" {
		t.Fatalf("headers %v: %v", m.Header, err)
	}
	d := delivered{subject: subject, from: from.Name, to: m.Header.Get("To"), auto: m.Header.Get("Auto-Submitted")}
	media, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || media != "multipart/alternative" {
		t.Fatalf("the mail is %s: %v", media, err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return d
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/html") {
			d.html = string(body)
		} else {
			d.text = string(body)
		}
	}
}

// What could be read on the way, or by somebody else, is not sent.
func TestDoubtfulServersRefused(t *testing.T) {
	cases := []struct {
		name            string
		implicit, plain bool
		change          func(*smtpmail.Config)
	}{
		{"wrong password", false, false, func(cfg *smtpmail.Config) { cfg.Password = "another" }},
		{"certificate of nobody we know", false, false, func(cfg *smtpmail.Config) { cfg.TLS = nil }},
		{"certificate of nobody we know, TLS from the first byte", true, false, func(cfg *smtpmail.Config) { cfg.TLS = nil }},
		{"certificate of another host", false, false, func(cfg *smtpmail.Config) { cfg.TLS.ServerName = "smtp.example.test" }},
		{"server without STARTTLS", false, true, func(cfg *smtpmail.Config) { cfg.InsecurePlaintext = false }},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			b, cfg := serve(t, tc.implicit, tc.plain)
			tc.change(&cfg)
			m, err := smtpmail.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			ascii := message
			ascii.To = "zoe@example.test"
			err = m.Send(t.Context(), ascii)
			if err == nil || len(b.mails) > 0 {
				t.Errorf("sent: %v", err)
			}
			if err != nil && (strings.Contains(err.Error(), password) || strings.Contains(err.Error(), "another")) {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func TestHangingServerEndsWithTheContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m, err := smtpmail.New(smtpmail.Config{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, From: "a@example.test", Timeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- m.Send(ctx, jwtauth.Message{To: "b@example.test", Subject: "x", Text: "y"}) }()
	select {
	case err := <-result:
		if err == nil {
			t.Error("sent to a server that never answered")
		}
	case <-time.After(time.Minute): // of the hour that the mail may take
		t.Error("Send goes on after its context has ended")
	}
}

func TestHeadersCannotBeAdded(t *testing.T) {
	b, cfg := serve(t, false, false)
	m, err := smtpmail.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []jwtauth.Message{
		{To: "a@example.test\r\nBcc: x@evil.test", Subject: "x"}, {To: "a@example.test", Subject: "x\r\nBcc: x@evil.test"},
		{To: "a@example.test, x@evil.test", Subject: "x"}, {To: "", Subject: "x"}, {To: "nobody", Subject: "x"},
		{To: "a@example.test\x00", Subject: "x"}, {To: "a@example.test", Subject: "x\x1b[2J"}, {To: "a@example.test", Subject: "x\u2028y"},
		{To: "Anna <a@example.test>", Subject: "x"}, {To: "a@example.test (comment)", Subject: "x"}, {To: "<a@example.test>", Subject: "x"},
	} {
		if err := m.Send(t.Context(), bad); err == nil {
			t.Errorf("sent to %q with %q", bad.To, bad.Subject)
		}
	}
	if len(b.mails) > 0 {
		t.Errorf("%d mails arrived", len(b.mails))
	}
}

func TestMailWithoutHTML(t *testing.T) {
	b, cfg := serve(t, false, false)
	if err := mailerFor(t, cfg).Send(t.Context(), jwtauth.Message{To: "zoe@example.test", Subject: "x", Text: "äöü"}); err != nil {
		t.Fatal(err)
	}
	m, err := netmail.ReadMessage(bytes.NewReader(b.last(t)))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if media := m.Header.Get("Content-Type"); err != nil || media != "text/plain; charset=UTF-8" || strings.TrimSpace(string(body)) != "äöü" {
		t.Errorf("%s: %q, %v", media, body, err)
	}
	// Its own host name is nobody's business.
	if id := m.Header.Get("Message-ID"); !strings.HasSuffix(id, "@example.test>") {
		t.Errorf("the Message-ID is %s", id)
	}
}

func TestConfigRefused(t *testing.T) {
	for _, cfg := range []smtpmail.Config{
		{}, {Host: "smtp.example.test"}, {Host: "smtp.example.test", From: "nobody"}, {Host: "a b", From: "a@example.test"},
		{Host: "h", From: "a@example.test", Username: "x"}, {Host: "h", From: "a@example.test", Password: "x"},
		{Host: "h:25", From: "a@example.test"}, {Host: "h\r\n", From: "a@example.test"}, {Host: "h", From: "a@example.test", HELO: "x\r\nRSET"},
		{Host: "h", From: "=?utf-8?q?x=0D=0ABcc?= <a@example.test>"}, {Host: "h", From: "a@example.test", Timeout: -1},
		{Host: "h", From: "a@example.test", Port: 70000}, {Host: "h", From: "a@example.test", ImplicitTLS: true, InsecurePlaintext: true},
	} {
		if _, err := smtpmail.New(cfg); err == nil {
			t.Errorf("New accepted %+v", cfg)
		}
	}
	for _, u := range []string{"", "http://h?from=a@example.test", "smtp://h", "smtp://:" + password + "@h", "smtp://h?from=a@example.test&tls=off",
		"smtp://u:" + password + "@h:x?from=a@example.test",
		"smtp://h?from=a@example.test&from=b@example.test", "smtp://h:0?from=a@example.test", "smtp://h/path?from=a@example.test",
		"smtp://h?from=a@example.test#x", "smtp://h?from=a@example.test&%zz", "smtp://u@h?from=a@example.test", "smtp:h?from=a@example.test", "smtp://u:" + password + "%zz@h"} {
		if _, err := smtpmail.Open(u); err == nil || strings.Contains(err.Error(), password) {
			t.Errorf("Open(%q): %v", u, err)
		}
	}
	if _, err := smtpmail.Open("smtps://u:p%40ss@smtp.example.test?from=Example+%3Ca@example.test%3E"); err != nil {
		t.Error(err)
	}
	cfg := smtpmail.Config{Host: "h", Password: password}
	if text := fmt.Sprintf("%v %+v %#v", cfg, cfg, &cfg); strings.Contains(text, password) {
		t.Errorf("the configuration shows its password: %s", text)
	}
	mailer, err := smtpmail.New(smtpmail.Config{Host: "h", From: "a@example.test", Username: user, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%v %+v %#v %+v", mailer, mailer, mailer, *mailer); strings.Contains(text, password) {
		t.Errorf("the Mailer shows its password: %s", text)
	}
	if _, err := smtpmail.New(smtpmail.Config{Port: -1, HELO: " "}); err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("New does not report the four mistakes: %v", err)
	}
}

// A person forgets the password, reads the mail, follows its link and logs in.
func TestForgottenPasswordByMail(t *testing.T) {
	b, cfg := serve(t, false, false)
	mailer, err := smtpmail.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	auth := newAuth(t, mailer)
	ctx := t.Context()
	if _, err := auth.Register(ctx, jwtauth.Registration{Username: "zoe", Email: "zoe@example.test", Password: "a long pass phrase"}); err != nil {
		t.Fatal(err)
	}
	if err := auth.ForgotPassword(ctx, jwtauth.Forgot{Login: "zoe"}); err != nil {
		t.Fatal(err)
	}
	if err := auth.Close(ctx); err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`https://\S+`).FindString(parse(t, b.last(t)).text)
	u, err := url.Parse(link)
	if err != nil || u.Host != "app.example.test" {
		t.Fatalf("the link is %q: %v", link, err)
	}
	reset := jwtauth.PasswordReset{Login: u.Query().Get("login"), Token: u.Query().Get("token"), Password: "another long pass phrase"}
	if err := auth.ResetPassword(ctx, reset); err != nil {
		t.Fatal(err)
	}
	if _, err := auth.Login(ctx, jwtauth.Credentials{Login: "zoe", Password: reset.Password}); err != nil {
		t.Error(err)
	}
}

func newAuth(t *testing.T, mailer jwtauth.Mailer) *jwtauth.Auth {
	t.Helper()
	return authtest.New(t, func(cfg *jwtauth.Config) {
		cfg.Recovery.URL, cfg.Mail.Mailer = "https://app.example.test/reset", mailer
	}).Auth
}

func ExampleNew() {
	mailer, err := smtpmail.New(smtpmail.Config{
		Host: "smtp.example.com", From: "Example <no-reply@example.com>",
		Username: "no-reply", Password: "from the environment",
	})
	fmt.Println(mailer != nil, err)
	// Output: true <nil>
}

func ExampleOpen() {
	mailer, err := smtpmail.Open("smtps://no-reply:p%40ss@smtp.example.com?from=no-reply@example.com")
	fmt.Println(mailer != nil, err)
	// Output: true <nil>
}
