package jwtauth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"log/slog"
	"strings"
	"sync"
	texttemplate "text/template"
	"time"
)

// Mailer sends mail. Package smtpmail has one; a host may bring its own.
type Mailer interface {
	// Send delivers one message, or returns an error; it will be tried again.
	// It is called from a few goroutines at once, never from one that
	// answers a request. It should end when ctx does.
	Send(ctx context.Context, m Message) error
}

// Message is one mail to one person, ready to be sent.
type Message struct {
	// Kind is what it is about, one of the Mail… constants.
	Kind string
	// To is the address.
	To string
	// Subject, Text and HTML are the rendered templates. HTML may be empty.
	Subject, Text, HTML string
	// Data is what the templates were rendered from.
	Data MailData
}

// String tells the kind alone: the rest is personal, or a secret.
func (m Message) String() string { return "jwtauth.Message(" + m.Kind + ")" }

// GoString is String, for %#v.
func (m Message) GoString() string { return m.String() }

// MarshalText is String, for encoding/json, log/slog and others.
func (m Message) MarshalText() ([]byte, error) { return hidden(m) }

// The kinds of mail.
const (
	MailResetLink       = "reset-link"        // a link to choose a new password
	MailResetCode       = "reset-code"        // a one-time code for the same
	MailVerify          = "verify"            // a link and a code to confirm the address
	MailPasswordChanged = "password-changed"  // a notice after the fact
	MailTaken           = "registration-note" // somebody tried to register with your address
)

// MailData is what a template can use.
type MailData struct {
	// Site is [MailConfig.Site].
	Site string
	// Name is the display name of the account, Login its user name.
	Name, Login string
	// Link and Code are the secret of the mail, where it has one.
	Link, Code string
	// Minutes is how long the secret is accepted.
	Minutes int
	// Time is when it happened, Address from where.
	Time    time.Time
	Address string
}

// String hides the secret, and the rest with it.
func (MailData) String() string { return redacted }

// GoString is String, for %#v.
func (d MailData) GoString() string { return d.String() }

// MarshalText is String, for encoding/json, log/slog and others.
func (d MailData) MarshalText() ([]byte, error) { return hidden(d) }

// When is Time for people, without the zone, which is UTC.
func (d MailData) When() string { return d.Time.Format("2 January 2006 at 15:04") }

// MailTemplate renders one kind of mail. Text is required, HTML is not.
type MailTemplate struct {
	Subject *texttemplate.Template
	Text    *texttemplate.Template
	HTML    *htmltemplate.Template
}

// MailConfig is about mail.
type MailConfig struct {
	// Mailer sends. Nil: all mail is dropped, and New says so in the log.
	Mailer Mailer
	// Site names this service in mails. Default: the host of the Issuer.
	Site string
	// Templates replace the built-in ones, by kind.
	Templates map[string]MailTemplate
	// Queue bounds the mails that wait. One that does not fit is dropped
	// and recorded. Default 1,000.
	Queue int
	// Timeout bounds one attempt. Default 30 s.
	Timeout time.Duration
	// Attempts is how often a mail is tried, with growing pauses: 1 s, 4 s,
	// 16 s … Default 5, at most 10.
	Attempts int
}

const (
	mailWorkers     = 4
	maxMailAttempts = 10
)

func (cfg MailConfig) withDefaults() MailConfig {
	defaultTo(&cfg.Queue, 1000)
	defaultTo(&cfg.Timeout, 30*time.Second)
	defaultTo(&cfg.Attempts, 5)
	templates := defaultTemplates()
	for kind, t := range cfg.Templates {
		templates[kind] = t
	}
	cfg.Templates = templates
	return cfg
}

func (cfg MailConfig) validate() error {
	var errs []error
	if cfg.Queue < 1 || cfg.Attempts < 1 || cfg.Attempts > maxMailAttempts {
		errs = append(errs, errors.New("jwtauth: Config.Mail.Queue must be positive and Attempts between 1 and 10"))
	}
	errs = append(errs, within("Mail.Timeout", cfg.Timeout, time.Millisecond, 10*time.Minute))
	known := defaultTemplates()
	for kind, t := range cfg.Templates {
		if _, ok := known[kind]; !ok {
			errs = append(errs, fmt.Errorf("jwtauth: Config.Mail.Templates: no mail is of the kind %q", kind))
			continue
		}
		if t.Subject == nil || t.Text == nil {
			errs = append(errs, fmt.Errorf("jwtauth: Config.Mail.Templates[%q] needs Subject and Text", kind))
		} else if _, err := t.render(Message{Kind: kind}); err != nil {
			errs = append(errs, fmt.Errorf("jwtauth: Config.Mail.Templates[%q]: %w", kind, err))
		}
	}
	return errors.Join(errs...)
}

// render fills a message in. A line break in a subject would be a header of
// the mail, so there is none.
func (t MailTemplate) render(m Message) (Message, error) {
	var subject, text, html bytes.Buffer
	err := errors.Join(t.Subject.Execute(&subject, m.Data), t.Text.Execute(&text, m.Data))
	if t.HTML != nil {
		err = errors.Join(err, t.HTML.Execute(&html, m.Data))
	}
	m.Subject, m.Text, m.HTML = oneLine(subject.String()), text.String(), html.String()
	return m, err
}

func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
}

// outbox sends mail behind the requests. A request only ever puts a message
// into a bounded queue, so a mail server that is slow, down or hanging changes
// no answer and no duration. Its goroutines exist while there is work.
type outbox struct {
	cfg MailConfig
	log *slog.Logger
	// failed is told of each message that will never be sent.
	failed func(m Message, userID, reason string)

	mu      sync.Mutex
	queue   []outgoing
	waiting int // queued, being sent or pausing before another attempt
	workers int
	idle    chan struct{} // closed when waiting reaches 0
}

type outgoing struct {
	message Message
	userID  string
	attempt int
}

func newOutbox(cfg MailConfig, log *slog.Logger, failed func(Message, string, string)) *outbox {
	o := &outbox{cfg: cfg, log: log, failed: failed, idle: make(chan struct{})}
	close(o.idle)
	return o
}

// post queues a message and returns at once.
func (o *outbox) post(m Message, userID string) {
	if o.cfg.Mailer == nil {
		return
	}
	o.mu.Lock()
	full := o.waiting >= o.cfg.Queue
	if !full {
		if o.waiting == 0 {
			o.idle = make(chan struct{})
		}
		o.waiting++
		o.push(outgoing{message: m, userID: userID})
	}
	o.mu.Unlock()
	if full {
		o.failed(m, userID, "queue full")
	}
}

// push needs the lock.
func (o *outbox) push(item outgoing) {
	o.queue = append(o.queue, item)
	if o.workers < mailWorkers {
		o.workers++
		go o.work()
	}
}

// work sends until the queue is empty.
func (o *outbox) work() {
	for {
		o.mu.Lock()
		if len(o.queue) == 0 {
			o.workers--
			o.mu.Unlock()
			return
		}
		item := o.queue[0]
		o.queue = o.queue[1:]
		o.mu.Unlock()
		o.deliver(item)
	}
}

// deliver makes one attempt, and plans the next one if it failed.
func (o *outbox) deliver(item outgoing) {
	item.attempt++
	err := o.attempt(item.message)
	switch {
	case err == nil:
		o.done()
	case item.attempt < o.cfg.Attempts:
		o.log.Warn("mail not sent, will be tried again", "kind", item.message.Kind, "attempt", item.attempt, "error", err)
		time.AfterFunc(backoff(item.attempt), func() {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.push(item)
		})
	default:
		o.log.Error("mail not sent", "kind", item.message.Kind, "attempts", item.attempt, "error", err)
		o.failed(item.message, item.userID, "not delivered")
		o.done()
	}
}

// backoff is 1 s, 4 s, 16 s, …
func backoff(attempt int) time.Duration { return time.Second << (2 * (attempt - 1)) }

func (o *outbox) done() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting--
	if o.waiting == 0 {
		close(o.idle)
	}
}

// attempt renders and sends. The Mailer runs in a goroutine of its own, so that
// one that hangs costs a goroutine and not a worker.
func (o *outbox) attempt(m Message) error {
	m, err := o.cfg.Templates[m.Kind].render(m)
	if err != nil {
		return err
	}
	var refused error
	if err := contained(context.Background(), o.cfg.Timeout, func(ctx context.Context) { refused = o.cfg.Mailer.Send(ctx, m) }); err != nil {
		return fmt.Errorf("the mailer: %w", err)
	}
	return refused
}

// drain waits until nothing is queued any more.
func (o *outbox) drain(ctx context.Context) error {
	o.mu.Lock()
	idle, n := o.idle, o.waiting
	o.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("jwtauth: %d mails not sent: %w", n, context.Cause(ctx))
	}
}

// mail queues a message for the owner of an account. An account without an
// address gets none.
func (a *Auth) mail(ctx context.Context, kind string, u User, data MailData) {
	if u.Email == "" {
		return
	}
	data.Site, data.Name, data.Login, data.Time = a.cfg.Mail.Site, u.DisplayName, u.Login, a.now().UTC()
	if ip := ClientFrom(ctx).IP; ip.IsValid() {
		data.Address = ip.String()
	}
	a.outbox.post(Message{Kind: kind, To: u.Email, Data: data}, u.ID)
}

// mailFailed records that somebody will not get what was promised.
func (a *Auth) mailFailed(m Message, userID, why string) {
	e := Event{Name: EventMailFailed, Result: ResultRefused, Reason: m.Kind + ": " + why, UserID: userID}
	_ = a.record(context.Background(), e) // record logs what it can't append
}
