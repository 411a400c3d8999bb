package redisstore_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-jwtauth/jwtauth/redisstore"
)

// server is a Redis of the test's own, which it may stop and kill.
type server struct {
	addr, dir string
	args      []string
	cmd       *exec.Cmd
}

// startServer runs redis-server with further settings, or skips the test.
func startServer(t testing.TB, args ...string) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		missing(t, "no redis-server (%v): install it, for example with \"apt-get install redis-server\"", err)
	}
	s := &server{addr: freeAddr(t), dir: t.TempDir(), args: args}
	t.Cleanup(s.kill)
	s.start(t)
	return s
}

// freeAddr is an address that nobody listens on, low enough that the port of a
// Cluster's bus, 10,000 above, exists.
func freeAddr(t testing.TB) string {
	t.Helper()
	for range 1000 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().(*net.TCPAddr)
		_ = l.Close()
		if addr.Port < 55000 {
			return addr.String()
		}
	}
	t.Fatal("no free port")
	return ""
}

// start runs the server, again after kill, on what it has kept.
func (s *server) start(t testing.TB) {
	t.Helper()
	_, port, _ := net.SplitHostPort(s.addr)
	args := append([]string{"--port", port, "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--loglevel", "warning"}, s.args...)
	s.cmd = exec.Command("redis-server", args...)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: s.addr, DialTimeout: 100 * time.Millisecond, MaxRetries: -1, ContextTimeoutEnabled: true})
	defer client.Close()
	within(t, 20*time.Second, "the server answers", func(ctx context.Context) bool { return client.Ping(ctx).Err() == nil })
}

// within calls done until it says yes.
func within(t testing.TB, limit time.Duration, what string, done func(ctx context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done(ctx) {
		select {
		case <-ctx.Done():
			t.Fatalf("not within %v: %s", limit, what)
		case <-tick.C:
		}
	}
}

// kill ends the server as a power cut would.
func (s *server) kill() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// signal stops and continues the server: a host that hangs.
func (s *server) signal(t testing.TB, sig os.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

func (s *server) url() string { return "redis://" + s.addr }

// startCluster runs three masters.
func startCluster(t testing.TB) *redis.ClusterClient {
	t.Helper()
	if _, err := exec.LookPath("redis-cli"); err != nil {
		missing(t, "no redis-cli (%v): install redis-tools", err)
	}
	args := []string{"--cluster", "create"}
	var addrs []string
	for range 3 {
		s := startServer(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "5000", "--appendonly", "yes", "--appendfsync", "no")
		addrs = append(addrs, s.addr)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args = append(append(args, addrs...), "--cluster-replicas", "0", "--cluster-yes")
	if out, err := exec.CommandContext(ctx, "redis-cli", args...).CombinedOutput(); err != nil {
		t.Fatalf("redis-cli: %v\n%s", err, out)
	}
	client, err := redisstore.NewClient("redis://" + addrs[0] + "?addr=" + addrs[1] + "&addr=" + addrs[2])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	cluster := client.(*redis.ClusterClient)
	within(t, 30*time.Second, "the cluster is up", func(ctx context.Context) bool {
		for i := range 64 {
			if cluster.Set(ctx, "up"+strconv.Itoa(i), "1", time.Second).Err() != nil {
				cluster.ReloadState(ctx)
				return false
			}
		}
		return true
	})
	return cluster
}

// CRC16 and the tag decide the slot (Redis Cluster specification).
func slot(key string) uint16 {
	for i := 0; i < len(key); i++ {
		if key[i] != '{' {
			continue
		}
		for j := i + 1; j < len(key); j++ {
			if key[j] == '}' {
				if j > i+1 {
					key = key[i+1 : j]
				}
				return crc16(key) % 16384
			}
		}
		break
	}
	return crc16(key) % 16384
}

func crc16(s string) uint16 {
	var crc uint16
	for i := range len(s) {
		crc ^= uint16(s[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

func TestSlots(t *testing.T) {
	// The check value of the specification, and its examples of tags.
	if got := crc16("123456789"); got != 0x31C3 {
		t.Fatalf("crc16 = %#x, want 0x31c3", got)
	}
	for _, pair := range [][2]string{{"{user1000}.following", "{user1000}.followers"}, {"foo{bar}{zap}", "bar"}, {"foo{{bar}}zap", "{bar"}} {
		if slot(pair[0]) != slot(pair[1]) {
			t.Errorf("%q and %q: different slots", pair[0], pair[1])
		}
	}
	if slot("foo{}{bar}") == slot("bar") {
		t.Error("an empty tag counts")
	}
}
