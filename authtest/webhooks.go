package authtest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// Hook is a request that a [Sink] was sent.
type Hook struct {
	Header http.Header
	Body   []byte
}

// Sink receives webhooks and keeps them.
type Sink struct {
	// URL is where it listens: https, with a certificate that
	// [Sink.Client] trusts.
	URL    string
	server *httptest.Server

	mu     sync.Mutex
	hooks  []Hook
	status int
	more   chan struct{}
}

// NewSink starts a sink that says thank you to everything. It stops with the test.
func NewSink(t testing.TB) *Sink {
	t.Helper()
	s := &Sink{status: http.StatusNoContent, more: make(chan struct{}, 1)}
	s.server = httptest.NewTLSServer(http.HandlerFunc(s.receive))
	s.URL = s.server.URL
	t.Cleanup(s.server.Close)
	return s
}

// Client trusts the certificate of the sink.
func (s *Sink) Client() *http.Client { return s.server.Client() }

// Answer sets the status that the sink answers with from now on: 503 is a sink
// that is down.
func (s *Sink) Answer(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

func (s *Sink) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && s.status < 300 {
		s.hooks = append(s.hooks, Hook{r.Header.Clone(), body})
		select {
		case s.more <- struct{}{}:
		default:
		}
	}
	w.WriteHeader(s.status)
}

// Hooks returns what the sink has accepted, the first one first.
func (s *Sink) Hooks() []Hook {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Hook(nil), s.hooks...)
}

// Wait returns when the sink has accepted n requests, or ends the test with its
// context.
func (s *Sink) Wait(t testing.TB, n int) []Hook {
	t.Helper()
	for {
		if hooks := s.Hooks(); len(hooks) >= n {
			return hooks
		}
		select {
		case <-s.more:
		case <-t.Context().Done():
			t.Fatalf("authtest: %d webhooks, want %d", len(s.Hooks()), n)
		}
	}
}
