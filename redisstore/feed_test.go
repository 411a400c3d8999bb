package redisstore_test

import (
	"context"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/redisstore"
)

// startView runs a view of a store until the test ends.
func startView(t *testing.T, s *redisstore.Store, staleness time.Duration) *jwtauth.RevocationView {
	t.Helper()
	v, err := jwtauth.NewRevocationView(s, jwtauth.RevocationViewConfig{Staleness: staleness, Feed: s.Feed(),
		StoreTimeout: time.Second, Logger: slog.New(slog.DiscardHandler)})
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
	live(t, v, true)
	return v
}

func live(t testing.TB, v *jwtauth.RevocationView, want bool) {
	t.Helper()
	within(t, 15*time.Second, "the feed works or is lost, as expected", func(context.Context) bool { return v.Stats().Live == want })
}

func revoked(t testing.TB, s jwtauth.RevocationStore, id string) bool {
	t.Helper()
	got, err := s.Revoked(context.Background(), jwtauth.TokenRef{TokenID: "t" + id, SessionID: "s" + id, Generation: 1, UserID: "u" + id, Version: 1, Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// parts are revocations of one token, each by one part.
func parts(id string) []jwtauth.Revocation {
	list := []jwtauth.Revocation{{TokenID: "t" + id}, {SessionID: "s" + id, Generation: 2}, {UserID: "u" + id, Version: 2}}
	for i := range list {
		list[i].Expires = noon.Add(24 * time.Hour)
	}
	return list
}

func TestFeedTellsOtherNodes(t *testing.T) {
	a, b := twoNodes(t)
	views(t, a, startView(t, b, 10*time.Minute))
}

// views checks that what a store revokes reaches a view, which remembers.
func views(t *testing.T, s *redisstore.Store, v *jwtauth.RevocationView) {
	t.Helper()
	for i, id := range []string{"x", "y", "{z}"} {
		before := v.Stats()
		for range 10 {
			if revoked(t, v, id) {
				t.Fatalf("%s is revoked", id)
			}
		}
		if after := v.Stats(); after.Asked-before.Asked != 1 {
			t.Errorf("%d questions for 10 checks", after.Asked-before.Asked)
		}
		if err := s.Revoke(t.Context(), parts(id)[i]); err != nil {
			t.Fatal(err)
		}
		within(t, 5*time.Second, "the other node hears of it", func(context.Context) bool { return revoked(t, v, id) })
	}
}

func TestFeedInACluster(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a cluster")
	}
	client := startCluster(t)
	prefix := newPrefix()
	s := openPrefix(t, client, prefix)
	views(t, s, startView(t, openPrefix(t, client, prefix), 10*time.Minute))
}

// What is no message of ours is a gap: whoever sends it can make the nodes ask,
// and nothing else.
func TestFeedTakesGarbageForAGap(t *testing.T) {
	client := connect(t, serverURL())
	prefix := newPrefix()
	v := startView(t, openPrefix(t, client, prefix), 10*time.Minute)
	for i, garbage := range []string{"", "garbage", "{}", `{"s":"s","from":"tomorrow"}`} {
		if err := client.Publish(t.Context(), prefix+"revoked", garbage).Err(); err != nil {
			t.Fatal(err)
		}
		within(t, 10*time.Second, "the feed begins anew", func(context.Context) bool {
			s := v.Stats()
			return s.Live && s.Connected == uint64(i+2)
		})
	}
}

// A server that is killed, one that hangs, and connections that are cut: the view
// asks, nothing is accepted on trust, and it recovers by itself.
func TestFeedSurvivesTheServer(t *testing.T) {
	srv := startServer(t, "--appendonly", "yes", "--appendfsync", "always")
	prefix := newPrefix()
	s := openPrefix(t, connect(t, srv.url()), prefix)
	v := startView(t, openPrefix(t, connect(t, srv.url()), prefix), 10*time.Minute)
	ask := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_, err := v.Revoked(ctx, jwtauth.TokenRef{TokenID: "t-x", Now: noon})
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}

	t.Run("connections cut", func(t *testing.T) {
		admin := connect(t, srv.url()).(*redis.Client)
		connected := v.Stats().Connected
		if err := admin.Do(t.Context(), "client", "kill", "type", "pubsub").Err(); err != nil {
			t.Fatal(err)
		}
		within(t, 5*time.Second, "the feed is back", func(context.Context) bool { return v.Stats().Connected > connected && v.Stats().Live })
	})
	t.Run("server hangs", func(t *testing.T) {
		srv.signal(t, syscall.SIGSTOP)
		live(t, v, false)
		began := time.Now()
		if err := ask(); err == nil || time.Since(began) > 2*time.Second {
			t.Errorf("Revoked = %v after %v, want a fault within the limit of 1s", err, time.Since(began))
		}
		srv.signal(t, syscall.SIGCONT)
		within(t, 5*time.Second, "it recovers", func(context.Context) bool { return ask() == nil && v.Stats().Live })
	})
	t.Run("server killed", func(t *testing.T) {
		revokeSlowly(t, s, "before")
		srv.kill()
		live(t, v, false)
		if err := ask(); err == nil {
			t.Error("Revoked of a server that is gone: no error")
		}
		srv.start(t)
		within(t, 5*time.Second, "it recovers", func(context.Context) bool { return ask() == nil && v.Stats().Live })
		if !revoked(t, v, "before") {
			t.Error("what was revoked before the kill is forgotten, with an append-only file")
		}
	})
}

func revokeSlowly(t *testing.T, s *redisstore.Store, id string) {
	t.Helper()
	within(t, 5*time.Second, "a revocation", func(ctx context.Context) bool { return s.Revoke(ctx, parts(id)[0]) == nil })
}
