package redisstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/redisstore"
	"github.com/go-jwtauth/jwtauth/storetest"
)

func TestStore(t *testing.T) { conformance(t, connect(t, serverURL())) }

// conformance is the suite for the parts that are here.
func conformance(t *testing.T, client redis.UniversalClient) {
	storetest.RunSessions(t, func(t *testing.T) jwtauth.SessionStore { return open(t, client) })
	storetest.RunRevocations(t, func(t *testing.T) jwtauth.RevocationStore { return open(t, client) })
	storetest.RunCodes(t, func(t *testing.T) jwtauth.CodeStore { return open(t, client) })
	storetest.RunCounters(t, func(t *testing.T) jwtauth.CounterStore { return open(t, client) })
}

func TestStoreFaults(t *testing.T) {
	connect(t, serverURL()) // or skip
	storetest.RunFaults(t, func(t *testing.T) (*redisstore.Store, func()) {
		prefix, client := newPrefix(), connect(t, serverURL())
		openPrefix(t, connect(t, serverURL()), prefix) // which cleans up
		s, err := redisstore.Open(client, redisstore.Options{Prefix: prefix})
		if err != nil {
			t.Fatal(err)
		}
		return s, func() { _ = client.Close() }
	})
}

func TestOpenRefusesWhatCanNotBeTrusted(t *testing.T) {
	limits := &redis.Options{ContextTimeoutEnabled: true}
	for name, tc := range map[string]struct {
		client redis.UniversalClient
		prefix string
		want   string // in the error; "" for none
	}{
		"single server accepted":            {redis.NewClient(limits), "", ""},
		"cluster accepted":                  {redis.NewClusterClient(&redis.ClusterOptions{ContextTimeoutEnabled: true}), "", ""},
		"sentinel accepted":                 {redis.NewFailoverClient(&redis.FailoverOptions{ContextTimeoutEnabled: true}), "", ""},
		"no client refused":                 {nil, "", "no client"},
		"client that ignores time refused":  {redis.NewClient(&redis.Options{}), "", "ContextTimeoutEnabled"},
		"cluster that ignores time refused": {redis.NewClusterClient(&redis.ClusterOptions{}), "", "ContextTimeoutEnabled"},
		"reads from replicas refused": {redis.NewClusterClient(&redis.ClusterOptions{ContextTimeoutEnabled: true, ReadOnly: true}),
			"", "replicas"},
		"reads from the nearest node refused": {redis.NewClusterClient(&redis.ClusterOptions{ContextTimeoutEnabled: true, RouteByLatency: true}),
			"", "replicas"},
		"reads from a random node refused": {redis.NewClusterClient(&redis.ClusterOptions{ContextTimeoutEnabled: true, RouteRandomly: true}),
			"", "replicas"},
		"ring refused":                {redis.NewRing(&redis.RingOptions{ContextTimeoutEnabled: true}), "", "Ring"},
		"prefix with a brace refused": {redis.NewClient(limits), "a{b:", "braces"},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.client != nil {
				t.Cleanup(func() { _ = tc.client.Close() })
			}
			s, err := redisstore.Open(tc.client, redisstore.Options{Prefix: tc.prefix})
			if tc.want == "" && (err != nil || s == nil) {
				t.Fatalf("Open: %v", err)
			}
			if tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Fatalf("Open = %v, want an error about %q", err, tc.want)
			}
		})
	}
}

func TestNewClient(t *testing.T) {
	for name, tc := range map[string]struct {
		url  string
		want string // kind of client; "" for an error
	}{
		"one server":       {"redis://user:pass@localhost:6379/2", "single"},
		"with TLS":         {"rediss://localhost:6379", "single"},
		"socket":           {"unix:///run/redis.sock", "single"},
		"several nodes":    {"redis://a:6379?addr=b:6379&addr=c:6379", "cluster"},
		"another database": {"postgres://user:hunter2@localhost/db", ""},
		"no number":        {"redis://user:hunter2@localhost:6379/hunter2", ""},
		"no URL":           {"redis://user:hunter2@localhost:port", ""},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := redisstore.NewClient(tc.url)
			if tc.want == "" {
				if err == nil || strings.Contains(err.Error(), "hunter2") {
					t.Fatalf("NewClient = %v, want an error without the password", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if _, cluster := client.(*redis.ClusterClient); cluster != (tc.want == "cluster") {
				t.Errorf("NewClient returned %T", client)
			}
			if _, err := redisstore.Open(client, redisstore.Options{}); err != nil {
				t.Errorf("Open does not take it: %v", err)
			}
		})
	}
}

// STO-06: what makes Redis forget is said at the start.
func TestCheck(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want []string // parts of the warnings
	}{
		"nothing to mention":       {[]string{"--appendonly", "yes"}, nil},
		"no append-only file":      {nil, []string{"appendonly is off"}},
		"eviction of any key":      {[]string{"--appendonly", "yes", "--maxmemory-policy", "allkeys-lru", "--maxmemory", "50mb"}, []string{"allkeys-lru"}},
		"eviction of what expires": {[]string{"--appendonly", "yes", "--maxmemory-policy", "volatile-ttl"}, []string{"volatile-ttl"}},
		"both":                     {[]string{"--maxmemory-policy", "allkeys-random"}, []string{"allkeys-random", "appendonly is off"}},
	} {
		t.Run(name, func(t *testing.T) {
			srv := startServer(t, tc.args...)
			warnings, err := open(t, connect(t, srv.url())).Check(t.Context())
			if err != nil || len(warnings) != len(tc.want) {
				t.Fatalf("Check = %q, %v; want %q", warnings, err, tc.want)
			}
			for i, part := range tc.want {
				if !strings.Contains(warnings[i], part) || !strings.Contains(warnings[i], srv.addr) {
					t.Errorf("warning %q does not mention %q and %s", warnings[i], part, srv.addr)
				}
			}
		})
	}
}

func TestCheckRefusesAReplica(t *testing.T) {
	master := startServer(t)
	replica := startServer(t, "--replicaof", strings.Replace(master.addr, ":", " ", 1))
	if _, err := open(t, connect(t, replica.url())).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "replica") {
		t.Errorf("Check = %v, want an error about the replica", err)
	}
}

func TestCheckSaysWhenNobodyAnswers(t *testing.T) {
	client, err := redisstore.NewClient("redis://" + freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s, err := redisstore.Open(client, redisstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := s.Check(ctx); err == nil {
		t.Error("Check of a server that is not there: no error")
	}
}

// Revocations with wrong clocks, or under a clock that a test has made up, are
// kept for a while all the same.
func TestRevocationOfTheDistantPastIsKept(t *testing.T) {
	s, long := fresh(t), time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := s.Revoke(t.Context(), jwtauth.Revocation{TokenID: "t", SessionID: "s", Generation: 2, UserID: "u", Version: 2, Expires: long.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []jwtauth.TokenRef{{TokenID: "t"}, {SessionID: "s", Generation: 1}, {UserID: "u", Version: 1}} {
		ref.Now = long
		if revoked, err := s.Revoked(t.Context(), ref); err != nil || !revoked {
			t.Errorf("Revoked(%+v) = %t, %v; want true", ref, revoked, err)
		}
	}
}

func TestRevocationWithoutAnEndRefused(t *testing.T) {
	s := fresh(t)
	for _, r := range []jwtauth.Revocation{{TokenID: "t"}, {Expires: time.Now()}} {
		if err := s.Revoke(t.Context(), r); err == nil {
			t.Errorf("Revoke(%+v): no error", r)
		}
	}
}

// Marks of a session stay few, however often it refreshes, and are never fewer
// than it takes to refuse what was refused.
func TestMarksOfASessionAreBounded(t *testing.T) {
	client := connect(t, serverURL())
	prefix := newPrefix()
	s, now := openPrefix(t, client, prefix), time.Now()
	for n := range int64(300) {
		at := now.Add(time.Duration(n) * time.Millisecond)
		r := jwtauth.Revocation{SessionID: "s", Generation: n + 2, From: at.Add(30 * time.Second), Expires: at.Add(time.Hour)}
		if err := s.Revoke(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := client.StrLen(t.Context(), prefix+"rs:s").Result(); err != nil || n > 64*41 {
		t.Errorf("the entry has %d bytes, %v; want at most 64 marks of 41", n, err)
	}
	for _, n := range []int64{1, 100, 250, 301} {
		ref := jwtauth.TokenRef{SessionID: "s", Generation: n, Now: now.Add(time.Minute)}
		if revoked, err := s.Revoked(t.Context(), ref); err != nil || revoked != (n < 301) {
			t.Errorf("generation %d: revoked %t, %v", n, revoked, err)
		}
	}
	// Those of the last moments wait for their time.
	if revoked, err := s.Revoked(t.Context(), jwtauth.TokenRef{SessionID: "s", Generation: 299, Now: now}); err != nil || revoked {
		t.Errorf("the generation before the last one, within the grace window: revoked %t, %v", revoked, err)
	}
}

// A session that was only prepared (its owner written, then the node stopped)
// is none, and another user's sessions are not touched by it.
func TestOwnerWithoutASessionMeansNothing(t *testing.T) {
	client := connect(t, serverURL())
	prefix := newPrefix()
	s := openPrefix(t, client, prefix)
	if err := client.Set(t.Context(), prefix+"i:half", "1", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Session(t.Context(), "half"); !errors.Is(err, jwtauth.ErrNotFound) {
		t.Errorf("Session: %v", err)
	}
	if _, moved, err := s.AdvanceSession(t.Context(), jwtauth.SessionAdvance{SessionID: "half", From: 1, Now: noon}); moved || !errors.Is(err, jwtauth.ErrNotFound) {
		t.Errorf("AdvanceSession: %t, %v", moved, err)
	}
	if err := s.EndSession(t.Context(), "half"); !errors.Is(err, jwtauth.ErrNotFound) {
		t.Errorf("EndSession: %v", err)
	}
	if list, err := s.Sessions(t.Context(), "1", noon); err != nil || len(list) > 0 {
		t.Errorf("Sessions: %v, %v", list, err)
	}
}

// A node that remembers whose session an id was learns that it is over, and
// that it is somebody else's now.
func TestNodesAgreeAboutOwners(t *testing.T) {
	a, b := twoNodes(t)
	session := func(user string) jwtauth.Session {
		return jwtauth.Session{ID: "x", UserID: user, Generation: 1, Created: noon, Moved: noon, Expires: noon.Add(time.Hour)}
	}
	create := func(s *redisstore.Store, user string) {
		t.Helper()
		if _, err := s.CreateSession(t.Context(), session(user), jwtauth.SessionLimit{}); err != nil {
			t.Fatal(err)
		}
	}
	create(a, "1")
	if got, err := b.Session(t.Context(), "x"); err != nil || got.UserID != "1" {
		t.Fatalf("Session on the other node = %+v, %v", got, err)
	}
	if err := a.EndSession(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Session(t.Context(), "x"); !errors.Is(err, jwtauth.ErrNotFound) {
		t.Errorf("Session after its end = %v", err)
	}
	create(a, "2")
	if got, moved, err := b.AdvanceSession(t.Context(), jwtauth.SessionAdvance{SessionID: "x", From: 1, Now: noon}); err != nil || !moved || got.UserID != "2" {
		t.Errorf("AdvanceSession = %+v, %t, %v", got, moved, err)
	}
}

// Expired sessions of a user who logs in again leave.
func TestExpiredSessionsLeave(t *testing.T) {
	client := connect(t, serverURL())
	prefix := newPrefix()
	s := openPrefix(t, client, prefix)
	for i := range 30 {
		at := noon.Add(time.Duration(i) * time.Hour)
		row := jwtauth.Session{ID: at.String(), UserID: "1", Generation: 1, Created: at, Moved: at, Expires: at.Add(30 * time.Minute)}
		if _, err := s.CreateSession(t.Context(), row, jwtauth.SessionLimit{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{prefix + "s:{u:1}", prefix + "e:{u:1}"} {
		count := client.HLen(t.Context(), key)
		if strings.HasPrefix(key, prefix+"e") {
			count = client.ZCard(t.Context(), key)
		}
		if n, err := count.Result(); err != nil || n != 1 {
			t.Errorf("%s has %d entries, %v; want the one that lives", key, n, err)
		}
	}
}

// All keys end by themselves.
func TestEveryKeyHasATimeToLive(t *testing.T) {
	client := connect(t, serverURL()).(*redis.Client)
	prefix := newPrefix()
	s, now := openPrefix(t, client, prefix), time.Now()
	var errs []error
	_, err := s.CreateSession(t.Context(), jwtauth.Session{ID: "x", UserID: "1", Created: now, Expires: now.Add(time.Hour)}, jwtauth.SessionLimit{})
	errs = append(errs, err, s.Revoke(t.Context(), jwtauth.Revocation{TokenID: "t", SessionID: "s", Generation: 2, UserID: "u", Version: 2, Expires: now.Add(time.Hour)}),
		s.PutCode(t.Context(), jwtauth.OneTimeCode{Key: "c", Hash: []byte("h"), Attempts: 1, Expires: now.Add(time.Hour)}))
	_, err = s.ClaimOnce(t.Context(), "o", now, now.Add(time.Hour))
	errs = append(errs, err)
	for range 2 { // the second one goes on in the window of the first
		_, err = s.Hit(t.Context(), "n", 5, time.Hour, now)
		errs = append(errs, err)
	}
	_, err = s.Allow(t.Context(), "l", jwtauth.Rule{Limit: 1, Per: time.Hour}, now)
	errs = append(errs, err, s.Refund(t.Context(), "n", now))
	for range 2 { // a second end changes nothing that it should not
		errs = append(errs, s.Revoke(t.Context(), jwtauth.Revocation{TokenID: "t", SessionID: "s", Generation: 3, UserID: "u", Version: 3, Expires: now}))
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	keys := client.Scan(t.Context(), 0, prefix+"*", 100).Iterator()
	n := 0
	for keys.Next(t.Context()) {
		n++
		ttl, err := client.TTL(t.Context(), keys.Val()).Result()
		if err != nil || ttl < time.Hour-time.Minute || ttl > 3*time.Hour {
			t.Errorf("%s lives for %v, %v; want between its hour and a margin more", keys.Val(), ttl, err)
		}
	}
	if n != 10 {
		t.Errorf("%d keys, want 10", n)
	}
}
