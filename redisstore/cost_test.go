package redisstore_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/authtest"
)

// trips counts what a client sends: commands, and how often it waits for an
// answer.
type trips struct {
	mu       sync.Mutex
	waits    int
	commands map[string]int
}

func (c *trips) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waits, c.commands = 0, make(map[string]int)
}

func (c *trips) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(c.commands)) {
		parts = append(parts, fmt.Sprintf("%d %s", c.commands[name], name))
	}
	return fmt.Sprintf("%d round trips: %s", c.waits, strings.Join(parts, ", "))
}

func (c *trips) see(cmds ...redis.Cmder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if name := cmds[0].Name(); name == "hello" || name == "client" {
		return // the begin of a connection
	}
	c.waits++
	for _, cmd := range cmds {
		c.commands[cmd.Name()]++
	}
}

func (c *trips) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (c *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.see(cmd)
		return next(ctx, cmd)
	}
}

func (c *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.see(cmds...)
		return next(ctx, cmds)
	}
}

// What each operation costs, as docs/operations.md says. Accounts and the trail
// are in memory here.
func TestRoundTripsOfEachOperation(t *testing.T) {
	client := connect(t, serverURL()).(*redis.Client)
	c := new(trips)
	c.reset()
	client.AddHook(c)
	s := open(t, client)
	auth := authtest.New(t, func(cfg *jwtauth.Config) {
		cfg.Sessions.Store, cfg.Revocations, cfg.Codes, cfg.Counters = s, s, s, s
		cfg.Limits, cfg.Now = jwtauth.LimitConfig{Limiter: s}, time.Now // Redis goes by its own clock
	}).Auth
	ctx := t.Context()
	const password = "correct horse battery staple"
	if _, err := auth.Register(ctx, jwtauth.Registration{Username: "alice", Email: "alice@example.test", Password: password}); err != nil {
		t.Fatal(err)
	}
	var g *jwtauth.Grant
	login := func() (err error) {
		g, err = auth.Login(ctx, jwtauth.Credentials{Login: "alice", Password: password})
		return err
	}
	if err := login(); err != nil { // the scripts are known after that
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		do   func() error
		want string
	}{
		{"login", login, "13 round trips: 11 evalsha, 1 hgetall, 1 set"},
		{"verify", func() error { _, err := auth.Verify(ctx, g.AccessToken); return err }, "1 round trips: 3 get"},
		{"refresh", func() (err error) { g, err = auth.Refresh(ctx, g.RefreshToken); return err }, "3 round trips: 2 evalsha, 1 hget"},
		{"revoke", func() error { return auth.Revoke(ctx, g.AccessToken) }, "4 round trips: 1 del, 3 evalsha"},
		{"limit", func() error { _, err := s.Allow(ctx, "k", perMinute(5), time.Now()); return err }, "1 round trips: 1 evalsha"},
	} {
		c.reset()
		if err := tc.do(); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if got := c.String(); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

// What an entry takes in the memory of Redis, as docs/operations.md says.
func TestMemoryOfEachEntry(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 120,000 entries")
	}
	const n = 20_000
	now, id := time.Now(), func() string {
		b := make([]byte, 16)
		rand.Read(b)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	for _, tc := range []struct {
		name string
		most int // bytes
		put  func(ctx context.Context, s jwtauthStore, i int) error
	}{
		{"session, each user has one", 1100, func(ctx context.Context, s jwtauthStore, i int) error {
			_, err := s.CreateSession(ctx, sessionOf(strconv.Itoa(i), id(), now), jwtauth.SessionLimit{})
			return err
		}},
		{"session, each user has five", 800, func(ctx context.Context, s jwtauthStore, i int) error {
			_, err := s.CreateSession(ctx, sessionOf(strconv.Itoa(i/5), id(), now), jwtauth.SessionLimit{})
			return err
		}},
		{"token revoked", 200, func(ctx context.Context, s jwtauthStore, _ int) error {
			return s.Revoke(ctx, jwtauth.Revocation{TokenID: uuid.NewString(), Expires: now.Add(time.Hour)})
		}},
		{"session revoked or refreshed", 250, func(ctx context.Context, s jwtauthStore, _ int) error {
			return s.Revoke(ctx, jwtauth.Revocation{SessionID: id(), Generation: jwtauth.AllGenerations, Expires: now.Add(time.Hour)})
		}},
		{"bucket of the limiter", 300, func(ctx context.Context, s jwtauthStore, i int) error {
			_, err := s.Allow(ctx, "login|a:2001:db8::"+strconv.Itoa(i), jwtauth.Rule{Limit: 5, Per: time.Hour}, now)
			return err
		}},
		{"counter", 260, func(ctx context.Context, s jwtauthStore, i int) error {
			_, err := s.Hit(ctx, "try:account:"+strconv.Itoa(i)+":0", 5, time.Hour, now)
			return err
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := startServer(t)
			client := connect(t, srv.url()).(*redis.Client)
			s := open(t, client)
			if err := tc.put(t.Context(), s, -10); err != nil {
				t.Fatal(err)
			}
			before := usedMemory(t, client)
			var all sync.WaitGroup
			for part := range 8 {
				all.Go(func() {
					for i := part; i < n; i += 8 {
						if err := tc.put(t.Context(), s, i); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			each := (usedMemory(t, client) - before) / n
			t.Logf("%d bytes", each)
			if each < 20 || each > tc.most {
				t.Errorf("%d bytes, want at most %d", each, tc.most)
			}
		})
	}
}

// jwtauthStore is what the entries go into.
type jwtauthStore interface {
	jwtauth.SessionStore
	jwtauth.RevocationStore
	jwtauth.CounterStore
	jwtauth.Limiter
}

func sessionOf(user, id string, now time.Time) jwtauth.Session {
	return jwtauth.Session{ID: id, UserID: user, CredentialVersion: 1, Generation: 1, SecretID: "kt7H9NomKSc", Created: now, Moved: now,
		Expires: now.Add(30 * 24 * time.Hour), Address: "203.0.113.77",
		UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"}
}

func usedMemory(t testing.TB, client *redis.Client) int {
	t.Helper()
	text, err := client.Info(t.Context(), "memory").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(text, "used_memory:")
	line, _, _ := strings.Cut(rest, "\r\n")
	n, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
