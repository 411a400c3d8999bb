// Package smtpmail sends the mails of package jwtauth over SMTP:
//
//	mailer, err := smtpmail.New(smtpmail.Config{
//		Host: "smtp.example.com", From: "Example <no-reply@example.com>",
//		Username: "no-reply", Password: "…",
//	})
//	cfg.Mail.Mailer = mailer // jwtauth.Config
//
// The program of examples/server uses it with its flag -mail.
//
// Connections are encrypted: by STARTTLS (RFC 3207), which a server must offer,
// or from the first byte. A server whose certificate does not fit is refused,
// and nothing falls back to plain text. Errors are written to logs, so they tell
// the step and the code of the server's answer, but not its text: servers repeat
// addresses in it, and can repeat anything.
package smtpmail

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/textproto"
	"net/url"
	"regexp"
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
	// Timeout bounds one mail, from the first byte to the last. Default 15 s.
	Timeout time.Duration
	// HELO is the name by which this machine greets. Default: its host name.
	HELO string
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
//
// It has no field with the password: package fmt shows unexported fields as they
// are, a [jwtauth.Secret] as well.
type Mailer struct {
	host    string
	from    *netmail.Address
	options []mail.Option
	dial    mail.DialContextFunc
	timeout time.Duration
}

var _ jwtauth.Mailer = (*Mailer)(nil)

// New reports every mistake of cfg at once. It does not connect.
func New(cfg Config) (*Mailer, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	from, err := netmail.ParseAddress(cfg.From)
	if err != nil {
		return nil, errors.New("smtpmail: Config.From must be an e-mail address")
	}
	m := &Mailer{host: cfg.Host, from: from, options: cfg.options(), dial: cfg.dialer(), timeout: cfg.Timeout}
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
	wrong(!isHost(cfg.Host), "Host must be the name of a server")
	wrong(cfg.Port < 0 || cfg.Port > 65535, "Port must be between 1 and 65535")
	from, err := netmail.ParseAddress(cfg.From)
	// The name can hold an encoded line break (RFC 2047).
	wrong(err != nil || hasControl(cfg.From) || hasControl(from.Name), "From must be an e-mail address")
	wrong((cfg.Username == "") != (cfg.Password == ""), "Username and Password go together")
	wrong(cfg.ImplicitTLS && cfg.InsecurePlaintext, "ImplicitTLS and InsecurePlaintext exclude each other")
	wrong(cfg.Timeout < 0, "Timeout must not be negative")
	wrong(cfg.HELO != "" && !isHost(cfg.HELO), "HELO must be the name of a host")
	return errors.Join(errs...)
}

// isHost tells whether s can be the name of a host, or an IP address.
func isHost(s string) bool {
	if s == "" || hasControl(s) || strings.ContainsAny(s, " /@") {
		return false
	}
	return !strings.Contains(s, ":") || net.ParseIP(s) != nil
}

// hasControl tells whether s can't stand in one line of a header. These are the
// characters that package jwtauth takes out of subjects.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029'
	})
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

// address has the port that is usual for the way of encryption.
func (cfg Config) address() string {
	port := cfg.Port
	switch {
	case port != 0:
	case cfg.ImplicitTLS:
		port = portTLS
	default:
		port = portSTARTTLS
	}
	return net.JoinHostPort(cfg.Host, strconv.Itoa(port))
}

func (cfg Config) options() []mail.Option {
	options := []mail.Option{mail.WithTLSConfig(cfg.tls()), mail.WithTLSPolicy(cfg.policy())}
	if cfg.ImplicitTLS {
		options = append(options, mail.WithSSL())
	}
	if cfg.HELO != "" {
		options = append(options, mail.WithHELO(cfg.HELO))
	}
	if cfg.Username != "" {
		options = append(options, cfg.auth(),
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

// auth lets the server choose: the first of the list that it offers. Those that
// show the password are refused by the library where the connection is not TLS,
// unless their names end in NoEnc.
func (cfg Config) auth() mail.Option {
	if cfg.InsecurePlaintext {
		return mail.WithSMTPAuth(mail.SMTPAuthPlainNoEnc)
	}
	return mail.WithOpportunisticSMTPAuth(mail.SMTPAuthSCRAMSHA256PLUS, mail.SMTPAuthSCRAMSHA256,
		mail.SMTPAuthPlain, mail.SMTPAuthLogin)
}

// dialer connects. The library would do it too, but leave a connection open
// whose login failed, and forget ctx once it stands; so [Mailer.Send] wants the
// connection for itself. The address comes from cfg.
func (cfg Config) dialer() mail.DialContextFunc {
	address, settings := cfg.address(), cfg.tls()
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		if cfg.ImplicitTLS {
			return (&tls.Dialer{Config: settings}).DialContext(ctx, network, address)
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
}

// Open makes a Mailer from a URL, as a command line takes it:
//
//	smtp://user:password@smtp.example.com:587?from=no-reply@example.com
//	smtps://user:password@smtp.example.com?from=no-reply@example.com
//
// User, password and from are percent-encoded. Errors don't repeat the URL,
// which has the password in it.
func Open(rawURL string) (*Mailer, error) {
	cfg, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	return New(cfg)
}

func parseURL(rawURL string) (Config, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" || strings.Trim(u.Path, "/") != "" || u.Fragment != "" {
		return Config{}, errors.New("smtpmail: not a URL like smtp://user:password@host:587?from=address or smtps://…")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil || len(query) > 1 || len(query["from"]) != 1 {
		return Config{}, errors.New("smtpmail: the URL needs the parameter from, once, and no other")
	}
	cfg := Config{Host: u.Hostname(), From: query.Get("from"), ImplicitTLS: u.Scheme == "smtps"}
	if port := u.Port(); port != "" {
		if cfg.Port, err = strconv.Atoi(port); err != nil || cfg.Port == 0 {
			return Config{}, errors.New("smtpmail: the port of the URL must be between 1 and 65535")
		}
	}
	if u.User != nil {
		password, _ := u.User.Password()
		cfg.Username, cfg.Password = u.User.Username(), jwtauth.Secret(password)
	}
	return cfg, nil
}

// Send implements [jwtauth.Mailer]. It ends when ctx does.
func (m *Mailer) Send(ctx context.Context, message jwtauth.Message) error {
	msg, err := m.compose(message)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	err = m.transmit(ctx, msg)
	switch {
	case err == nil, msg.IsDelivered():
		// A server that took the mail and then fails to say goodbye has taken
		// it all the same; an error would send it again.
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("smtpmail: %w", context.Cause(ctx))
	}
	return describe(err)
}

// transmit sends msg over a connection that does not outlive it.
func (m *Mailer) transmit(ctx context.Context, msg *mail.Msg) error {
	conn, err := m.dial(ctx, "tcp", "")
	if err != nil {
		return err
	}
	defer conn.Close()
	// Closing is what ends a read or write that waits for the server.
	defer context.AfterFunc(ctx, func() { closeNow(conn) })()
	// The library's own timeout starts anew within a mail. It is longer, so that
	// ctx decides.
	given := func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	client, err := mail.NewClient(m.host, append(slices.Clip(m.options), mail.WithTimeout(2*m.timeout), mail.WithDialContextFunc(given))...)
	if err != nil {
		return err
	}
	session, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return err
	}
	// RFC 6531, section 3.2: not to a server that can't know such an address.
	if ok, _ := session.Extension("SMTPUTF8"); !ok && !isASCII(msg) {
		return errNoUTF8
	}
	return errors.Join(client.SendWithSMTPClient(session, msg), client.CloseWithSMTPClient(session))
}

var errNoUTF8 = errors.New("an address is not ASCII, and the server has no SMTPUTF8")

// closeNow does not wait to say goodbye, as a TLS connection would.
func closeNow(conn net.Conn) {
	if c, ok := conn.(*tls.Conn); ok {
		conn = c.NetConn()
	}
	conn.Close()
}

func isASCII(msg *mail.Msg) bool {
	from, _ := msg.GetSender(false)
	to, _ := msg.GetRecipients()
	return !strings.ContainsFunc(from+strings.Join(to, ""), func(r rune) bool { return r > 0x7f })
}

// enhancedCode is at the start of an answer (RFC 2034).
var enhancedCode = regexp.MustCompile(`^[245]\.[0-9]{1,3}\.[0-9]{1,3}\b`)

// describe leaves out what the server says in words, and to whom the mail goes.
func describe(err error) error {
	var (
		send     *mail.SendError
		answer   *textproto.Error
		protocol textproto.ProtocolError
	)
	switch {
	case errors.As(err, &send):
		return fmt.Errorf("smtpmail: %s: code %d %s", send.Reason, send.ErrorCode(), send.EnhancedStatusCode())
	case errors.As(err, &answer):
		return fmt.Errorf("smtpmail: the server refused: code %d %s", answer.Code, enhancedCode.FindString(answer.Msg))
	case errors.As(err, &protocol):
		return errors.New("smtpmail: the server does not speak SMTP")
	}
	return fmt.Errorf("smtpmail: %w", err)
}

// compose refuses what could become another header, or another recipient.
func (m *Mailer) compose(message jwtauth.Message) (*mail.Msg, error) {
	if hasControl(message.To) || hasControl(message.Subject) {
		return nil, errors.New("smtpmail: a control character in a header")
	}
	to, err := netmail.ParseAddress(message.To)
	if err != nil || to.Address != message.To {
		return nil, errors.New("smtpmail: the recipient is not a plain address")
	}
	msg := mail.NewMsg()
	if err := errors.Join(msg.From(m.from.String()), msg.To(to.String())); err != nil {
		return nil, errors.New("smtpmail: the sender or the recipient is not an address")
	}
	msg.Subject(message.Subject)
	msg.SetDate()
	msg.SetMessageIDWithValue(m.messageID())
	// RFC 3834, section 5: no vacation notices, please.
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(mail.TypeTextPlain, message.Text)
	if message.HTML != "" {
		msg.AddAlternativeString(mail.TypeTextHTML, message.HTML)
	}
	return msg, nil
}

// messageID is in the domain of the sender. The host name of this machine, which
// is the usual choice, is nothing that recipients need to know.
func (m *Mailer) messageID() string {
	_, domain, _ := strings.Cut(m.from.Address, "@")
	return rand.Text() + "@" + domain
}
