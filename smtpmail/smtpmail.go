// Package smtpmail sends the mails of package jwtauth over SMTP:
//
//	mailer, err := smtpmail.New(smtpmail.Config{
//		Host: "smtp.example.com", From: "Example <no-reply@example.com>",
//		Username: "no-reply", Password: "…",
//	})
//	cfg.Mail.Mailer = mailer // jwtauth.Config
//
// Connections are encrypted: by STARTTLS (RFC 3207), which a server must offer,
// or from the first byte. A server whose certificate does not fit is refused,
// and nothing falls back to plain text.
package smtpmail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	netmail "net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/wneessen/go-mail"
)

// Config says which server to use. Host and From are required.
type Config struct {
	// Host is the name of the server, as in its certificate.
	Host string
	// Port defaults to 587, or 465 with ImplicitTLS.
	Port int
	// From is the sender: an address, with or without a name.
	From string
	// Username and Password log in. Both empty: no login.
	Username string
	Password jwtauth.Secret
	// ImplicitTLS encrypts from the first byte (RFC 8314), instead of by
	// STARTTLS.
	ImplicitTLS bool
	// InsecurePlaintext sends mails, with their links and codes, unencrypted.
	// For a relay on this machine and for tests.
	InsecurePlaintext bool
	// TLS replaces the settings of the connection, for example its root
	// certificates. Default: those of the system, TLS 1.2 and later.
	TLS *tls.Config
	// Timeout bounds one mail. Default 15 s.
	Timeout time.Duration
}

// String tells the server alone.
func (cfg Config) String() string { return "smtpmail.Config(" + cfg.Host + ")" }

// GoString is String, for %#v.
func (cfg Config) GoString() string { return cfg.String() }

const (
	portSTARTTLS   = 587
	portTLS        = 465
	defaultTimeout = 15 * time.Second
)

// Mailer is a [jwtauth.Mailer]. It opens a connection for each mail and is safe
// for concurrent use.
type Mailer struct {
	host    string
	from    string
	options []mail.Option
	timeout time.Duration
}

var _ jwtauth.Mailer = (*Mailer)(nil)

// New reports every mistake of cfg at once. It does not connect.
func New(cfg Config) (*Mailer, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	m := &Mailer{host: cfg.Host, from: cfg.From, options: cfg.options(), timeout: cfg.Timeout}
	if m.timeout == 0 {
		m.timeout = defaultTimeout
	}
	if _, err := mail.NewClient(m.host, m.options...); err != nil {
		return nil, fmt.Errorf("smtpmail: %w", err)
	}
	return m, nil
}

func (cfg Config) validate() error {
	var errs []error
	wrong := func(is bool, what string) {
		if is {
			errs = append(errs, errors.New("smtpmail: Config."+what))
		}
	}
	wrong(cfg.Host == "" || strings.ContainsAny(cfg.Host, " \t\r\n/@"), "Host must be the name of a server")
	wrong(cfg.Port < 0 || cfg.Port > 65535, "Port must be between 1 and 65535")
	_, err := netmail.ParseAddress(cfg.From)
	wrong(err != nil, "From must be an e-mail address")
	wrong((cfg.Username == "") != (cfg.Password == ""), "Username and Password go together")
	wrong(cfg.ImplicitTLS && cfg.InsecurePlaintext, "ImplicitTLS and InsecurePlaintext exclude each other")
	wrong(cfg.Timeout < 0, "Timeout must not be negative")
	return errors.Join(errs...)
}

func (cfg Config) tls() *tls.Config {
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.TLS != nil {
		out = cfg.TLS.Clone()
	}
	if out.ServerName == "" {
		out.ServerName = cfg.Host
	}
	return out
}

func (cfg Config) options() []mail.Option {
	port := cfg.Port
	if port == 0 {
		port = portSTARTTLS
		if cfg.ImplicitTLS {
			port = portTLS
		}
	}
	options := []mail.Option{mail.WithPort(port), mail.WithTLSConfig(cfg.tls()), mail.WithTLSPolicy(cfg.policy())}
	if cfg.ImplicitTLS {
		options = append(options, mail.WithSSL())
	}
	if cfg.Username != "" {
		options = append(options, mail.WithSMTPAuth(cfg.auth()),
			mail.WithUsername(cfg.Username), mail.WithPassword(string(cfg.Password)))
	}
	return options
}

func (cfg Config) policy() mail.TLSPolicy {
	if cfg.InsecurePlaintext {
		return mail.NoTLS
	}
	return mail.TLSMandatory
}

// auth lets the server choose the strongest way that it offers.
func (cfg Config) auth() mail.SMTPAuthType {
	if cfg.InsecurePlaintext {
		return mail.SMTPAuthPlainNoEnc
	}
	return mail.SMTPAuthAutoDiscover
}

// Open makes a Mailer from a URL, as a command line takes it:
//
//	smtp://user:password@smtp.example.com:587?from=no-reply@example.com
//	smtps://user:password@smtp.example.com?from=no-reply@example.com
//
// User, password and from are percent-encoded. Errors don't repeat the URL,
// which has the password in it.
func Open(rawURL string) (*Mailer, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" {
		return nil, errors.New("smtpmail: not a URL that begins with smtp:// or smtps://")
	}
	cfg := Config{Host: u.Hostname(), From: u.Query().Get("from"), ImplicitTLS: u.Scheme == "smtps"}
	if port := u.Port(); port != "" {
		if cfg.Port, err = strconv.Atoi(port); err != nil {
			return nil, errors.New("smtpmail: the port is not a number")
		}
	}
	if u.User != nil {
		password, _ := u.User.Password()
		cfg.Username, cfg.Password = u.User.Username(), jwtauth.Secret(password)
	}
	for name := range u.Query() {
		if name != "from" {
			return nil, errors.New("smtpmail: the only parameter of the URL is from")
		}
	}
	return New(cfg)
}

// Send implements [jwtauth.Mailer]. It ends with the deadline of ctx.
func (m *Mailer) Send(ctx context.Context, message jwtauth.Message) error {
	msg, err := m.compose(message)
	if err != nil {
		return err
	}
	client, err := mail.NewClient(m.host, append(slices.Clip(m.options), mail.WithTimeout(m.bound(ctx)))...)
	if err != nil {
		return fmt.Errorf("smtpmail: %w", err)
	}
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		return fmt.Errorf("smtpmail: %w", err)
	}
	return nil
}

// bound is how long a mail may take: no longer than ctx lasts, since the
// connection itself knows nothing of ctx once it stands.
func (m *Mailer) bound(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return max(time.Millisecond, min(m.timeout, time.Until(deadline)))
	}
	return m.timeout
}

// compose refuses what could become another header.
func (m *Mailer) compose(message jwtauth.Message) (*mail.Msg, error) {
	if strings.ContainsAny(message.To+message.Subject, "\r\n\x00") {
		return nil, errors.New("smtpmail: a line break in a header")
	}
	msg := mail.NewMsg()
	if err := errors.Join(msg.From(m.from), msg.To(message.To)); err != nil {
		return nil, errors.New("smtpmail: the sender or the recipient is not an address")
	}
	msg.Subject(message.Subject)
	msg.SetDate()
	msg.SetMessageID()
	// RFC 3834, section 5: no vacation notices, please.
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(mail.TypeTextPlain, message.Text)
	if message.HTML != "" {
		msg.AddAlternativeString(mail.TypeTextHTML, message.HTML)
	}
	return msg, nil
}
