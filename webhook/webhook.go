// Package webhook delivers the events of an [jwtauth.Auth] to other services,
// signed as Standard Webhooks say (https://www.standardwebhooks.com).
//
// A [Dispatcher] follows the audit trail, which is its queue: an event is in it
// before the request that caused it was answered, so none is lost when the
// process ends or a receiver is down. How far each endpoint has got is kept in a
// [jwtauth.CursorStore]. Of all processes that share it, one at a time sends to
// an endpoint. No request ever waits for a receiver.
//
// # What a receiver gets
//
// Each event is sent at least once, in the order of the trail: the next one is
// sent when the receiver has taken the one before, or it was given up. The same
// event has the same webhook-id each time; whoever must not act twice
// remembers the ids. The body is JSON:
//
//	{"type": "login", "timestamp": "2026-01-01T12:00:00.123456Z", "data": {
//	  "id": …, "time": …, "event": "login", "result": "ok", "reason": …, "count": 1,
//	  "user": …, "actor": …, "session": …, "jti": …, "ip": …, "device": …, "user_agent": …,
//	  "device_id": …, "request_id": …, "sequence": 17, "erased": true}}
//
// data is an event as GET /audit shows it; what is empty is left out, and a later
// version may add members. No body has a token, a hash or a password in it. Of
// an account that was deleted, what tells about the person is left out and
// erased is set, also where an event from before the deletion is sent late.
//
// Any 2xx answer takes an event. Everything else, redirects too, is a failure
// and is tried again after a pause that doubles from 1 s to 10 min, at random
// between its half and its whole; the seconds of a Retry-After make it longer, up
// to 10 min. 4xx answers are no exception: a wrong secret or path at the
// receiver is repaired, and what it refused meanwhile is still wanted. 410 says
// that nobody wants it any more: the pause is an hour then, and the log asks to
// remove the endpoint. What was not taken within [Endpoint.GiveUpAfter] becomes a
// dead letter, see [Dispatcher.DeadLetters].
//
// Receivers check a request with [Verify], or serve it with a [Receiver].
package webhook

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/internal/publicnet"
)

const (
	defaultPoll    = time.Second
	defaultTimeout = 10 * time.Second
	maxTimeout     = time.Minute
	defaultGiveUp  = 72 * time.Hour
	maxGiveUp      = 365 * 24 * time.Hour
	maxEndpoints   = 100
)

// Config is what [New] needs. Cursors is required; the zero value of the rest is
// the safe default.
type Config struct {
	// Cursors keeps how far each endpoint has got. It is usually the store of
	// the Auth.
	Cursors jwtauth.CursorStore
	// Endpoints are the receivers, at most 100.
	Endpoints []Endpoint
	// Poll is how often an endpoint that has everything looks for more.
	// Default 1 s, between 10 ms and 1 min.
	Poll time.Duration
	// Transport replaces the one that dials, for a private certificate
	// authority or a proxy. It then decides which addresses are dialled;
	// redirects stay off and the limits on time and size hold. Default: one
	// that uses no proxy and dials public addresses only.
	Transport http.RoundTripper
	// Resolver replaces the resolver of the default transport.
	Resolver *net.Resolver
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Metrics receives [jwtauth.MetricWebhookBacklog], every 15 s, and
	// [jwtauth.MetricWebhookDelivery]. Nil: nothing is measured.
	Metrics jwtauth.Metrics
	// Logger gets a line for each failed attempt, and for what was given up
	// or missed. Default: slog.Default.
	Logger *slog.Logger
}

// String tells how many endpoints there are: what leads to them is secret.
func (cfg Config) String() string {
	return fmt.Sprintf("webhook.Config(%d endpoints)", len(cfg.Endpoints))
}

// GoString is String, for %#v.
func (cfg Config) GoString() string { return cfg.String() }

// Endpoint is a receiver. Name, URL and Secrets are required. It formats and
// marshals as its name alone, since URLs of receivers often hold a secret.
type Endpoint struct {
	// Name is the name of its cursor: 1 to 64 letters, digits and "._-". An
	// endpoint that is renamed starts anew.
	Name string
	// URL is where events are posted, with https and the port 443.
	URL string
	// Secrets sign, each of them, so that receivers can be moved from one to
	// the next: "whsec_" and base64 of 24 to 64 random bytes. See [NewSecret].
	Secrets []jwtauth.Secret
	// Events are the names to send, such as "login", and families such as
	// "token.*". Default: all.
	Events []string
	// FromStart makes a new endpoint begin with the oldest event that is kept.
	// Default: with what happens after it was first seen.
	FromStart bool
	// Timeout bounds one attempt, until the end of the answer. Default 10 s,
	// at most 1 min.
	Timeout time.Duration
	// GiveUpAfter is how long one event is tried: from when it happened, or
	// was the next one in turn, if that was later. Default 72 h, at most 365
	// days. Keep [jwtauth.AuditConfig.Retention] well above it.
	GiveUpAfter time.Duration
	// Ports are accepted besides 443.
	Ports []int
	// InsecureAllowHTTP accepts a URL with http, and its port 80. Everybody
	// on the way can read the events then.
	InsecureAllowHTTP bool
	// InsecureAllowPrivate accepts addresses that are not on the public
	// internet, at any port. Whoever chooses the URL, or answers for its name,
	// can then make this service post to what only it can reach.
	InsecureAllowPrivate bool
}

// String tells the name alone.
func (e Endpoint) String() string { return "webhook.Endpoint(" + e.Name + ")" }

// GoString is String, for %#v.
func (e Endpoint) GoString() string { return e.String() }

// MarshalText is String, for encoding/json and log/slog.
func (e Endpoint) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// Dispatcher sends events. Its methods may be called from any goroutine, also
// while it does not run.
type Dispatcher struct {
	auth    *jwtauth.Auth
	cfg     Config
	holder  string
	senders []*sender
}

// String hides what is in it.
func (Dispatcher) String() string { return "webhook.Dispatcher" }

// GoString is String, for %#v.
func (d Dispatcher) GoString() string { return d.String() }

// New checks a configuration and reports all mistakes at once. It sends
// nothing: that is what [Dispatcher.Run] does.
func New(auth *jwtauth.Auth, cfg Config) (*Dispatcher, error) {
	if auth == nil {
		return nil, errors.New("webhook: New needs an Auth")
	}
	cfg = cfg.withDefaults()
	if cfg.Metrics != nil {
		cfg.Metrics = jwtauth.ContainMetrics(cfg.Metrics, cfg.Logger)
	}
	d := &Dispatcher{auth: auth, cfg: cfg, holder: rand.Text()}
	errs := []error{cfg.validate()}
	for _, e := range cfg.Endpoints {
		s, err := newSender(d, e)
		errs = append(errs, err)
		d.senders = append(d.senders, s)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return d, nil
}

func (cfg Config) withDefaults() Config {
	cfg.Poll = cmp.Or(cfg.Poll, defaultPoll)
	cfg.Endpoints = slices.Clone(cfg.Endpoints)
	for i, e := range cfg.Endpoints {
		e.Timeout, e.GiveUpAfter = cmp.Or(e.Timeout, defaultTimeout), cmp.Or(e.GiveUpAfter, defaultGiveUp)
		e.Events, e.Secrets, e.Ports = slices.Clone(e.Events), slices.Clone(e.Secrets), slices.Clone(e.Ports)
		cfg.Endpoints[i] = e
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return cfg
}

func (cfg Config) validate() error {
	var errs []error
	if cfg.Cursors == nil {
		errs = append(errs, errors.New("webhook: Config.Cursors is required"))
	}
	if cfg.Poll < 10*time.Millisecond || cfg.Poll > time.Minute {
		errs = append(errs, errors.New("webhook: Config.Poll must be between 10 ms and 1 min"))
	}
	if len(cfg.Endpoints) > maxEndpoints {
		errs = append(errs, fmt.Errorf("webhook: Config.Endpoints has more than %d", maxEndpoints))
	}
	seen := make(map[string]bool)
	for i, e := range cfg.Endpoints {
		if !endpointNames.MatchString(e.Name) {
			errs = append(errs, fmt.Errorf("webhook: Config.Endpoints[%d].Name must be 1 to 64 letters, digits and \"._-\"", i))
		} else if seen[e.Name] {
			errs = append(errs, fmt.Errorf("webhook: endpoint %s is there twice", e.Name))
		}
		seen[e.Name] = true
	}
	return errors.Join(errs...)
}

var (
	endpointNames = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	eventPatterns = regexp.MustCompile(`^([a-z_]+\.)*([a-z_]+|\*)$`)
)

// check returns what is wrong with an endpoint, its name apart.
func (e Endpoint) check() error {
	var errs []error
	fail := func(why string) { errs = append(errs, fmt.Errorf("webhook: endpoint %q: %s", e.Name, why)) }
	u, err := publicnet.ParseURL(e.URL, e.InsecureAllowHTTP)
	if err == nil {
		err = e.checkURL(u)
	}
	if err != nil {
		fail("URL " + err.Error())
	}
	if len(e.Secrets) == 0 {
		fail("Secrets is required")
	}
	if _, err := decodeSecrets(e.Secrets); err != nil {
		fail(err.Error())
	}
	for _, pattern := range e.Events {
		if !eventPatterns.MatchString(pattern) {
			fail(`Events has an entry that is neither a name nor a family such as "token.*"`)
			break
		}
	}
	if e.Timeout < time.Millisecond || e.Timeout > maxTimeout {
		fail("Timeout must be between 1 ms and 1 min")
	}
	if e.GiveUpAfter < time.Second || e.GiveUpAfter > maxGiveUp {
		fail("GiveUpAfter must be between 1 s and 365 days")
	}
	return errors.Join(errs...)
}

// checkURL is asked about the configured URL and once more about that of each
// request.
func (e Endpoint) checkURL(u *url.URL) error {
	if err := publicnet.CheckURL(u, e.InsecureAllowHTTP); err != nil {
		return err
	}
	if e.InsecureAllowPrivate {
		return nil
	}
	if !publicnet.Host(u.Hostname()) {
		return errors.New("has a host that is not on the public internet (InsecureAllowPrivate accepts it)")
	}
	port, err := strconv.Atoi(u.Port())
	if u.Port() != "" && (err != nil || port != map[string]int{"https": 443, "http": 80}[u.Scheme] && !slices.Contains(e.Ports, port)) {
		return errors.New("has a port that is not among Ports")
	}
	return nil
}

// wants reports whether events of a name are to be sent.
func (e Endpoint) wants(name string) bool {
	return len(e.Events) == 0 || slices.ContainsFunc(e.Events, func(pattern string) bool {
		family, all := strings.CutSuffix(pattern, "*")
		return name == pattern || all && strings.HasPrefix(name, family)
	})
}
