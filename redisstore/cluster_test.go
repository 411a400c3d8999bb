package redisstore_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/redisstore"
)

// watch collects the keys of each command that a client sends.
type watch struct {
	mu       sync.Mutex
	commands map[string]int // by name and how many keys
	split    [][]string     // keys of one command that are on several slots
}

func (w *watch) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (w *watch) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		w.see(cmd)
		return next(ctx, cmd)
	}
}

func (w *watch) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			w.see(cmd)
		}
		return next(ctx, cmds)
	}
}

func (w *watch) see(cmd redis.Cmder) {
	args := cmd.Args()
	text := func(i int) string { s, _ := args[i].(string); return s }
	var keys []string
	switch name := cmd.Name(); name {
	case "evalsha", "eval":
		n, _ := args[2].(int)
		for i := range n {
			keys = append(keys, text(3+i))
		}
	case "get", "set", "hget", "hgetall", "del":
		keys = append(keys, text(1))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.commands[cmd.Name()+" "+strconv.Itoa(len(keys))]++
	for _, key := range keys {
		if slot(key) != slot(keys[0]) {
			w.split = append(w.split, keys)
			break
		}
	}
}

// Whatever the ids are, with braces, empty or strange, the keys of one command
// are on one slot.
func TestEachCommandIsOnOneSlot(t *testing.T) {
	client, err := redisstore.NewClient(serverURL())
	if err != nil {
		t.Fatal(err)
	}
	connect(t, serverURL()) // or skip
	t.Cleanup(func() { _ = client.Close() })
	w := &watch{commands: make(map[string]int)}
	client.AddHook(w)
	s := open(t, client)
	for i, id := range []string{"", "1", "{", "}", "{}", "}{", "a{b}c", "{a}", "}a{", "{}{}", "Zoë 🦊", strings.Repeat("{x}", 40)} {
		useEverything(t, s, id, strconv.Itoa(i))
	}
	if len(w.split) > 0 {
		t.Errorf("commands on several slots: %q", w.split)
	}
	// Else nothing was checked.
	for _, want := range []string{"evalsha 1", "evalsha 2", "get 1", "hget 1", "hgetall 1", "del 1", "set 1"} {
		if w.commands[want] == 0 {
			t.Errorf("no command %q seen, only %v", want, w.commands)
		}
	}
	for name := range w.commands {
		if strings.HasSuffix(name, " 0") && name != "hello 0" && name != "client 0" {
			t.Errorf("keys of %q are not known to this test", name)
		}
	}
}

// useEverything calls each verb.
func useEverything(t *testing.T, s *redisstore.Store, id, unique string) {
	t.Helper()
	ctx := t.Context()
	var errs []error
	add := func(err error) { errs = append(errs, err) }
	for _, n := range []string{"-a", "-b", "-c"} {
		_, err := s.CreateSession(ctx, jwtauth.Session{ID: id + unique + n, UserID: id, Generation: 1, Created: noon, Moved: noon, Expires: noon.Add(time.Hour)},
			jwtauth.SessionLimit{Max: 2, EvictOldest: true})
		add(err)
	}
	_, err := s.Session(ctx, id+unique+"-c")
	add(err)
	_, _, err = s.AdvanceSession(ctx, jwtauth.SessionAdvance{SessionID: id + unique + "-c", From: 1, Now: noon})
	add(err)
	add(s.EndSession(ctx, id+unique+"-c"))
	_, err = s.Sessions(ctx, id, noon)
	add(err)
	_, err = s.EndSessions(ctx, id, "")
	add(err)
	_, err = s.Session(ctx, id+unique+"-c")
	if !errors.Is(err, jwtauth.ErrNotFound) {
		t.Errorf("session of user %q that was ended: %v", id, err)
	}
	add(s.Revoke(ctx, jwtauth.Revocation{TokenID: "t" + id, SessionID: "s" + id, Generation: 2, UserID: "u" + id, Version: 2, Expires: noon.Add(time.Hour)}))
	_, err = s.Revoked(ctx, jwtauth.TokenRef{TokenID: id, SessionID: id, UserID: id, Now: noon})
	add(err)
	add(s.PutCode(ctx, jwtauth.OneTimeCode{Key: id, Hash: []byte("h"), Attempts: 1, Expires: noon.Add(time.Hour)}))
	_, err = s.ConsumeCode(ctx, id, []byte("h"), noon)
	add(err)
	_, err = s.ClaimOnce(ctx, id, noon, noon.Add(time.Hour))
	add(err)
	_, err = s.Hit(ctx, id, 2, time.Minute, noon)
	add(err)
	add(s.Refund(ctx, id, noon))
	add(s.Reset(ctx, id))
	_, err = s.Allow(ctx, id, perMinute(2), noon)
	add(err)
	if err := errors.Join(errs...); err != nil {
		t.Errorf("with the id %q: %v", id, err)
	}
}

func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a cluster")
	}
	client := startCluster(t)
	t.Run("suite", func(t *testing.T) { conformance(t, client) })
	t.Run("strange ids", func(t *testing.T) {
		s := open(t, client)
		for i, id := range []string{"", "{", "}", "{}", "a{b}c"} {
			useEverything(t, s, id, strconv.Itoa(i))
		}
	})
	t.Run("check", func(t *testing.T) {
		warnings, err := open(t, client).Check(t.Context())
		if err != nil || len(warnings) > 0 {
			t.Errorf("Check = %q, %v; want nothing to mention", warnings, err)
		}
	})
}
