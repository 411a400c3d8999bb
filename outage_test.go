package jwtauth_test

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// hanging is a store some of whose verbs don't return until they are let go,
// whatever their context says: the worst kind.
type hanging struct {
	*jwtauth.MemoryStore
	mu    sync.Mutex
	verbs []string // "*" for all
	gate  chan struct{}
}

func newHanging() *hanging { return &hanging{MemoryStore: jwtauth.NewMemoryStore()} }

func (s *hanging) hang(verbs ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.verbs, s.gate = verbs, make(chan struct{})
}

func (s *hanging) letGo() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gate != nil {
		close(s.gate)
	}
	s.verbs, s.gate = nil, nil
}

func (s *hanging) wait(verb string) {
	s.mu.Lock()
	gate, hangs := s.gate, slices.Contains(s.verbs, verb) || slices.Contains(s.verbs, "*")
	s.mu.Unlock()
	if hangs {
		<-gate
	}
}

func (s *hanging) UserByID(ctx context.Context, id string) (jwtauth.User, error) {
	s.wait("UserByID")
	return s.MemoryStore.UserByID(ctx, id)
}

func (s *hanging) UserByLogin(ctx context.Context, key string) (jwtauth.User, error) {
	s.wait("UserByLogin")
	return s.MemoryStore.UserByLogin(ctx, key)
}

func (s *hanging) CreateUser(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
	s.wait("CreateUser")
	return s.MemoryStore.CreateUser(ctx, u)
}

func (s *hanging) ListUsers(ctx context.Context, q jwtauth.UserQuery) ([]jwtauth.User, error) {
	s.wait("ListUsers")
	return s.MemoryStore.ListUsers(ctx, q)
}

func (s *hanging) CreateSession(ctx context.Context, x jwtauth.Session, l jwtauth.SessionLimit) ([]jwtauth.Session, error) {
	s.wait("CreateSession")
	return s.MemoryStore.CreateSession(ctx, x, l)
}

func (s *hanging) Session(ctx context.Context, id string) (jwtauth.Session, error) {
	s.wait("Session")
	return s.MemoryStore.Session(ctx, id)
}

func (s *hanging) AdvanceSession(ctx context.Context, adv jwtauth.SessionAdvance) (jwtauth.Session, bool, error) {
	s.wait("AdvanceSession")
	return s.MemoryStore.AdvanceSession(ctx, adv)
}

func (s *hanging) EndSession(ctx context.Context, id string) error {
	s.wait("EndSession")
	return s.MemoryStore.EndSession(ctx, id)
}

func (s *hanging) Sessions(ctx context.Context, user string, now time.Time) ([]jwtauth.Session, error) {
	s.wait("Sessions")
	return s.MemoryStore.Sessions(ctx, user, now)
}

func (s *hanging) Revoke(ctx context.Context, r jwtauth.Revocation) error {
	s.wait("Revoke")
	return s.MemoryStore.Revoke(ctx, r)
}

func (s *hanging) Revoked(ctx context.Context, ref jwtauth.TokenRef) (bool, error) {
	s.wait("Revoked")
	return s.MemoryStore.Revoked(ctx, ref)
}

func (s *hanging) Hit(ctx context.Context, key string, limit int, window time.Duration, now time.Time) (jwtauth.Count, error) {
	s.wait("Hit")
	return s.MemoryStore.Hit(ctx, key, limit, window, now)
}

func (s *hanging) ConsumeCode(ctx context.Context, key string, hash []byte, now time.Time) (jwtauth.OneTimeCode, error) {
	s.wait("ConsumeCode")
	return s.MemoryStore.ConsumeCode(ctx, key, hash, now)
}

func (s *hanging) Append(ctx context.Context, r jwtauth.AuditRecord) error {
	s.wait("Append")
	return s.MemoryStore.Append(ctx, r)
}

func (s *hanging) AuditKey(ctx context.Context, userID string, candidate jwtauth.AuditKey) (jwtauth.AuditKey, error) {
	s.wait("AuditKey")
	return s.MemoryStore.AuditKey(ctx, userID, candidate)
}

func (s *hanging) AuditMarks(ctx context.Context) (anchor, head jwtauth.AuditMark, err error) {
	s.wait("AuditMarks") // which the sealer asks in the background
	return s.MemoryStore.AuditMarks(ctx)
}

// A store that hangs, wholly or in one verb, refuses the request within the
// limit, and works again as soon as it answers.
func TestHangingStoreRefusedInTime(t *testing.T) {
	for _, tc := range []struct {
		route string
		body  object
		token bool
		verbs []string
	}{
		{"POST /token", object{"username": "alice", "password": testPassword}, false, []string{"*", "UserByLogin", "Hit", "CreateSession", "Append"}},
		{"POST /token/validate", nil, true, []string{"*", "Revoked", "UserByID"}},
		{"POST /token/refresh", nil, true, []string{"*", "Session", "AdvanceSession", "Revoke"}},
		{"POST /token/revoke", nil, true, []string{"*", "Revoke", "EndSession"}},
		{"GET /sessions", nil, true, []string{"*", "Sessions"}},
	} {
		for _, verb := range tc.verbs {
			t.Run(tc.route+", "+verb+" hangs", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					store := newHanging()
					defer store.letGo()
					a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store, cfg.StoreTimeout = store, 2*time.Second })
					g := register(t, a, "alice")
					q := request{method: tc.route[:4], path: tc.route[5:]}
					if tc.route[3] == ' ' {
						q.method, q.path = tc.route[:3], tc.route[4:]
					}
					if tc.body != nil {
						q.body = tc.body
					}
					if tc.token {
						q.token = g.AccessToken
					}
					store.hang(tc.verbs[0:1]...)
					if verb != "*" {
						store.hang(verb)
					}
					start := time.Now()
					r := send(t, a.Handler(), q)
					wantError(t, r, 503, "service_unavailable")
					if r.header.Get("Retry-After") == "" {
						t.Error("503 without Retry-After")
					}
					if took := time.Since(start); took < 2*time.Second || took > 2*time.Second+100*time.Millisecond {
						t.Errorf("the answer took %v, want the limit of 2s", took)
					}
					store.letGo()
					time.Sleep(200 * time.Millisecond) // a tenth: the next try
					if r := send(t, a.Handler(), q); r.status != 200 {
						t.Errorf("status %d after the store is back: %s", r.status, r.text)
					}
				})
			})
		}
	}
}

// While nothing comes from a store, nobody waits for it but one caller from time
// to time, and Outages names it.
func TestNobodyWaitsForASilentStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newHanging()
		defer store.letGo()
		a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
		g := register(t, a, "alice")
		store.hang("*")
		verify := func() time.Duration {
			start := time.Now()
			_, err := a.Verify(bg, g.AccessToken)
			wantErr(t, "Verify", err, jwtauth.ErrUnavailable)
			return time.Since(start)
		}
		if silent := a.Outages().Silent; len(silent) > 0 {
			t.Errorf("silent: %q, before anything", silent)
		}
		if took := verify(); took != 3*time.Second {
			t.Errorf("the first caller waited for %v, want 3s", took)
		}
		if silent := a.Outages().Silent; len(silent) != 1 || silent[0] != "users" {
			t.Errorf("silent: %q, want the one store", silent)
		}
		waited, at := 0, time.Now()
		var all sync.WaitGroup
		var mu sync.Mutex
		for range 1000 {
			all.Go(func() {
				if verify() > 0 {
					mu.Lock()
					waited++
					mu.Unlock()
				}
			})
			time.Sleep(time.Millisecond)
		}
		all.Wait()
		if waited < 2 || waited > 4 {
			t.Errorf("%d of 1000 callers in %v waited, want one in 300ms", waited, time.Since(at))
		}
	})
}

// One row that is locked is no outage: the others go on.
func TestSlowVerbIsNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newHanging()
		defer store.letGo()
		a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
		g := register(t, a, "alice")
		store.hang("UserByID")
		failed := make(chan error)
		go func() {
			_, err := a.Issue(bg, g.User.ID)
			failed <- err
		}()
		time.Sleep(time.Second)
		if _, err := a.Verify(bg, g.AccessToken); err != nil {
			t.Errorf("Verify beside a slow call: %v", err)
		}
		wantErr(t, "the slow call", <-failed, jwtauth.ErrUnavailable)
		if _, err := a.Verify(bg, g.AccessToken); err != nil {
			t.Errorf("Verify after a slow call: %v", err)
		}
		if silent := a.Outages().Silent; len(silent) > 0 {
			t.Errorf("silent: %q", silent)
		}
	})
}

// A caller who gives up says nothing about the store.
func TestCallerWhoGivesUpIsNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newHanging()
		defer store.letGo()
		a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
		g := register(t, a, "alice")
		store.hang("*")
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		_, err := a.Verify(ctx, g.AccessToken)
		wantErr(t, "Verify", err, jwtauth.ErrUnavailable)
		store.letGo()
		if _, err := a.Verify(bg, g.AccessToken); err != nil {
			t.Errorf("Verify: %v", err)
		}
	})
}

func TestOptionalPartsOfAStoreStayWithinTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newHanging()
		defer store.letGo()
		a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
		register(t, a, "alice")
		if list := must(a.Users(bg, jwtauth.UserQuery{}))(t); len(list) != 1 {
			t.Errorf("%d accounts, want 1", len(list))
		}
		store.hang("ListUsers")
		_, err := a.Users(bg, jwtauth.UserQuery{})
		wantErr(t, "Users", err, jwtauth.ErrUnavailable)
	})
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Users = struct{ jwtauth.UserStore }{cfg.Store} })
	_, err := a.Users(bg, jwtauth.UserQuery{})
	wantErr(t, "Users of a store that can't list", err, jwtauth.ErrUnavailable)
}

func TestVerifierAloneHasTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newHanging()
		defer store.letGo()
		a, c := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
		g := register(t, a, "alice")
		v := must(jwtauth.NewVerifier(jwtauth.VerifierConfig{Keys: testKeys(t), Issuer: testIssuer, Now: c.Now,
			Revocations: store, StoreTimeout: time.Second}))(t)
		if _, err := v.Verify(bg, g.AccessToken); err != nil {
			t.Fatal(err)
		}
		store.hang("Revoked")
		start := time.Now()
		_, err := v.Verify(bg, g.AccessToken)
		wantErr(t, "Verify", err, jwtauth.ErrUnavailable)
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v, want 1s", took)
		}
	})
}

// A tracer changes neither how long a store is waited for nor what is reported.
func TestTracerChangesNoLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newHanging()
		defer store.letGo()
		a := measuredAuth(t, new(tracingSink), func(cfg *jwtauth.Config) { cfg.Revocations, cfg.StoreTimeout = store, 10*time.Second })
		g := register(t, a, "alice")
		store.hang("Revoked")
		start := time.Now()
		_, err := a.Verify(bg, g.AccessToken)
		wantErr(t, "Verify", err, jwtauth.ErrUnavailable)
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("took %v, want 10s", took)
		}
		if silent := a.Outages().Silent; !slices.Equal(silent, []string{"revocations"}) {
			t.Errorf("silent: %q, want the revocations", silent)
		}
		if err := a.Close(bg); err != nil {
			t.Error(err)
		}
	})
}

func TestStoreTimeoutHasBounds(t *testing.T) {
	for _, d := range []time.Duration{-1, time.Millisecond, time.Hour} {
		cfg := testConfig(t)
		cfg.StoreTimeout = d
		if _, err := jwtauth.New(cfg); err == nil {
			t.Errorf("StoreTimeout %v: no error", d)
		}
	}
}

// panicking shows that a panic of a store stays in the goroutine of its caller.
type panicking struct{ *jwtauth.MemoryStore }

func (panicking) UserByLogin(context.Context, string) (jwtauth.User, error) { panic("store: a bug") }

func TestPanicOfAStoreReachesItsCaller(t *testing.T) {
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = panicking{jwtauth.NewMemoryStore()} })
	defer func() {
		if p := recover(); p != "store: a bug" {
			t.Errorf("recovered %v", p)
		}
	}()
	_, _ = a.UserByLogin(bg, "alice")
	t.Error("no panic")
}

// late is a store that does its work and then says that it failed, as when the
// answer is lost on the way.
type late struct {
	*jwtauth.MemoryStore
	verb string
}

func (s *late) lost(verb string, err error) error {
	if s.verb == verb {
		return errDisk
	}
	return err
}

func (s *late) CreateSession(ctx context.Context, x jwtauth.Session, l jwtauth.SessionLimit) ([]jwtauth.Session, error) {
	evicted, err := s.MemoryStore.CreateSession(ctx, x, l)
	return evicted, s.lost("CreateSession", err)
}

func (s *late) AdvanceSession(ctx context.Context, adv jwtauth.SessionAdvance) (jwtauth.Session, bool, error) {
	row, moved, err := s.MemoryStore.AdvanceSession(ctx, adv)
	return row, moved, s.lost("AdvanceSession", err)
}

func (s *late) EndSession(ctx context.Context, id string) error {
	return s.lost("EndSession", s.MemoryStore.EndSession(ctx, id))
}

func (s *late) Revoke(ctx context.Context, r jwtauth.Revocation) error {
	return s.lost("Revoke", s.MemoryStore.Revoke(ctx, r))
}

func (s *late) Append(ctx context.Context, r jwtauth.AuditRecord) error {
	return s.lost("Append", s.MemoryStore.Append(ctx, r))
}

// What was done although the store said otherwise can be asked for again: the
// client ends where it wanted to be, and nothing is granted meanwhile.
func TestLostAnswersOfAStoreConverge(t *testing.T) {
	store := &late{MemoryStore: jwtauth.NewMemoryStore()}
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
	register(t, a, "alice")
	for _, verb := range []string{"AdvanceSession", "Revoke", "Append"} {
		t.Run("refresh, answer to "+verb+" lost", func(t *testing.T) {
			g := login(t, a, "alice")
			store.verb = verb
			_, err := a.Refresh(bg, g.RefreshToken)
			wantErr(t, "Refresh", err, jwtauth.ErrUnavailable)
			store.verb = ""
			next := must(a.Refresh(bg, g.RefreshToken))(t)
			if _, err := a.Refresh(bg, next.RefreshToken); err != nil {
				t.Errorf("successor: %v", err)
			}
		})
	}
	for _, verb := range []string{"Revoke", "EndSession", "Append"} {
		t.Run("log-out, answer to "+verb+" lost", func(t *testing.T) {
			g := login(t, a, "alice")
			store.verb = verb
			wantErr(t, "Revoke", a.Revoke(bg, g.AccessToken), jwtauth.ErrUnavailable)
			store.verb = ""
			wantErr(t, "Verify", second(a.Verify(bg, g.AccessToken)), jwtauth.ErrInvalidToken)
			if err := a.Revoke(bg, g.AccessToken); err != nil {
				t.Errorf("Revoke again: %v", err)
			}
		})
	}
	t.Run("login, answer to CreateSession lost", func(t *testing.T) {
		store.verb = "CreateSession"
		_, err := a.Login(bg, jwtauth.Credentials{Login: "alice", Password: testPassword})
		wantErr(t, "Login", err, jwtauth.ErrUnavailable)
		store.verb = ""
		login(t, a, "alice")
	})
}

func second[T any](_ T, err error) error { return err }

// deadLimiter counts nothing any more.
type deadLimiter struct{ err error }

func (l *deadLimiter) Allow(ctx context.Context, key string, rule jwtauth.Rule, now time.Time) (jwtauth.Usage, error) {
	if l.err != nil {
		return jwtauth.Usage{}, l.err
	}
	return jwtauth.Usage{Allowed: true, Limit: rule.Limit, Remaining: rule.Limit - 1, Reset: now}, nil
}

func TestLimiterDown(t *testing.T) {
	store := jwtauth.NewMemoryStore()
	limiter := &deadLimiter{errDisk}
	setUp := func(dangerously bool) (*jwtauth.Auth, *clock) {
		return newAuth(t, func(cfg *jwtauth.Config) {
			cfg.Store = store
			cfg.Limits = jwtauth.LimitConfig{Limiter: limiter, DangerouslyAllowWhenDown: dangerously}
			cfg.Access.Codes = []jwtauth.AuthCode{{Code: "0123456789abcdef0123456789abcdef"}}
			cfg.Access.Endpoints = map[string]jwtauth.AccessRule{"register": {Code: true}}
		})
	}
	token := func(a *jwtauth.Auth, password string) answer {
		return post(t, a.Handler(), "/token", object{"username": "alice", "password": password})
	}
	t.Run("requests refused by default", func(t *testing.T) {
		a, _ := setUp(false)
		register(t, a, "alice")
		wantError(t, token(a, testPassword), 503, "service_unavailable")
	})
	a, c := setUp(true)
	t.Run("requests pass if the host says so", func(t *testing.T) {
		for range 20 {
			if r := token(a, testPassword); r.status != 200 || r.header.Get("X-RateLimit-Limit") != "" {
				t.Fatalf("status %d, limit %q", r.status, r.header.Get("X-RateLimit-Limit"))
			}
		}
		c.Add(time.Minute)
		token(a, testPassword)
		var counts []string
		for _, e := range must(a.Events(bg, jwtauth.EventFilter{Name: jwtauth.EventUnlimited}))(t) {
			counts = append(counts, strconv.FormatInt(e.Count, 10))
		}
		if !slices.Equal(counts, []string{"20", "1"}) || a.Outages().Unlimited != 21 {
			t.Errorf("records with the counts %v, %d in all; want one at once, one after a minute, and 21", counts, a.Outages().Unlimited)
		}
	})
	t.Run("guesses at a code count all the same", func(t *testing.T) {
		for i := range 12 {
			r := post(t, a.Handler(), "/register", object{"email": "bob@example.test", "password": testPassword, "AUTH_CODE": "wrong"})
			if want := map[bool]int{true: 401, false: 429}[i < 10]; r.status != want {
				t.Errorf("guess %d: status %d, want %d", i+1, r.status, want)
			}
		}
	})
	t.Run("wrong passwords count all the same", func(t *testing.T) {
		for range 30 {
			wantError(t, token(a, "wrong"), 401, "invalid_credentials")
		}
		wantError(t, token(a, testPassword), 401, "invalid_credentials")
	})
	t.Run("limits count again when the limiter is back", func(t *testing.T) {
		limiter.err = nil
		c.Add(24 * time.Hour)
		if r := token(a, testPassword); r.status != 200 || r.header.Get("X-RateLimit-Limit") == "" {
			t.Errorf("status %d without a limit", r.status)
		}
	})
}

// LCK-08: without the counter of wrong passwords nobody can try one, and what
// can't be recorded does not pass.
func TestNothingElseFailsOpen(t *testing.T) {
	for part, verb := range map[string]string{"counters": "Hit", "audit": "Append"} {
		t.Run(part, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newHanging()
				defer store.letGo()
				a, _ := newAuth(t, func(cfg *jwtauth.Config) {
					// One that hangs would refuse what others of the same store are asked.
					cfg.Store = jwtauth.NewMemoryStore()
					if part == "counters" {
						cfg.Counters = store
					} else {
						cfg.Audit.Store = store
					}
					cfg.Limits = jwtauth.LimitConfig{Limiter: &deadLimiter{errDisk}, DangerouslyAllowWhenDown: true}
				})
				register(t, a, "alice")
				store.hang(verb)
				for _, password := range []string{testPassword, "wrong"} {
					r := post(t, a.Handler(), "/token", object{"username": "alice", "password": password})
					wantError(t, r, http.StatusServiceUnavailable, "service_unavailable")
					time.Sleep(time.Second) // the store is asked again
				}
			})
		})
	}
}
