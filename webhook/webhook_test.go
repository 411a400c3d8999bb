package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/webhook"
)

func TestMistakesAreReportedAtOnce(t *testing.T) {
	a := newAuth(t, jwtauth.NewMemoryStore())
	bad := func(change func(*webhook.Endpoint)) webhook.Endpoint {
		e := webhook.Endpoint{Name: "ok", URL: "https://hook.example.com/", Secrets: []jwtauth.Secret{secret}}
		change(&e)
		return e
	}
	for name, tc := range map[string]struct {
		change func(*webhook.Endpoint)
		says   string
	}{
		"nothing wrong":           {func(*webhook.Endpoint) {}, ""},
		"own port":                {func(e *webhook.Endpoint) { e.URL, e.Ports = "https://hook.example.com:8443/", []int{8443} }, ""},
		"every event":             {func(e *webhook.Endpoint) { e.Events = []string{"*", "token.*", "login.new_device"} }, ""},
		"no name":                 {func(e *webhook.Endpoint) { e.Name = "" }, "Name"},
		"name with a blank":       {func(e *webhook.Endpoint) { e.Name = "a b" }, "Name"},
		"no URL":                  {func(e *webhook.Endpoint) { e.URL = "" }, "required"},
		"http":                    {func(e *webhook.Endpoint) { e.URL = "http://hook.example.com/" }, "InsecureAllowHTTP"},
		"private address":         {func(e *webhook.Endpoint) { e.URL = "https://10.0.0.1/" }, "InsecureAllowPrivate"},
		"odd port":                {func(e *webhook.Endpoint) { e.URL = "https://hook.example.com:80/" }, "Ports"},
		"no secret":               {func(e *webhook.Endpoint) { e.Secrets = nil }, "Secrets"},
		"empty secret":            {func(e *webhook.Endpoint) { e.Secrets = []jwtauth.Secret{""} }, "whsec_"},
		"secret of no bytes":      {func(e *webhook.Endpoint) { e.Secrets = []jwtauth.Secret{"whsec_"} }, "whsec_"},
		"secret of 23 bytes":      {func(e *webhook.Endpoint) { e.Secrets = []jwtauth.Secret{"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="} }, "whsec_"},
		"second secret unfit":     {func(e *webhook.Endpoint) { e.Secrets = append(e.Secrets, secret[6:]) }, "whsec_"},
		"family in the middle":    {func(e *webhook.Endpoint) { e.Events = []string{"*.revoke"} }, "Events"},
		"family without a dot":    {func(e *webhook.Endpoint) { e.Events = []string{"log*"} }, "Events"},
		"time-out of an hour":     {func(e *webhook.Endpoint) { e.Timeout = time.Hour }, "Timeout"},
		"negative time-out":       {func(e *webhook.Endpoint) { e.Timeout = -1 }, "Timeout"},
		"given up at once":        {func(e *webhook.Endpoint) { e.GiveUpAfter = -1 }, "GiveUpAfter"},
		"given up after 10 years": {func(e *webhook.Endpoint) { e.GiveUpAfter = 87600 * time.Hour }, "GiveUpAfter"},
	} {
		_, err := webhook.New(a, webhook.Config{Cursors: jwtauth.NewMemoryStore(), Endpoints: []webhook.Endpoint{bad(tc.change)}})
		if (err == nil) != (tc.says == "") {
			t.Errorf("%s: got %v", name, err)
		} else if err != nil {
			wantErr(t, err, tc.says)
		}
	}
	_, err := webhook.New(a, webhook.Config{Poll: time.Hour, Endpoints: []webhook.Endpoint{
		bad(func(e *webhook.Endpoint) { e.URL = "https://user:pw@hook.example.com/" }), bad(func(e *webhook.Endpoint) { e.Secrets = nil })}})
	wantErr(t, err, "Cursors", "Poll", "twice", "user info", "Secrets")
	_, err = webhook.New(nil, webhook.Config{})
	wantErr(t, err, "needs an Auth")
}

// vector is a URL that must not be posted to.
type vector struct {
	URL  string
	Why  string
	DNS  [][]string `json:"dns_sequence"`
	Want string     `json:"expect"`
}

func vectors(t *testing.T) []vector {
	t.Helper()
	var file struct {
		Vectors []vector
		Count   int
	}
	if err := json.Unmarshal(must(os.ReadFile("../testdata/web/ssrf_vectors.json"))(t), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) != file.Count || file.Count < 40 {
		t.Fatalf("%d vectors of %d", len(file.Vectors), file.Count)
	}
	return file.Vectors
}

// resolvedLate are the rows whose name tells nothing: they pass the
// configuration, once http is allowed, and are refused at the dial.
var resolvedLate = map[string]bool{"http://127.0.0.1.nip.io/hook": true, "https://hook.test/x": true}

func TestSSRFVectorsAreRefusedAtConfiguration(t *testing.T) {
	a := newAuth(t, jwtauth.NewMemoryStore())
	for _, v := range vectors(t) {
		e := webhook.Endpoint{Name: "hook", URL: v.URL, Secrets: []jwtauth.Secret{secret}}
		for _, e.InsecureAllowHTTP = range []bool{false, true} {
			_, err := webhook.New(a, webhook.Config{Cursors: jwtauth.NewMemoryStore(), Endpoints: []webhook.Endpoint{e}})
			late := resolvedLate[v.URL] && (e.InsecureAllowHTTP || strings.HasPrefix(v.URL, "https:"))
			if v.Want != "refuse" || (err == nil) != late {
				t.Errorf("%s (%s), http allowed: %v: got %v", v.URL, v.Why, e.InsecureAllowHTTP, err)
			}
		}
	}
}

func TestRedeliveryToSSRFVectorsIsRefusedAtTheDial(t *testing.T) {
	store := jwtauth.NewMemoryStore()
	a := newAuth(t, store)
	happen(t, a, 1)
	for _, v := range vectors(t) {
		if !resolvedLate[v.URL] {
			continue // see the internal test: New does not let them get this far
		}
		answers := v.DNS
		if answers == nil {
			answers = [][]string{{"127.0.0.1"}}
		}
		dns := newNameServer(t, answers)
		if len(answers) > 1 { // as whoever checks the name beforehand
			first := must(dns.resolver().LookupNetIP(t.Context(), "ip4", "hook.test"))(t)
			if len(first) != 1 || first[0] != netip.MustParseAddr(answers[0][0]) {
				t.Fatalf("resolved to %v", first)
			}
		}
		d := must(webhook.New(a, webhook.Config{Cursors: store, Resolver: dns.resolver(), Endpoints: []webhook.Endpoint{
			{Name: "hook", URL: v.URL, Secrets: []jwtauth.Secret{secret}, InsecureAllowHTTP: true}}}))(t)
		wantErr(t, d.Redeliver(t.Context(), "hook", 1), "not on the public internet")
		if dns.asked.Load() < int64(len(answers)) {
			t.Errorf("%s: the name was not resolved", v.URL)
		}
	}
}

// nameServer answers for every name with the next list of addresses, and goes on
// with the last one.
type nameServer struct {
	conn    net.PacketConn
	asked   atomic.Int64
	answers [][]string
}

func newNameServer(t *testing.T, answers [][]string) *nameServer {
	s := &nameServer{conn: must(net.ListenPacket("udp", "127.0.0.1:0"))(t), answers: answers}
	t.Cleanup(func() { s.conn.Close() })
	go s.serve()
	return s
}

func (s *nameServer) serve() {
	buf := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:n]) != nil {
			continue
		}
		m.Response, m.Additionals = true, nil
		if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
			for _, addr := range s.answers[min(int(s.asked.Add(1)), len(s.answers))-1] {
				m.Answers = append(m.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 0},
					Body:   &dnsmessage.AResource{A: netip.MustParseAddr(addr).As4()}})
			}
		}
		if out, err := m.Pack(); err == nil {
			_, _ = s.conn.WriteTo(out, from)
		}
	}
}

func (s *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", s.conn.LocalAddr().String())
	}}
}

// secureSink is a TLS server on loopback and what reaches it with the default
// transport but for its certificate authority.
func secureSink(t *testing.T, h http.HandlerFunc, timeout time.Duration) *webhook.Dispatcher {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or the server would not see that the client left
		h(w, r)
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.StartTLS()
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	store := jwtauth.NewMemoryStore()
	a := newAuth(t, store)
	happen(t, a, 1)
	return must(webhook.New(a, webhook.Config{Cursors: store, Transport: server.Client().Transport, Endpoints: []webhook.Endpoint{
		{Name: "hook", URL: server.URL + "/hook?key=canary-query", Secrets: []jwtauth.Secret{secret}, InsecureAllowPrivate: true, Timeout: timeout}}}))(t)
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, code := range []int{301, 302, 303, 307, 308} {
		for _, to := range []string{"/elsewhere", "https://127.0.0.1/x", "http://169.254.169.254/", "//[::1]/", "file:///etc/passwd", ""} {
			var hits atomic.Int64
			d := secureSink(t, func(w http.ResponseWriter, r *http.Request) {
				hits.Add(1)
				w.Header().Set("Location", to)
				w.WriteHeader(code)
			}, time.Minute)
			wantErr(t, d.Redeliver(t.Context(), "hook", 1), fmt.Sprintf("status %d", code))
			if hits.Load() != 1 {
				t.Errorf("%d to %q: %d requests", code, to, hits.Load())
			}
		}
	}
}

func TestAnswersAreBounded(t *testing.T) {
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		limit   time.Duration
		says    string // "" for taken
	}{
		{"whole answer passed over", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }, time.Minute, ""},
		{"endless body cut", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}, time.Minute, ""},
		{"body that stops midway passed over", func(w http.ResponseWriter, r *http.Request) {
			w.Write([]byte("x"))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, 500 * time.Millisecond, ""},
		{"silence ends", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 500 * time.Millisecond, "no answer in time"},
		{"broken connection", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, time.Minute, "no valid answer"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := secureSink(t, tc.handler, tc.limit).Redeliver(t.Context(), "hook", 1)
			if tc.says == "" && err != nil && tc.limit < time.Second { // on a busy machine the answer may begin too late
				err = secureSink(t, tc.handler, 20*time.Second).Redeliver(t.Context(), "hook", 1)
			}
			if tc.says == "" && err != nil {
				t.Error(err)
			}
			if tc.says != "" {
				wantErr(t, err, tc.says)
			}
		})
	}
}

// late answers 200 at the moment the sender gives up, as a server does whose
// handler returns because its client is gone.
type late struct{}

func (late) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
}

func TestAnswerAfterTheTimeoutIsNoDelivery(t *testing.T) {
	store := jwtauth.NewMemoryStore()
	a := newAuth(t, store)
	happen(t, a, 1)
	d := must(webhook.New(a, webhook.Config{Cursors: store, Transport: late{}, Endpoints: []webhook.Endpoint{
		{Name: "hook", URL: "https://hook.example.test", Secrets: []jwtauth.Secret{secret}, Timeout: time.Millisecond}}}))(t)
	wantErr(t, d.Redeliver(t.Context(), "hook", 1), "no answer in time")
}

func TestUntrustedCertificateIsRefused(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.StartTLS()
	defer server.Close()
	store := jwtauth.NewMemoryStore()
	a := newAuth(t, store)
	happen(t, a, 1)
	d := must(webhook.New(a, webhook.Config{Cursors: store, Endpoints: []webhook.Endpoint{
		{Name: "hook", URL: server.URL, Secrets: []jwtauth.Secret{secret}, InsecureAllowPrivate: true}}}))(t)
	wantErr(t, d.Redeliver(t.Context(), "hook", 1), "certificate")
}

// The default transport dials loopback where that is allowed, and nowhere else.
func TestLoopbackIsDialledWhereItIsAllowed(t *testing.T) {
	var header http.Header
	var huge atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		if huge.Load() { // four times what the transport takes
			w.Header().Set("X-Huge", strings.Repeat("x", 256<<10))
		}
	}))
	defer server.Close()
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	store := jwtauth.NewMemoryStore()
	a := newAuth(t, store)
	happen(t, a, 1)
	d := must(webhook.New(a, webhook.Config{Cursors: store, Endpoints: []webhook.Endpoint{{Name: "hook", URL: server.URL,
		Secrets: []jwtauth.Secret{secret}, InsecureAllowHTTP: true, InsecureAllowPrivate: true}}}))(t)
	if err := d.Redeliver(t.Context(), "hook", 1); err != nil {
		t.Fatal(err)
	}
	huge.Store(true)
	wantErr(t, d.Redeliver(t.Context(), "hook", 1), "no valid answer")
	if header.Get("Authorization") != "" || header.Get("Cookie") != "" || header.Get("Content-Type") != "application/json" {
		t.Errorf("headers: %v", header)
	}
}

// What is planted in the configuration, and what a receiver answers, shows up
// nowhere.
func TestSecretsStayInside(t *testing.T) {
	var log lockedBuffer
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	store := jwtauth.NewMemoryStore()
	a := newAuth(t, store)
	happen(t, a, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Echo", r.Header.Get(webhook.HeaderSignature))
		http.Error(w, "canary-answer", http.StatusTeapot)
	}))
	server.StartTLS()
	defer server.Close()
	cfg := webhook.Config{Cursors: store, Logger: logger, Transport: server.Client().Transport, Poll: 10 * time.Millisecond,
		Endpoints: []webhook.Endpoint{{Name: "hook", URL: server.URL + "/canary-path?key=canary-query", Secrets: []jwtauth.Secret{secret},
			InsecureAllowPrivate: true, FromStart: true}}}
	d := must(webhook.New(a, cfg))(t)
	stop := start(t, d)
	for log.len() == 0 {
		time.Sleep(time.Millisecond)
	}
	stop()
	broken := cfg
	broken.Endpoints = []webhook.Endpoint{{Name: "hook", URL: "https://canary-user:canary-pw@h/\x7fcanary-path", Secrets: []jwtauth.Secret{secret, "whsec_canary-secret"}}}
	_, err := webhook.New(a, broken)
	receiver := webhook.Receiver{Secrets: []jwtauth.Secret{secret}}
	shown := []any{log.String(), err, d.Redeliver(t.Context(), "hook", 1), must(d.Status(t.Context()))(t)}
	for _, v := range []any{cfg, &cfg, broken, cfg.Endpoints, cfg.Endpoints[0], &cfg.Endpoints[0], d, *d, receiver, &receiver} {
		shown = append(shown, fmt.Sprintf("%v %+v %#v %s %q", v, v, v, v, v))
		logger.Info("x", "v", v)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
	}
	text := fmt.Sprint(shown...) + log.String() + string(must(json.Marshal(cfg.Endpoints))(t))
	for _, canary := range []string{string(secret[6:]), "canary-", "v1,"} {
		if at := strings.Index(text, canary); at >= 0 {
			t.Errorf("%s shows in %s", canary, text[max(0, at-100):at+20])
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lockedBuffer) len() int { return len(l.String()) }

func TestStoreFaultsAreNotReportedAsSuccess(t *testing.T) {
	d := must(webhook.New(newAuth(t, jwtauth.NewMemoryStore()), webhook.Config{Cursors: brokenCursors{}, Endpoints: []webhook.Endpoint{
		{Name: "hook", URL: "https://hook.example.com/", Secrets: []jwtauth.Secret{secret}}}}))(t)
	_, errStatus := d.Status(t.Context())
	_, errBacklog := d.Backlog(t.Context())
	for what, err := range map[string]error{"Status": errStatus, "Backlog": errBacklog, "Replay": d.Replay(t.Context(), "hook", 1)} {
		if !errors.Is(err, errBroken) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

var errBroken = errors.New("broken")

type brokenCursors struct{ jwtauth.CursorStore }

func (brokenCursors) Cursors(context.Context) ([]jwtauth.Cursor, error) { return nil, errBroken }

func (brokenCursors) HoldCursor(context.Context, string, string, int64, time.Time, time.Time) (jwtauth.Cursor, error) {
	return jwtauth.Cursor{}, errBroken
}
