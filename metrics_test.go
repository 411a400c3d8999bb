package jwtauth_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// sink keeps what is measured, and the spans.
type sink struct {
	mu     sync.Mutex
	lines  []string
	values map[string]float64 // the last one, by line
	spans  []string
}

// line is a measurement without its value, as "name label=value".
func line(m jwtauth.Metric, labels []jwtauth.Label) string {
	s := m.Name
	for _, l := range labels {
		s += " " + l.Name + "=" + l.Value
	}
	return s
}

func (s *sink) Measure(_ context.Context, m jwtauth.Metric, value float64, labels ...jwtauth.Label) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values == nil {
		s.values = map[string]float64{}
	}
	s.lines = append(s.lines, line(m, labels))
	s.values[line(m, labels)] = value
}

func (s *sink) count(want string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		if l == want {
			n++
		}
	}
	return n
}

func (s *sink) last(line string) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values[line]
}

func (s *sink) want(t *testing.T, n int, line string) {
	t.Helper()
	if got := s.count(line); got != n {
		t.Errorf("%q was measured %d times, want %d; all: %q", line, got, n, s.lines)
	}
}

// tracingSink is a sink that makes spans as well.
type tracingSink struct{ sink }

type spanKey struct{}

func (s *tracingSink) Start(ctx context.Context, name string) (context.Context, func(error)) {
	return context.WithValue(ctx, spanKey{}, name), func(err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.spans = append(s.spans, fmt.Sprint(name, " ", err))
	}
}

// slowUsers takes its time, and sees what it is called with.
type slowUsers struct {
	jwtauth.UserStore
	took time.Duration
	seen []any
}

func (s *slowUsers) UserByLogin(ctx context.Context, key string) (jwtauth.User, error) {
	time.Sleep(s.took)
	s.seen = append(s.seen, ctx.Value(spanKey{}))
	return s.UserStore.UserByLogin(ctx, key)
}

// measuredAuth is an Auth whose measurements arrive in a sink.
func measuredAuth(t testing.TB, to jwtauth.Metrics, change ...func(*jwtauth.Config)) *jwtauth.Auth {
	t.Helper()
	a, _ := newAuth(t, append([]func(*jwtauth.Config){func(cfg *jwtauth.Config) { cfg.Metrics = to }}, change...)...)
	return a
}

func TestServiceIsMeasured(t *testing.T) {
	s := &sink{}
	a := measuredAuth(t, s, func(cfg *jwtauth.Config) {
		cfg.Lockout.Account = []jwtauth.LockoutTier{{Failures: 2, Per: time.Minute}}
	})
	register(t, a, "alice")
	g := login(t, a, "alice")
	for range 3 {
		if _, err := a.Login(bg, jwtauth.Credentials{Login: "alice", Password: "wrong"}); err == nil {
			t.Fatal("a wrong password logged in")
		}
	}
	must(a.Refresh(bg, g.RefreshToken))(t)
	if _, err := a.Refresh(bg, "jr1.nonsense"); err == nil {
		t.Fatal("nonsense refreshed")
	}
	must(a.Verify(bg, g.AccessToken))(t)
	if _, err := a.Verify(bg, "nonsense"); err == nil {
		t.Fatal("nonsense was verified")
	}
	if err := a.Close(bg); err != nil {
		t.Fatal(err)
	}
	s.want(t, 1, "jwtauth.login.duration jwtauth.event=register")
	s.want(t, 1, "jwtauth.login.duration jwtauth.event=login")
	s.want(t, 2, "jwtauth.login.duration jwtauth.event=login error.type=invalid_credentials")
	s.want(t, 1, "jwtauth.login.duration jwtauth.event=login error.type=locked")
	s.want(t, 2, "jwtauth.refusals jwtauth.event=login error.type=invalid_credentials")
	s.want(t, 1, "jwtauth.refusals jwtauth.event=login error.type=locked")
	s.want(t, 1, "jwtauth.lockout.hits")
	s.want(t, 1, "jwtauth.refresh.duration")
	s.want(t, 1, "jwtauth.refresh.duration error.type=malformed")
	s.want(t, 1, "jwtauth.verify.duration")
	s.want(t, 1, "jwtauth.verify.duration error.type=malformed")
	s.want(t, 4, "jwtauth.hash.duration") // one to register, three to compare; the locked one costs none
	if got := s.last("jwtauth.hash.active"); got != 0 {
		t.Errorf("%v hashing slots are in use, want none", got)
	}
}

func TestEndpointsAreMeasured(t *testing.T) {
	s := &sink{}
	a := measuredAuth(t, s, func(cfg *jwtauth.Config) {
		cfg.Limits = jwtauth.LimitConfig{Login: jwtauth.Rule{Limit: 1, Per: time.Minute}}
	})
	register(t, a, "alice")
	h := a.Handler()
	for range 2 {
		post(t, h, "/token", map[string]string{"username": "alice", "password": testPassword})
	}
	host := a.RateLimit("alice's own", jwtauth.Rule{Limit: 1, Per: time.Minute})(h)
	for range 2 {
		send(t, host, request{method: "GET", path: "/me"})
	}
	if err := a.Close(bg); err != nil {
		t.Fatal(err)
	}
	s.want(t, 1, "jwtauth.request.duration jwtauth.endpoint=token")
	s.want(t, 1, "jwtauth.request.duration jwtauth.endpoint=token error.type=jwt_auth_rate_limited")
	s.want(t, 1, "jwtauth.ratelimit.hits jwtauth.endpoint=login")
	s.want(t, 1, "jwtauth.ratelimit.hits jwtauth.endpoint=host")
	s.want(t, 1, "jwtauth.request.duration jwtauth.endpoint=me error.type=missing_token")
	s.want(t, 1, "jwtauth.refusals jwtauth.event=account.read error.type=missing_token")
}

func TestDurationIsThatOfTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		store := jwtauth.NewMemoryStore()
		a := measuredAuth(t, s, func(cfg *jwtauth.Config) {
			cfg.Store, cfg.Users = store, &slowUsers{UserStore: store, took: 250 * time.Millisecond}
		})
		register(t, a, "alice")
		login(t, a, "alice")
		synctest.Wait()
		if got := s.last("jwtauth.login.duration jwtauth.event=login"); got != 0.25 {
			t.Errorf("the login took %v s, want 0.25", got)
		}
	})
}

func TestShedHashIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		slow := slowVerifier{make(chan struct{})}
		a := measuredAuth(t, s, func(cfg *jwtauth.Config) {
			cfg.Passwords.MaxConcurrent, cfg.Passwords.MaxQueue = 1, -1
			cfg.Passwords.Verifiers = []jwtauth.PasswordVerifier{slow}
			cfg.Passwords.DearestHash = "$slow$of 13 bytes"
		})
		go a.Login(bg, jwtauth.Credentials{Login: "nobody", Password: "wrong"})
		synctest.Wait()
		if got := s.last("jwtauth.hash.active"); got != 1 {
			t.Errorf("%v hashing slots are in use, want 1", got)
		}
		_, err := a.Login(bg, jwtauth.Credentials{Login: "nobody", Password: "wrong"})
		if jwtauth.Code(err) != jwtauth.ErrOverloaded.Code {
			t.Errorf("second login: %v", err)
		}
		close(slow.release)
		synctest.Wait()
		s.want(t, 1, "jwtauth.hash.shed")
		if got := s.last("jwtauth.hash.active"); got != 0 {
			t.Errorf("%v hashing slots are in use, want none", got)
		}
	})
}

// slowVerifier compares when it is told to go on.
type slowVerifier struct{ release chan struct{} }

func (slowVerifier) Recognizes(hash string) bool { return hash == "$slow$of 13 bytes" }

func (v slowVerifier) Verify(string, string) (bool, error) {
	<-v.release
	return false, nil
}

func TestLabelsAreAClosedSet(t *testing.T) {
	s := &sink{}
	a := measuredAuth(t, s, func(cfg *jwtauth.Config) {
		cfg.Hooks.BeforeLogin = func(_ context.Context, u jwtauth.User) error { return jwtauth.Refuse("no "+u.Login, "No.") }
	})
	must(a.CreateUser(bg, jwtauth.Registration{Username: "alice", Email: "alice@example.test", Password: testPassword}))(t)
	if _, err := a.Login(bg, jwtauth.Credentials{Login: "alice", Password: testPassword}); jwtauth.Code(err) != "no alice" {
		t.Fatal(err)
	}
	if err := a.Close(bg); err != nil {
		t.Fatal(err)
	}
	s.want(t, 1, "jwtauth.login.duration jwtauth.event=login error.type=_OTHER")
	s.want(t, 1, "jwtauth.refusals jwtauth.event=login error.type=_OTHER")
}

func TestSpansAroundHashesAndStores(t *testing.T) {
	s := &tracingSink{}
	store := jwtauth.NewMemoryStore()
	users := &slowUsers{UserStore: store}
	a := measuredAuth(t, s, func(cfg *jwtauth.Config) { cfg.Store, cfg.Users = store, users })
	register(t, a, "alice")
	s.spans, users.seen = nil, nil
	g := login(t, a, "alice")
	for _, want := range []string{"UserByLogin", "Hit", "Refund", "CreateSession", "Append"} {
		if !slices.Contains(s.spans, "jwtauth.store."+want+" <nil>") {
			t.Errorf("no span for %s among %q", want, s.spans)
		}
	}
	if !slices.Contains(s.spans, "jwtauth.hash <nil>") {
		t.Errorf("no span for the hash among %q", s.spans)
	}
	if want := []any{"jwtauth.store.UserByLogin"}; !slices.Equal(users.seen, want) {
		t.Errorf("the store was called within %v, want %v", users.seen, want)
	}
	must(a.Verify(bg, g.AccessToken))(t)
	if !slices.Contains(s.spans, "jwtauth.store.Revoked <nil>") {
		t.Errorf("no span for Revoked among %q", s.spans)
	}
}

func TestSpanTellsFaultsWithoutTheirText(t *testing.T) {
	s := &tracingSink{}
	store := &brokenStore{MemoryStore: jwtauth.NewMemoryStore(), verb: "UserByLogin"}
	a := measuredAuth(t, s, func(cfg *jwtauth.Config) { cfg.Store = store })
	if _, err := a.Login(bg, jwtauth.Credentials{Login: "nobody", Password: "wrong"}); jwtauth.Code(err) != jwtauth.ErrUnavailable.Code {
		t.Fatal(err)
	}
	fault := "jwtauth.store.UserByLogin " + jwtauth.ErrUnavailable.Error()
	if !slices.Contains(s.spans, fault) {
		t.Errorf("no span %q among %q", fault, s.spans)
	}
	store.verb, s.spans = "", nil
	if _, err := a.Login(bg, jwtauth.Credentials{Login: "nobody", Password: "wrong"}); err == nil {
		t.Fatal("nobody logged in")
	}
	if !slices.Contains(s.spans, "jwtauth.store.UserByLogin <nil>") {
		t.Errorf("absence is no fault; spans: %q", s.spans)
	}
}

// The decorated stores must not hide what else a store can do.
func TestOptionalPartsOfATracedStoreAreFound(t *testing.T) {
	a := measuredAuth(t, &tracingSink{})
	register(t, a, "alice")
	if list, err := a.Users(bg, jwtauth.UserQuery{}); err != nil || len(list) != 1 {
		t.Errorf("users: %v, %v", list, err)
	}
}

// brokenMetrics fails in every way it can.
type brokenMetrics struct{ hang chan struct{} }

func (b brokenMetrics) Measure(context.Context, jwtauth.Metric, float64, ...jwtauth.Label) {
	if b.hang != nil {
		<-b.hang
	}
	panic("no metrics today")
}

func (b brokenMetrics) Start(ctx context.Context, name string) (context.Context, func(error)) {
	switch name {
	case "jwtauth.hash":
		return nil, nil
	case "jwtauth.store.UserByLogin":
		return ctx, func(error) { panic("no end") }
	}
	panic("no spans today")
}

func TestBrokenMetricsBreakNothing(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		t.Run(fmt.Sprintf("hangs=%v", hangs), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				b := brokenMetrics{}
				if hangs {
					b.hang = make(chan struct{})
				}
				a := measuredAuth(t, b, func(cfg *jwtauth.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
				g := register(t, a, "alice")
				start := time.Now()
				login(t, a, "alice")
				for range 5000 { // more than can wait
					must(a.Verify(bg, g.AccessToken))(t)
				}
				if took := time.Since(start); took != 0 {
					t.Errorf("it took %v longer", took)
				}
				if err := a.Close(bg); err != nil {
					t.Error(err)
				}
				if hangs {
					close(b.hang)
				}
				synctest.Wait()
				if n := strings.Count(log.String(), "the metrics panicked"); n != 1 {
					t.Errorf("%d lines about panics, want 1:\n%s", n, log.String())
				}
				if n := strings.Count(log.String(), "measurements are dropped"); n > 1 || hangs && n == 0 {
					t.Errorf("%d lines about drops:\n%s", n, log.String())
				}
			})
		})
	}
}

func TestContainedMetricsAreForEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		m := jwtauth.ContainMetrics(s, nil)
		m.Measure(bg, jwtauth.MetricWebhookBacklog, 7, jwtauth.Label{Name: jwtauth.LabelWebhook, Value: "crm"})
		synctest.Wait()
		if got := s.last("jwtauth.webhook.backlog jwtauth.webhook=crm"); got != 7 {
			t.Errorf("backlog %v, want 7", got)
		}
		if again := jwtauth.ContainMetrics(m, nil); again != m {
			t.Error("it is contained twice")
		}
		jwtauth.ContainMetrics(nil, nil).Measure(bg, jwtauth.MetricHash, 1)
	})
}

func TestNamesOfMetrics(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range jwtauth.AllMetrics() {
		if seen[m.Name] || !strings.HasPrefix(m.Name, "jwtauth.") || m.Description == "" {
			t.Errorf("%+v", m)
		}
		seen[m.Name] = true
		if (m.Unit == "s") != strings.HasSuffix(m.Name, ".duration") || (m.Unit == "s") != (m.Kind == jwtauth.KindHistogram) {
			t.Errorf("%+v: durations are histograms in seconds", m)
		}
	}
}

func TestVerifierAloneIsMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		a, c := newAuth(t)
		g := register(t, a, "alice")
		v := must(jwtauth.NewVerifier(jwtauth.VerifierConfig{Keys: testKeys(t), Issuer: testIssuer, Now: c.Now, Metrics: s}))(t)
		must(v.Verify(bg, g.AccessToken))(t)
		synctest.Wait()
		s.want(t, 1, "jwtauth.verify.duration")
	})
}

func BenchmarkMeasuredVerify(b *testing.B) {
	for name, m := range map[string]jwtauth.Metrics{"not measured": nil, "measured": &discard{}} {
		b.Run(name, func(b *testing.B) {
			a := measuredAuth(b, m)
			token := register(b, a, "alice").AccessToken
			b.ReportAllocs()
			for b.Loop() {
				if _, err := a.Verify(bg, token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

type discard struct{}

func (*discard) Measure(context.Context, jwtauth.Metric, float64, ...jwtauth.Label) {}
