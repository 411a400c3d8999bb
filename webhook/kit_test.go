package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/authtest"
	"github.com/go-jwtauth/jwtauth/webhook"
)

// must(f())(t) is the value of f, or the end of the test.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// The published example of Standard Webhooks has this secret.
const secret jwtauth.Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

const password = authtest.Password

func newAuth(t testing.TB, store *jwtauth.MemoryStore) *jwtauth.Auth {
	t.Helper()
	return authtest.New(t, func(cfg *jwtauth.Config) { cfg.Store, cfg.Now, cfg.Mail = store, nil, jwtauth.MailConfig{} }).Auth
}

// happen makes n events.
func happen(t testing.TB, a *jwtauth.Auth, n int) {
	t.Helper()
	for range n {
		var err error = jwtauth.ErrConflict
		for errors.Is(err, jwtauth.ErrConflict) { // another Auth seals at this moment
			err = a.AdoptTrail(context.Background())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// ids are those of the trail, in its order.
func ids(t testing.TB, a *jwtauth.Auth) []string {
	t.Helper()
	var list []string
	for _, e := range must(a.Follow(context.Background(), 0, 1000))(t) {
		list = append(list, e.ID)
	}
	return list
}

// sink is a receiver that notes every request it gets, and whose answers a test
// chooses. It is reached through memory, so that it can live in a synctest
// bubble.
type sink struct {
	t        testing.TB
	listener pipes

	mu       sync.Mutex
	answer   func(w http.ResponseWriter, r *http.Request) // nil: 204
	attempts []attempt
	taken    []string // ids
	busy     int
	atOnce   int // most at the same time
}

type attempt struct {
	id     string
	at     time.Time
	body   string
	header http.Header
}

func newSink(t testing.TB) *sink {
	s := &sink{t: t, listener: pipes{conns: make(chan net.Conn), done: make(chan struct{})}}
	server := &http.Server{Handler: s, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go server.Serve(s.listener)
	t.Cleanup(func() { _ = server.Close() })
	return s
}

func (s *sink) answers(f func(http.ResponseWriter, *http.Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

// status makes a constant answer.
func status(code int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	id, err := webhook.Verify(r.Header, body, time.Now(), secret)
	if err != nil {
		s.t.Errorf("the request is not signed: %v", err)
	}
	s.mu.Lock()
	s.busy++
	s.atOnce = max(s.atOnce, s.busy)
	s.attempts = append(s.attempts, attempt{id, time.Now(), string(body), r.Header.Clone()})
	answer := s.answer
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.busy--
		s.mu.Unlock()
	}()
	if answer != nil {
		answer(w, r)
		return
	}
	w.WriteHeader(http.StatusNoContent)
	s.mu.Lock()
	s.taken = append(s.taken, id)
	s.mu.Unlock()
}

func (s *sink) seen() []attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]attempt(nil), s.attempts...)
}

func (s *sink) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.taken...)
}

// transport reaches the sink, whatever the URL.
func (s *sink) transport() *http.Transport {
	return &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return s.listener.dial() }}
}

// pipes is a net.Listener in memory.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p pipes) dial() (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.done:
		return nil, errors.New("closed")
	}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error {
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	return nil
}

func (pipes) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

// endpoint leads to a sink.
func endpoint() webhook.Endpoint {
	return webhook.Endpoint{Name: "hook", URL: "http://hook.example.com/x?key=canary-query", Secrets: []jwtauth.Secret{secret},
		FromStart: true, InsecureAllowHTTP: true}
}

func newDispatcher(t testing.TB, a *jwtauth.Auth, store jwtauth.CursorStore, s *sink, change ...func(*webhook.Endpoint)) *webhook.Dispatcher {
	t.Helper()
	e := endpoint()
	for _, f := range change {
		f(&e)
	}
	return must(webhook.New(a, webhook.Config{Cursors: store, Endpoints: []webhook.Endpoint{e}, Transport: s.transport(),
		Logger: slog.New(slog.DiscardHandler)}))(t)
}

// start runs a dispatcher until the function that it returns is called.
func start(t testing.TB, d *webhook.Dispatcher) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// inOrder fails unless the events were taken in the order of the trail, each of
// them, and none before the one in front of it. Repetitions are allowed.
func inOrder(t testing.TB, got, want []string) {
	t.Helper()
	next := 0
	for i, id := range got {
		switch {
		case next < len(want) && id == want[next]:
			next++
		case next > 0 && id == want[next-1]: // once more
		default:
			t.Fatalf("event %d of %d was taken out of turn", i, len(got))
		}
	}
	if next != len(want) {
		t.Fatalf("%d events taken, want %d", next, len(want))
	}
}

func message(t testing.TB, body string) (m webhook.Message) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// wantErr fails unless the error tells each of the words.
func wantErr(t testing.TB, err error, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(fmt.Sprint(err), word) {
			t.Errorf("got %v, want it to say %q", err, word)
		}
	}
}
