package redisstore_test

import (
	"context"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-jwtauth/jwtauth/redisstore"
)

// server is a Redis of the test's own, which it may stop and kill.
type server struct {
	addr, dir string
	args      []string
	process   *os.Process
	ended     chan struct{} // when the process has
}

// startServer runs redis-server with further settings, or skips the test.
func startServer(t testing.TB, args ...string) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		missing(t, "no redis-server (%v): install it, for example with \"apt-get install redis-server\"", err)
	}
	s := &server{dir: t.TempDir(), args: args}
	t.Cleanup(s.kill)
	for range 10 {
		if s.addr = freeAddr(t); s.run(t) {
			return s
		}
	}
	t.Fatal("redis-server ends at once, whatever its port")
	return nil
}

// freeAddr is an address that nobody listens on. Its port and that of a
// Cluster's bus, 10,000 above, are below those that the system hands out: nobody
// gets them by chance while the server is down.
func freeAddr(t testing.TB) string {
	t.Helper()
	for range 1000 {
		port := 10_000 + rand.IntN(6_000)
		addr := "127.0.0.1:" + strconv.Itoa(port)
		if free(addr) && free("127.0.0.1:"+strconv.Itoa(port+10_000)) {
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

func free(addr string) bool {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

// start runs the server again after kill, on what it has kept.
func (s *server) start(t testing.TB) {
	t.Helper()
	within(t, "the server has its port again", func(context.Context) bool { return s.run(t) })
}

// run starts the process and waits until it answers. It returns false if the
// process ends instead: somebody else has its port.
func (s *server) run(t testing.TB) bool {
	t.Helper()
	_, port, _ := net.SplitHostPort(s.addr)
	args := append([]string{"--port", port, "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--loglevel", "warning"}, s.args...)
	cmd := exec.Command("redis-server", args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	s.process, s.ended = cmd.Process, ended
	client := redis.NewClient(&redis.Options{Addr: s.addr, DialTimeout: time.Second, MaxRetries: -1, ContextTimeoutEnabled: true})
	defer client.Close()
	within(t, "the server answers", func(ctx context.Context) bool { return s.hasEnded() || s.answers(ctx, client) })
	return !s.hasEnded()
}

func (s *server) hasEnded() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// answers reports whether it is this process that does, with all its data.
func (s *server) answers(ctx context.Context, client *redis.Client) bool {
	info, err := client.Info(ctx, "server").Result()
	return err == nil && strings.Contains(info, "process_id:"+strconv.Itoa(s.process.Pid)+"\r\n") && client.Ping(ctx).Err() == nil
}

// within calls done until it says yes, for as long as patience lasts.
func within(t testing.TB, what string, done func(ctx context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done(ctx) {
		select {
		case <-ctx.Done():
			t.Fatalf("not within %v: %s", patience, what)
		case <-tick.C:
		}
	}
}

// kill ends the server as a power cut would.
func (s *server) kill() {
	if s.process != nil {
		_ = s.process.Kill()
		<-s.ended
		s.process = nil
	}
}

// signal stops and continues the server: a host that hangs.
func (s *server) signal(t testing.TB, sig os.Signal) {
	t.Helper()
	if err := s.process.Signal(sig); err != nil {
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
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	args = append(append(args, addrs...), "--cluster-replicas", "0", "--cluster-yes")
	if out, err := exec.CommandContext(ctx, "redis-cli", args...).CombinedOutput(); err != nil {
		t.Fatalf("redis-cli: %v\n%s", err, out)
	}
	client, err := redisstore.NewClient(patient("redis://" + addrs[0] + "?addr=" + addrs[1] + "&addr=" + addrs[2]))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	cluster := client.(*redis.ClusterClient)
	within(t, "the cluster is up", func(ctx context.Context) bool {
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
