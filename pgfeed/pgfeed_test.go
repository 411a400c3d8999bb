package pgfeed_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/pgfeed"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// database opens the server to test with, or skips the test.
func database(t testing.TB) *sql.DB {
	t.Helper()
	url := os.Getenv("JWTAUTH_TEST_POSTGRES")
	if url == "" {
		url = "postgres://postgres@127.0.0.1:5432/postgres"
	}
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		text := fmt.Sprintf("no PostgreSQL (%v): start one, for example with \"docker run -p 5432:5432 -e POSTGRES_HOST_AUTH_METHOD=trust postgres\", or set JWTAUTH_TEST_POSTGRES", err)
		if os.Getenv("CI") == "true" {
			t.Fatal(text)
		}
		t.Skip(text)
	}
	return db
}

func newFeed(t testing.TB, db *sql.DB, channel string) *pgfeed.Feed {
	t.Helper()
	f, err := pgfeed.New(db, pgfeed.Options{Channel: channel})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func channel(t testing.TB) string {
	return fmt.Sprintf("jwtauth test \"%d", time.Now().UnixNano()) // of which all has to be quoted
}

// startView runs a view of a store until the test ends.
func startView(t *testing.T, s jwtauth.RevocationStore, f jwtauth.RevocationFeed) *jwtauth.RevocationView {
	t.Helper()
	v, err := jwtauth.NewRevocationView(s, jwtauth.RevocationViewConfig{Staleness: 10 * time.Minute, Feed: f, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- v.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			t.Error("Run does not end with its context")
		}
	})
	within(t, "the feed works", func() bool { return v.Stats().Live })
	return v
}

func within(t testing.TB, what string, done func() bool) {
	t.Helper()
	limit := time.After(10 * time.Second)
	for !done() {
		select {
		case <-limit:
			t.Fatalf("not within 10 s: %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func revoked(t testing.TB, s jwtauth.RevocationStore, id string) bool {
	t.Helper()
	got, err := s.Revoked(context.Background(), jwtauth.TokenRef{TokenID: "t" + id, SessionID: "s" + id, Generation: 1, UserID: "u" + id, Version: 1, Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestFeedTellsOtherNodes(t *testing.T) {
	store, name := jwtauth.NewMemoryStore(), channel(t)
	one := startView(t, store, newFeed(t, database(t), name))
	two := startView(t, store, newFeed(t, database(t), name))
	for i, id := range []string{"a", "b", "c'\"\\ Zoë 🦊"} {
		for range 10 {
			if revoked(t, two, id) {
				t.Fatal("revoked")
			}
		}
		r := []jwtauth.Revocation{{TokenID: "t" + id}, {SessionID: "s" + id, Generation: 2}, {UserID: "u" + id, Version: 2}}[i]
		r.Expires = noon.Add(time.Hour)
		if err := one.Revoke(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		within(t, "the other node hears of it", func() bool { return revoked(t, two, id) })
	}
	if stats := two.Stats(); stats.Remembered < 27 {
		t.Errorf("%+v: want 9 of 10 checks without a question", stats)
	}
}

// A watermark for the future keeps its time, to the last digit.
func TestFeedCarriesWhenAWatermarkBegins(t *testing.T) {
	db, name := database(t), channel(t)
	got := make(chan jwtauth.Revocation, 1)
	ready := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_ = newFeed(t, db, name).Follow(ctx, func() { close(ready) }, func(r jwtauth.Revocation) { got <- r })
	}()
	<-ready
	want := jwtauth.Revocation{TokenID: "t", SessionID: "s", UserID: "u", From: noon.Add(30*time.Second + 123456789)}
	if err := newFeed(t, db, name).Publish(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if r := <-got; r != want {
		t.Errorf("heard %+v, want %+v", r, want)
	}
}

// Connections that the server ends, and messages that are none of ours, are gaps:
// the view asks, and comes back by itself.
func TestFeedComesBackAfterAGap(t *testing.T) {
	db, name := database(t), channel(t)
	v := startView(t, jwtauth.NewMemoryStore(), newFeed(t, db, name))
	for i, gap := range []struct {
		name, query string
		args        []any
	}{
		{"connection ended", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND position($1 in query) > 0",
			[]any{strings.ReplaceAll(name, `"`, `""`)}},
		{"garbage", "SELECT pg_notify($1, 'garbage')", []any{name}},
		{"nothing", "SELECT pg_notify($1, '')", []any{name}},
		{"nobody", "SELECT pg_notify($1, '{}')", []any{name}},
	} {
		t.Run(gap.name, func(t *testing.T) {
			if _, err := db.ExecContext(t.Context(), gap.query, gap.args...); err != nil {
				t.Fatal(err)
			}
			within(t, "the feed begins anew", func() bool { s := v.Stats(); return s.Live && s.Connected == uint64(i+2) })
		})
	}
}

// A quiet feed stays: its connection is asked for a sign of life.
func TestQuietFeedStays(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for five seconds")
	}
	v := startView(t, jwtauth.NewMemoryStore(), newFeed(t, database(t), channel(t)))
	time.Sleep(5 * time.Second) // two beats of a real server
	if s := v.Stats(); !s.Live || s.Connected != 1 {
		t.Errorf("after two beats: %+v", s)
	}
}

func TestLongIdsRefused(t *testing.T) {
	f := newFeed(t, database(t), channel(t))
	if err := f.Publish(t.Context(), jwtauth.Revocation{TokenID: strings.Repeat("x", 8000)}); err == nil {
		t.Error("no error")
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := pgfeed.New(nil, pgfeed.Options{}); err == nil {
		t.Error("no database: no error")
	}
	if _, err := pgfeed.New(database(t), pgfeed.Options{Channel: strings.Repeat("x", 64)}); err == nil {
		t.Error("long channel: no error")
	}
}
