package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/redisstore"
)

// Two processes on one Redis: of everything that is to happen once, it happens
// once, and limits are exact together. The second process is this test binary.
func TestTwoProcesses(t *testing.T) {
	if prefix := os.Getenv("JWTAUTH_TEST_PREFIX"); prefix != "" {
		fmt.Println(race(t, prefix))
		return
	}
	client := connect(t, serverURL())
	prefix := newPrefix()
	s := openPrefix(t, client, prefix)
	for round := range 20 {
		row := jwtauth.Session{ID: fmt.Sprint("a", round), UserID: "1", Generation: 1, Created: noon, Moved: noon, Expires: noon.Add(time.Hour)}
		if _, err := s.CreateSession(t.Context(), row, jwtauth.SessionLimit{}); err != nil {
			t.Fatal(err)
		}
		code := jwtauth.OneTimeCode{Key: fmt.Sprint("c", round), Hash: []byte("hash"), Attempts: 1000, Expires: noon.Add(time.Hour)}
		if err := s.PutCode(t.Context(), code); err != nil {
			t.Fatal(err)
		}
	}
	outputs := make([]string, 2)
	var all sync.WaitGroup
	for i := range outputs {
		all.Go(func() {
			cmd := exec.Command(os.Args[0], "-test.run=^TestTwoProcesses$", "-test.v")
			cmd.Env = append(os.Environ(), "JWTAUTH_TEST_PREFIX="+prefix)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("process %d: %v\n%s", i, err, out)
			}
			outputs[i] = string(out)
		})
	}
	all.Wait()
	var sum tally
	for _, out := range outputs {
		for line := range strings.Lines(out) {
			var one tally
			if n, _ := fmt.Sscanf(line, tallyForm, &one.Moved, &one.Consumed, &one.Claimed, &one.Hits, &one.Allowed, &one.Stored); n == 6 {
				sum.add(one)
			}
		}
	}
	if want := (tally{Moved: 20, Consumed: 20, Claimed: 20, Hits: 20 * 7, Allowed: 20 * 7, Stored: 20 * 3}); sum != want {
		t.Errorf("two processes together: %v; want %v", sum, want)
	}
}

type tally struct{ Moved, Consumed, Claimed, Hits, Allowed, Stored int64 }

const tallyForm = "tally moved %d consumed %d claimed %d hits %d allowed %d stored %d"

func (c tally) String() string {
	return fmt.Sprintf(tallyForm, c.Moved, c.Consumed, c.Claimed, c.Hits, c.Allowed, c.Stored)
}

func (c *tally) add(o tally) {
	c.Moved += o.Moved
	c.Consumed += o.Consumed
	c.Claimed += o.Claimed
	c.Hits += o.Hits
	c.Allowed += o.Allowed
	c.Stored += o.Stored
}

// race wants everything, from many goroutines, and says what it got.
func race(t *testing.T, prefix string) tally {
	s, err := redisstore.Open(connect(t, serverURL()), redisstore.Options{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	var moved, consumed, claimed, hits, allowed, stored atomic.Int64
	count := func(n *atomic.Int64, won bool) {
		if won {
			n.Add(1)
		}
	}
	ctx, rule := t.Context(), jwtauth.Rule{Limit: 7, Per: time.Hour}
	for round := range 20 {
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				_, won, err := s.AdvanceSession(ctx, jwtauth.SessionAdvance{SessionID: fmt.Sprint("a", round), From: 1, Now: noon})
				count(&moved, won && err == nil)
				_, err = s.ConsumeCode(ctx, fmt.Sprint("c", round), []byte("hash"), noon)
				count(&consumed, err == nil)
				won, err = s.ClaimOnce(ctx, fmt.Sprint("o", round), noon, noon.Add(time.Hour))
				count(&claimed, won && err == nil)
				c, err := s.Hit(ctx, fmt.Sprint("n", round), 7, time.Hour, noon)
				count(&hits, c.Admitted && err == nil)
				u, err := s.Allow(ctx, fmt.Sprint("l", round), rule, noon)
				count(&allowed, u.Allowed && err == nil)
				row := jwtauth.Session{ID: fmt.Sprint("s", round, "-", os.Getpid(), "-", i), UserID: fmt.Sprint("u", round), Created: noon, Moved: noon, Expires: noon.Add(time.Hour)}
				_, err = s.CreateSession(ctx, row, jwtauth.SessionLimit{Max: 3})
				count(&stored, err == nil)
			})
		}
		all.Wait()
	}
	return tally{moved.Load(), consumed.Load(), claimed.Load(), hits.Load(), allowed.Load(), stored.Load()}
}

// proxy stands between client and server, and can swallow answers.
type proxy struct {
	listener net.Listener
	target   string
	mute     atomic.Bool // answers are cut off, with their connection
	cut      atomic.Int64
}

func startProxy(t testing.TB, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: target}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c)
		}
	}()
	return p
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		if p.mute.Load() { // the server has done what it was asked
			p.cut.Add(1)
			return
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) url() string { return "redis://" + p.listener.Addr().String() }

// When the answer to a verb is lost, the verb says so, and is not done a second
// time behind the back of its caller: that would count twice, or tell the winner
// that somebody else had won.
func TestLostAnswerIsAFaultAndNothingIsRepeated(t *testing.T) {
	srv := startServer(t)
	p := startProxy(t, srv.addr)
	prefix := newPrefix()
	direct := openPrefix(t, connect(t, srv.url()), prefix)
	through := openPrefix(t, connect(t, p.url()), prefix)
	ctx := t.Context()
	session := func(id string) jwtauth.Session {
		return jwtauth.Session{ID: id, UserID: "1", Generation: 1, Created: noon, Moved: noon, Expires: noon.Add(time.Hour)}
	}
	if _, err := direct.CreateSession(ctx, session("a"), jwtauth.SessionLimit{}); err != nil {
		t.Fatal(err)
	}
	if err := direct.PutCode(ctx, jwtauth.OneTimeCode{Key: "c", Hash: []byte("h"), Attempts: 3, Expires: noon.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if _, err := through.Session(ctx, "a"); err != nil { // knows the owner from here on
		t.Fatal(err)
	}
	lost := func(name string, verb func() error) {
		t.Helper()
		// The connection and the script are there: it is the answer to the
		// verb that is cut.
		if _, err := through.Sessions(ctx, "1", noon); err != nil {
			t.Fatal(err)
		}
		p.mute.Store(true)
		defer p.mute.Store(false)
		before := p.cut.Load()
		err := verb()
		var known *jwtauth.Error
		if err == nil || errors.As(err, &known) {
			t.Errorf("%s without its answer = %v, want a fault", name, err)
		}
		if p.cut.Load() == before {
			t.Errorf("%s: no answer was cut: this test shows nothing", name)
		}
	}
	warm(t, through)

	lost("AdvanceSession", func() error {
		_, _, err := through.AdvanceSession(ctx, jwtauth.SessionAdvance{SessionID: "a", From: 1, Now: noon, SecretID: "k"})
		return err
	})
	if got, err := direct.Session(ctx, "a"); err != nil || got.Generation != 2 {
		t.Errorf("session = %+v, %v; want one step on", got, err)
	}
	lost("Hit", func() error {
		_, err := through.Hit(ctx, "n", 10, time.Hour, noon)
		return err
	})
	if got, err := direct.Hit(ctx, "n", 10, time.Hour, noon); err != nil || got.N != 2 {
		t.Errorf("count = %+v, %v; want 2: one lost, one now", got, err)
	}
	lost("Refund", func() error { return through.Refund(ctx, "n", noon) })
	if got, err := direct.Hit(ctx, "n", 10, time.Hour, noon); err != nil || got.N != 2 {
		t.Errorf("count = %+v, %v; want 2: one was taken back once", got, err)
	}
	lost("Allow", func() error {
		_, err := through.Allow(ctx, "l", perMinute(10), noon)
		return err
	})
	if got := allow(t, direct, "l", perMinute(10), noon); got.Remaining != 8 {
		t.Errorf("remaining %d, want 8", got.Remaining)
	}
	lost("ConsumeCode", func() error {
		_, err := through.ConsumeCode(ctx, "c", []byte("h"), noon)
		return err
	})
	if _, err := direct.ConsumeCode(ctx, "c", []byte("h"), noon); !errors.Is(err, jwtauth.ErrNotFound) {
		t.Errorf("code that was used, with its answer lost: %v", err)
	}
	lost("EndSession", func() error { return through.EndSession(ctx, "a") })
}

// warm makes the server know the scripts, and opens a connection.
func warm(t *testing.T, s *redisstore.Store) {
	t.Helper()
	useEverything(t, s, "warm", "w")
}

// A server that does not know a script, after a restart or a SCRIPT FLUSH, gets
// it; and verbs end with their context when the server hangs.
func TestRestartedAndHangingServer(t *testing.T) {
	srv := startServer(t, "--appendonly", "yes", "--appendfsync", "always")
	s := open(t, connect(t, srv.url()))
	useEverything(t, s, "1", "a")
	srv.kill()
	srv.start(t)
	within(t, "it works again", func(ctx context.Context) bool {
		_, err := s.Hit(ctx, "x", 1, time.Hour, noon)
		return err == nil
	})
	useEverything(t, s, "2", "b")

	srv.signal(t, syscall.SIGSTOP)
	defer srv.signal(t, syscall.SIGCONT)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := s.Revoked(ctx, jwtauth.TokenRef{TokenID: "t", Now: noon}); err == nil || time.Since(began) > 20*time.Second {
		t.Errorf("Revoked = %v after %v, want a fault after 200ms, long before the client's own limit", err, time.Since(began))
	}
}

// What was acknowledged survives a kill of the server, where it writes each
// command to its append-only file.
func TestAcknowledgedWritesSurviveKills(t *testing.T) {
	srv := startServer(t, "--appendonly", "yes", "--appendfsync", "always")
	s := open(t, connect(t, srv.url()))
	for round := range 5 {
		var mu sync.Mutex
		var acknowledged []string
		var all sync.WaitGroup
		ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
		for i := range 4 {
			all.Go(func() {
				for n := 0; ; n++ {
					id := fmt.Sprint("k", round, "-", i, "-", n)
					if s.Revoke(ctx, parts(id)[n%3]) != nil {
						return
					}
					mu.Lock()
					acknowledged = append(acknowledged, id)
					mu.Unlock()
				}
			})
		}
		within(t, "some are acknowledged", func(context.Context) bool {
			mu.Lock()
			defer mu.Unlock()
			return len(acknowledged) > 200
		})
		srv.kill()
		all.Wait()
		cancel()
		srv.start(t)
		within(t, "it works again", func(ctx context.Context) bool {
			_, err := s.Revoked(ctx, jwtauth.TokenRef{TokenID: "x", Now: noon})
			return err == nil
		})
		for _, id := range acknowledged {
			if !revoked(t, s, id) {
				t.Fatalf("round %d: %s was acknowledged and is forgotten", round, id)
			}
		}
	}
}
