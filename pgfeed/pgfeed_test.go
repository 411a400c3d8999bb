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

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/pgfeed"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// patience is how long to wait for what takes a moment on a machine that is not
// busy: long enough for one that is.
const patience = time.Minute

func serverURL() string {
	if url := os.Getenv("JWTAUTH_TEST_POSTGRES"); url != "" {
		return url
	}
	return "postgres://postgres@127.0.0.1:5432/postgres"
}

// database opens the server to test with, or skips the test.
func database(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", serverURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
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
		case <-time.After(patience):
			t.Error("Run does not end with its context")
		}
	})
	within(t, "the feed works", func() bool { return v.Stats().Live })
	return v
}

func within(t testing.TB, what string, done func() bool) {
	t.Helper()
	limit := time.After(patience)
	for !done() {
		select {
		case <-limit:
			t.Fatalf("not within %v: %s", patience, what)
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
		id = remembered(t, two, id)
		r := []jwtauth.Revocation{{TokenID: "t" + id}, {SessionID: "s" + id, Generation: 2}, {UserID: "u" + id, Version: 2}}[i]
		r.Expires = noon.Add(time.Hour)
		if err := one.Revoke(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		within(t, "the other node hears of it", func() bool { return revoked(t, two, id) })
	}
}

// remembered checks that a view asks once about a token that nobody revokes, and
// returns its id. A feed that is lost meanwhile shows nothing, so that another
// token gets a try.
func remembered(t *testing.T, v *jwtauth.RevocationView, prefix string) (id string) {
	t.Helper()
	try := 0
	within(t, "the feed works while ten checks are made", func() bool {
		try++
		id = fmt.Sprint(prefix, try)
		before := v.Stats()
		for range 10 {
			if revoked(t, v, id) {
				t.Fatal("revoked")
			}
		}
		after := v.Stats()
		if !before.Live || !after.Live || after.Connected != before.Connected {
			return false
		}
		if after.Remembered-before.Remembered != 9 {
			t.Errorf("%+v, then %+v: want 9 of 10 checks without a question", before, after)
		}
		return true
	})
	return id
}

// A watermark for the future keeps its time, to the last digit.
func TestFeedCarriesWhenAWatermarkBegins(t *testing.T) {
	db, name := database(t), channel(t)
	want := jwtauth.Revocation{TokenID: "t", SessionID: "s", UserID: "u", From: noon.Add(30*time.Second + 123456789)}
	within(t, "a message arrives", func() bool {
		got, err := hear(t, newFeed(t, db, name), want)
		if err != nil {
			t.Log(err) // the connection was lost
			return false
		}
		if got != want {
			t.Errorf("heard %+v, want %+v", got, want)
		}
		return true
	})
}

// hear publishes a revocation and returns what a follower hears.
func hear(t *testing.T, f *pgfeed.Feed, r jwtauth.Revocation) (got jwtauth.Revocation, err error) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	heard := false
	err = f.Follow(ctx, func() {
		if err := f.Publish(ctx, r); err != nil {
			t.Error(err)
			cancel()
		}
	}, func(r jwtauth.Revocation) {
		got, heard = r, true
		cancel()
	})
	if heard {
		return got, nil
	}
	return got, err
}

// named opens the server with connections that it shows under a name.
func named(t testing.TB, name string) *sql.DB {
	t.Helper()
	cfg, err := pgx.ParseConfig(serverURL())
	if err != nil {
		t.Fatal(err)
	}
	cfg.RuntimeParams["application_name"] = name
	db := stdlib.OpenDB(*cfg)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// Connections that the server ends, and messages that are none of ours, are gaps:
// the view asks, and comes back by itself.
func TestFeedComesBackAfterAGap(t *testing.T) {
	db, name := database(t), channel(t)
	v := startView(t, jwtauth.NewMemoryStore(), newFeed(t, named(t, name), name))
	for _, gap := range []struct {
		name, query string
		args        []any
	}{
		{"connection ended", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", []any{name}},
		{"garbage", "SELECT pg_notify($1, 'garbage')", []any{name}},
		{"nothing", "SELECT pg_notify($1, '')", []any{name}},
		{"nobody", "SELECT pg_notify($1, '{}')", []any{name}},
	} {
		t.Run(gap.name, func(t *testing.T) {
			within(t, "the feed works", func() bool { return v.Stats().Live })
			before := v.Stats().Connected
			if _, err := db.ExecContext(t.Context(), gap.query, gap.args...); err != nil {
				t.Fatal(err)
			}
			within(t, "the feed begins anew", func() bool { s := v.Stats(); return s.Live && s.Connected > before })
		})
	}
}

// A quiet feed stays: its connection is asked for a sign of life. A busy machine
// may miss that now and then, but not every time.
func TestQuietFeedStays(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for five seconds")
	}
	v := startView(t, jwtauth.NewMemoryStore(), newFeed(t, database(t), channel(t)))
	for range 3 {
		within(t, "the feed works", func() bool { return v.Stats().Live })
		before := v.Stats()
		time.Sleep(5 * time.Second) // two beats of a real server
		after := v.Stats()
		if before.Live && after.Live && after.Connected == before.Connected {
			return
		}
		t.Logf("%+v, after two beats %+v", before, after)
	}
	t.Error("the feed never stayed for two beats")
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
