package redisstore_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-jwtauth/jwtauth/redisstore"
)

// serverURL is the server to test against.
func serverURL() string {
	if url := os.Getenv("JWTAUTH_TEST_REDIS"); url != "" {
		if !strings.Contains(url, "://") {
			return "redis://" + url
		}
		return url
	}
	return "redis://127.0.0.1:6379"
}

// missing skips a test that needs what is not here. In CI that is a failure.
func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// patience is how long to wait for what takes a moment on a machine that is not
// busy: long enough for one that is.
const patience = time.Minute

// patient is a URL with longer limits than the client has by itself. What ends
// earlier does so since its context says so.
func patient(url string) string {
	limits := "read_timeout=1m&write_timeout=1m&dial_timeout=1m"
	if strings.Contains(url, "?") {
		return url + "&" + limits
	}
	return url + "?" + limits
}

// connect returns a client of the server, or skips the test.
func connect(t testing.TB, url string) redis.UniversalClient {
	t.Helper()
	client, err := redisstore.NewClient(patient(url))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := client.Ping(ctx).Err(); err != nil {
		missing(t, "no Redis (%v). Start one with \"redis-server --save ''\" or \"docker run -p 6379:6379 redis:7\", or set JWTAUTH_TEST_REDIS", err)
	}
	return client
}

var prefixes atomic.Int64

// open returns an empty store: one with a prefix of its own, which is removed
// after the test.
func open(t testing.TB, client redis.UniversalClient) *redisstore.Store {
	t.Helper()
	return openPrefix(t, client, newPrefix())
}

func newPrefix() string {
	return fmt.Sprintf("jwtauth-test-%d-%d-%d:", os.Getpid(), time.Now().UnixNano(), prefixes.Add(1))
}

func openPrefix(t testing.TB, client redis.UniversalClient, prefix string) *redisstore.Store {
	t.Helper()
	s, err := redisstore.Open(client, redisstore.Options{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeAll(t, client, prefix) })
	return s
}

// twoNodes gives the stores of two nodes: clients of their own, and the same keys.
func twoNodes(t testing.TB) (a, b *redisstore.Store) {
	t.Helper()
	prefix := newPrefix()
	return openPrefix(t, connect(t, serverURL()), prefix), openPrefix(t, connect(t, serverURL()), prefix)
}

// removeAll deletes the keys of a prefix on every node.
func removeAll(t testing.TB, client redis.UniversalClient, prefix string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	remove := func(ctx context.Context, node *redis.Client) error {
		keys := node.Scan(ctx, 0, prefix+"*", 1000).Iterator()
		for keys.Next(ctx) {
			if err := node.Unlink(ctx, keys.Val()).Err(); err != nil {
				return err
			}
		}
		return keys.Err()
	}
	var err error
	switch c := client.(type) {
	case *redis.Client:
		err = remove(ctx, c)
	case *redis.ClusterClient:
		err = c.ForEachMaster(ctx, remove)
	}
	if err != nil {
		t.Logf("keys of the test are left behind: %v", err)
	}
}

// fresh is open on the usual server.
func fresh(t testing.TB) *redisstore.Store {
	t.Helper()
	return open(t, connect(t, serverURL()))
}
