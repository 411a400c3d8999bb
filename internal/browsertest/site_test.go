package browsertest_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/authtest"
	"github.com/go-jwtauth/jwtauth/examples/spa"
)

// site is a server with the page and the API in this process, so that a test can
// look at its sessions and make its requests wait.
type site struct {
	*authtest.Site
	url string
	mux *http.ServeMux

	mu    sync.Mutex
	count map[string]int
	gates map[string]*gate
}

const refreshPath = "/auth/token/refresh"

// newSite serves the page at /spa/ on a free port.
func newSite(t *testing.T, change ...func(*jwtauth.Config)) *site {
	t.Helper()
	cookies := func(cfg *jwtauth.Config) { cfg.Cookies.Enabled = true }
	s := &site{Site: authtest.New(t, append(change, cookies)...), mux: http.NewServeMux(), count: map[string]int{}, gates: map[string]*gate{}}
	s.mux.Handle("/auth/", http.StripPrefix("/auth", s.Auth.Handler()))
	s.mux.Handle("GET /spa/{$}", spa.Handler("/auth"))
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// ServeHTTP counts requests by path and lets them wait at a gate.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.count[r.URL.Path]++
	g := s.gates[r.URL.Path]
	s.mu.Unlock()
	if g == nil {
		s.mux.ServeHTTP(w, r)
		return
	}
	if g.pass(r) {
		g.next(s.mux).ServeHTTP(w, r)
	}
}

func (s *site) requests(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[path]
}

// gate is where requests for one path wait, or get another answer.
type gate struct {
	arrived chan struct{}
	open    chan struct{}
	answer  http.Handler
}

// hold lets the requests for a path wait until the gate is opened.
func (s *site) hold(t *testing.T, path string) *gate {
	t.Helper()
	g := &gate{arrived: make(chan struct{}, 100), open: make(chan struct{})}
	s.set(path, g)
	t.Cleanup(g.release)
	return g
}

// answer answers requests for a path by other means.
func (s *site) answer(path string, h http.Handler) {
	open := make(chan struct{})
	close(open)
	s.set(path, &gate{arrived: make(chan struct{}, 100), open: open, answer: h})
}

// clear removes the gate of a path.
func (s *site) clear(path string) { s.set(path, nil) }

func (s *site) set(path string, g *gate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gates[path] = g
}

func (g *gate) pass(r *http.Request) bool {
	g.arrived <- struct{}{}
	select {
	case <-g.open:
		return true
	case <-r.Context().Done():
		return false
	}
}

func (g *gate) next(h http.Handler) http.Handler {
	if g.answer != nil {
		return g.answer
	}
	return h
}

// wait waits until n requests have come.
func (g *gate) wait(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case <-g.arrived:
		case <-time.After(patience):
			t.Fatalf("waited for %d requests", n)
		}
	}
}

func (g *gate) release() {
	select {
	case <-g.open:
	default:
		close(g.open)
	}
}

// session returns the only session of a user.
func (s *site) session(t *testing.T, login string) jwtauth.Session {
	t.Helper()
	list := s.sessions(t, login)
	if len(list) != 1 {
		t.Fatalf("%s has %d sessions, want 1", login, len(list))
	}
	return list[0]
}

func (s *site) sessions(t *testing.T, login string) []jwtauth.Session {
	t.Helper()
	list, err := s.Auth.Sessions(t.Context(), s.user(t, login).ID)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func (s *site) user(t *testing.T, login string) jwtauth.User {
	t.Helper()
	u, err := s.Auth.UserByLogin(t.Context(), login)
	if err != nil {
		t.Fatalf("%s: %v", login, err)
	}
	return u
}

// events counts the records of a name and result.
func (s *site) events(t *testing.T, name, result string) int {
	t.Helper()
	list, err := s.Auth.Events(t.Context(), jwtauth.EventFilter{Name: name, Result: result, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
