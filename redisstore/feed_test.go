package redisstore_test

import (
	"context"
	"fmt"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/redisstore"
)

// startView runs a view of a store, which waits so long for it, until the test
// ends.
func startView(t *testing.T, s *redisstore.Store, wait time.Duration) *jwtauth.RevocationView {
	t.Helper()
	v, err := jwtauth.NewRevocationView(s, jwtauth.RevocationViewConfig{Staleness: 10 * time.Minute, Feed: s.Feed(),
		StoreTimeout: wait, Logger: slog.New(slog.DiscardHandler)})
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
	live(t, v, true)
	return v
}

func live(t testing.TB, v *jwtauth.RevocationView, want bool) {
	t.Helper()
	within(t, "the feed works or is lost, as expected", func(context.Context) bool { return v.Stats().Live == want })
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
	views(t, a, startView(t, b, patience))
}

// views checks that what a store revokes reaches a view, which remembers.
func views(t *testing.T, s *redisstore.Store, v *jwtauth.RevocationView) {
	t.Helper()
	for i, id := range []string{"x", "y", "{z}"} {
		id = remembered(t, v, id)
		if err := s.Revoke(t.Context(), parts(id)[i]); err != nil {
			t.Fatal(err)
		}
		within(t, "the other node hears of it", func(context.Context) bool { return revoked(t, v, id) })
	}
}

// remembered checks that a view asks once about a token that nobody revokes, and
// returns its id. A feed that is lost meanwhile shows nothing, so that another
// token gets a try.
func remembered(t *testing.T, v *jwtauth.RevocationView, prefix string) (id string) {
	t.Helper()
	try := 0
	within(t, "the feed works while ten checks are made", func(context.Context) bool {
		try++
		id = fmt.Sprint(prefix, try)
		before := v.Stats()
		for range 10 {
			if revoked(t, v, id) {
				t.Fatalf("%s is revoked", id)
			}
		}
		after := v.Stats()
		if !before.Live || !after.Live || after.Connected != before.Connected {
			return false
		}
		if after.Asked-before.Asked != 1 {
			t.Errorf("%d questions for 10 checks", after.Asked-before.Asked)
		}
		return true
	})
	return id
}

func TestFeedInACluster(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a cluster")
	}
	client := startCluster(t)
	prefix := newPrefix()
	s := openPrefix(t, client, prefix)
	views(t, s, startView(t, openPrefix(t, client, prefix), patience))
}

// What is no message of ours is a gap: whoever sends it can make the nodes ask,
// and nothing else.
func TestFeedTakesGarbageForAGap(t *testing.T) {
	client := connect(t, serverURL())
	prefix := newPrefix()
	v := startView(t, openPrefix(t, client, prefix), patience)
	for _, garbage := range []string{"", "garbage", "{}", `{"s":"s","from":"tomorrow"}`} {
		live(t, v, true)
		before := v.Stats().Connected
		if err := client.Publish(t.Context(), prefix+"revoked", garbage).Err(); err != nil {
			t.Fatal(err)
		}
		within(t, "the feed begins anew", func(context.Context) bool {
			s := v.Stats()
			return s.Live && s.Connected > before
		})
	}
}

// A server that is killed, one that hangs, and connections that are cut: the view
// asks, nothing is accepted on trust, and it recovers by itself.
func TestFeedSurvivesTheServer(t *testing.T) {
	srv := startServer(t, "--appendonly", "yes", "--appendfsync", "always")
	prefix := newPrefix()
	s := openPrefix(t, connect(t, srv.url()), prefix)
	v := startView(t, openPrefix(t, connect(t, srv.url()), prefix), 10*time.Second)
	ask := func(v *jwtauth.RevocationView) error {
		_, err := v.Revoked(context.Background(), jwtauth.TokenRef{TokenID: "t-x", Now: noon})
		return err
	}
	if err := ask(v); err != nil {
		t.Fatal(err)
	}

	t.Run("connections cut", func(t *testing.T) {
		admin := connect(t, srv.url()).(*redis.Client)
		connected := v.Stats().Connected
		if err := admin.Do(t.Context(), "client", "kill", "type", "pubsub").Err(); err != nil {
			t.Fatal(err)
		}
		within(t, "the feed is back", func(context.Context) bool { return v.Stats().Connected > connected && v.Stats().Live })
	})
	t.Run("server hangs", func(t *testing.T) {
		v := startView(t, openPrefix(t, connect(t, srv.url()), prefix), time.Second)
		srv.signal(t, syscall.SIGSTOP)
		defer srv.signal(t, syscall.SIGCONT)
		live(t, v, false)
		began := time.Now()
		if err := ask(v); err == nil || time.Since(began) > 20*time.Second {
			t.Errorf("Revoked = %v after %v, want a fault after the limit of 1s, long before the client's own", err, time.Since(began))
		}
		srv.signal(t, syscall.SIGCONT)
		within(t, "it recovers", func(context.Context) bool { return ask(v) == nil && v.Stats().Live })
	})
	t.Run("server killed", func(t *testing.T) {
		revokeSlowly(t, s, "before")
		srv.kill()
		live(t, v, false)
		if err := ask(v); err == nil {
			t.Error("Revoked of a server that is gone: no error")
		}
		srv.start(t)
		within(t, "it recovers", func(context.Context) bool { return ask(v) == nil && v.Stats().Live })
		if !revoked(t, v, "before") {
			t.Error("what was revoked before the kill is forgotten, with an append-only file")
		}
	})
}

func revokeSlowly(t *testing.T, s *redisstore.Store, id string) {
	t.Helper()
	within(t, "a revocation", func(ctx context.Context) bool { return s.Revoke(ctx, parts(id)[0]) == nil })
}
