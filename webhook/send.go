package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/internal/publicnet"
)

// maxAnswer is how much of an answer is read, so that the connection can be used
// again. Nothing looks at it.
const maxAnswer = 64 << 10

// failure is an attempt that did not succeed. What it says is ours: a receiver
// can't put words into a log.
type failure struct {
	why        string
	gone       bool          // 410
	retryAfter time.Duration // 0 where the receiver did not say
}

func (f *failure) Error() string { return f.why }

func newClient(cfg Config, e Endpoint) *http.Client {
	transport := cfg.Transport
	if transport == nil {
		t := publicnet.Transport(e.Timeout, e.InsecureAllowPrivate, cfg.Resolver)
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		t.MaxIdleConnsPerHost, t.MaxConnsPerHost = 1, 4
		t.IdleConnTimeout = 30 * time.Second
		transport = t
	}
	return &http.Client{
		Transport: guard{e, transport},
		// The operator chose the URL; a receiver does not choose another.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// guard checks the URL of each request as New checked that of the endpoint.
type guard struct {
	endpoint Endpoint
	next     http.RoundTripper
}

var errURL = errors.New("the URL is not accepted")

func (g guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if g.endpoint.checkURL(r.URL) != nil {
		return nil, errURL
	}
	return g.next.RoundTrip(r)
}

// post makes one attempt. A *failure says why it did not succeed.
func (s *sender) post(ctx context.Context, e jwtauth.Event) error {
	body, err := json.Marshal(newMessage(e))
	if err != nil {
		return &failure{why: "the event can't be written"}
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(body))
	if err != nil {
		return &failure{why: errURL.Error()}
	}
	timestamp := strconv.FormatInt(s.d.cfg.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "jwtauth-webhook")
	req.Header.Set(HeaderID, e.ID)
	req.Header.Set(HeaderTimestamp, timestamp)
	req.Header.Set(HeaderSignature, sign(s.keys, e.ID, timestamp, body))
	resp, err := s.client.Do(req)
	if err != nil {
		return &failure{why: reason(err)}
	}
	defer resp.Body.Close()
	// A receiver that sees us leave may end its work with an empty 200, which can
	// still come through while the connection closes.
	if err := ctx.Err(); err != nil {
		return &failure{why: reason(err)}
	}
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	if resp.StatusCode >= 200 && resp.StatusCode <= 299 {
		return nil
	}
	return &failure{
		why:        fmt.Sprintf("status %d", resp.StatusCode),
		gone:       resp.StatusCode == http.StatusGone,
		retryAfter: retryAfter(resp.Header.Get("Retry-After"), s.d.cfg.Now()),
	}
}

// reason says in words of our own why there was no answer: the text of the error
// has the URL in it, or what the receiver wrote.
func reason(err error) string {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var dial *net.OpError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, publicnet.ErrPrivate):
		return publicnet.ErrPrivate.Error()
	case errors.Is(err, errURL):
		return errURL.Error()
	case errors.Is(err, context.Canceled):
		return "stopped before an answer came"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.As(err, &dns):
		return "the name does not resolve"
	case errors.As(err, &certificate):
		return "the certificate is not accepted"
	case errors.As(err, &dial) && dial.Op == "dial":
		return "no connection"
	}
	return "no valid answer"
}

// retryAfter reads either form of RFC 9110, section 10.2.3; 0 for any other.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
