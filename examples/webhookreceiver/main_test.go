package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/authtest"
	"github.com/go-jwtauth/jwtauth/webhook"
)

func newAuth(t *testing.T, store *jwtauth.MemoryStore) *jwtauth.Auth {
	t.Helper()
	return authtest.New(t, func(cfg *jwtauth.Config) { cfg.Store, cfg.Now = store, time.Now }).Auth
}

// Events that happen before, between and after two lives of the receiver, which
// forgets to answer now and then, are in its file once each, in order.
func TestReceiverSurvivesARestart(t *testing.T) {
	store := jwtauth.NewMemoryStore()
	auth := newAuth(t, store)
	name, secret := filepath.Join(t.TempDir(), "events.log"), webhook.NewSecret()
	var life atomic.Pointer[http.Handler]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := life.Load()
		if h == nil {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		(*h).ServeHTTP(w, r)
	}))
	defer server.Close()
	d, err := webhook.New(auth, webhook.Config{Cursors: store, Poll: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
		Endpoints: []webhook.Endpoint{{Name: "journal", URL: server.URL, Secrets: []jwtauth.Secret{secret}, FromStart: true,
			InsecureAllowHTTP: true, InsecureAllowPrivate: true}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	want := 0
	for range 2 {
		j, err := openJournal(name)
		if err != nil {
			t.Fatal(err)
		}
		lost := http.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			j.receiver(secret).ServeHTTP(httptest.NewRecorder(), r) // taken, and the answer is lost
			panic(http.ErrAbortHandler)
		}))
		life.Store(&lost)
		want += 3
		for range 3 {
			if err := auth.AdoptTrail(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		waitFor(t, name, want-2)
		whole := http.Handler(j.receiver(secret))
		life.Store(&whole)
		waitFor(t, name, want)
		life.Store(nil)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	events, err := auth.Follow(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(read(t, name)), "\n")
	for i, line := range lines {
		if i >= len(events) || line != events[i].ID+" trail.adopt ok" {
			t.Errorf("line %d is %q", i, line)
		}
	}
	if len(lines) != len(events) {
		t.Errorf("%d lines for %d events", len(lines), len(events))
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// waitFor waits until the file has n lines: the events come through a socket.
func waitFor(t *testing.T, name string, n int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); strings.Count(read(t, name), "\n") < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d lines did not come", n)
		}
	}
}
