package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// quick is a config file with hashes that cost nothing and without limits.
const quick = `{"hash":{"memory_kib":64,"time":1,"insecure_for_tests":true},"limits":{"disabled":true}}`

// with returns quick with further members on top.
func with(t *testing.T, members string) string {
	t.Helper()
	all := map[string]any{}
	for _, text := range []string{quick, members} {
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			t.Fatal(err)
		}
	}
	data, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// write stores text in a new file.
func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// environment makes a getenv of names and values.
func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

// output is what the server prints, readable while it runs.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func newOutput() *output { return &output{more: make(chan struct{}, 1)} }

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.more <- struct{}{}:
	default:
	}
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// server is a running one.
type server struct {
	base, api string
	out       *output
	stop      context.CancelFunc
	ended     chan error
}

var (
	listening = regexp.MustCompile(`listening on (http://\S+)\n\n`)
	tourEnd   = regexp.MustCompile(`(?:token/revoke .*|can log in\.)\n\n`)
)

// start runs the program as main does, on a free port, and waits until it
// listens. It stops with the test.
func start(t *testing.T, config string, getenv func(string) string, args ...string) *server {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &server{out: newOutput(), stop: cancel, ended: make(chan error, 1)}
	args = append([]string{"-addr", "127.0.0.1:0", "-config", write(t, config)}, args...)
	go func() { s.ended <- run(ctx, args, getenv, s.out) }()
	t.Cleanup(func() { cancel(); <-s.ended })
	for !tourEnd.MatchString(s.out.String()) {
		select {
		case <-s.out.more:
		case err := <-s.ended:
			s.ended <- err
			t.Fatalf("did not start: %v\n%s", err, s.out)
		case <-time.After(time.Minute):
			t.Fatalf("did not say that it listens:\n%s", s.out)
		}
	}
	s.base = listening.FindStringSubmatch(s.out.String())[1]
	s.api = s.base + "/wp-json/headlesskey/v1"
	return s
}

// wait returns what run returned.
func (s *server) wait() error {
	err := <-s.ended
	s.ended <- err // for the cleanup
	return err
}

// answer is a response that was read.
type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// at returns a member, by a path with dots.
func (r answer) at(path string) any {
	var v any = r.body
	for name := range strings.SplitSeq(path, ".") {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

func (r answer) str(path string) string { s, _ := r.at(path).(string); return s }

// send makes one request over the network. A body makes it JSON.
func send(t *testing.T, method, url, body, token string) answer {
	t.Helper()
	header := http.Header{}
	if body != "" {
		header.Set("Content-Type", "application/json")
	}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	return do(t, method, url, body, header)
}

func do(t *testing.T, method, url, body string, header http.Header) answer {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header = header
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: r.StatusCode, header: r.Header, text: string(data)}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(data, &a.body); err != nil {
			t.Fatalf("%s %s: not a JSON object: %s", method, url, data)
		}
	}
	return a
}

// want fails the test unless an answer has the status and, with an error, the code.
func want(t *testing.T, r answer, status int, code string) answer {
	t.Helper()
	if r.status != status || code != "" && r.str("code") != code {
		t.Fatalf("answered %d %s, want %d %s", r.status, r.text, status, code)
	}
	return r
}

const (
	registerJohn = `{"username":"johndoe","email":"john@example.com","password":"secure-password","name":"John Doe"}`
	loginJohn    = `{"username":"johndoe","password":"secure-password"}`
)

// john registers and returns his token.
func (s *server) john(t *testing.T) string {
	t.Helper()
	return want(t, send(t, "POST", s.api+"/register", registerJohn, ""), 200, "").str("token_response.token")
}

// headerOf returns the header of a token, unverified.
func headerOf(t *testing.T, token string) (h struct{ Alg, Kid, Typ string }) {
	t.Helper()
	head, _, _ := strings.Cut(token, ".")
	data, err := base64.RawURLEncoding.DecodeString(head)
	if err == nil {
		err = json.Unmarshal(data, &h)
	}
	if err != nil {
		t.Fatalf("token %q: %v", token, err)
	}
	return h
}

var quiet = slog.New(slog.DiscardHandler)

// serveJSON makes one request without a network.
func serveJSON(h http.Handler, method, target, body string) answer {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	a := answer{status: w.Code, header: w.Header(), text: w.Body.String()}
	_ = json.Unmarshal(w.Body.Bytes(), &a.body) // what is no JSON has no members
	return a
}

// testApp is a server without a network.
func testApp(t *testing.T, config string, o options) *app {
	t.Helper()
	o.db, o.config = "memory", write(t, config)
	a, err := newApp(t.Context(), o, "http://127.0.0.1:8080", environment(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
