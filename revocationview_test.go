package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/storetest"
)

// countedStore is a store of revocations that counts questions and can be down.
type countedStore struct {
	jwtauth.RevocationStore
	asked atomic.Int64
	down  atomic.Bool
	// during runs between the answer of the store and its arrival.
	during func()
}

func newCounted() *countedStore { return &countedStore{RevocationStore: jwtauth.NewMemoryStore()} }

func (s *countedStore) Revoked(ctx context.Context, ref jwtauth.TokenRef) (bool, error) {
	s.asked.Add(1)
	if s.down.Load() {
		return false, errDisk
	}
	revoked, err := s.RevocationStore.Revoked(ctx, ref)
	if s.during != nil {
		s.during()
	}
	return revoked, err
}

func (s *countedStore) Revoke(ctx context.Context, r jwtauth.Revocation) error {
	if s.down.Load() {
		return errDisk
	}
	return s.RevocationStore.Revoke(ctx, r)
}

// bus is a feed between the views of one test. What it carries can be lost or
// held back, and it can be cut.
type bus struct {
	mu        sync.Mutex
	followers map[*follower]bool
	lose      bool
	dead      bool // nobody can connect
	held      []jwtauth.Revocation
	hold      bool
}

type follower struct {
	heard func(jwtauth.Revocation)
	cut   chan error
}

func newBus() *bus { return &bus{followers: make(map[*follower]bool)} }

func (b *bus) Publish(_ context.Context, r jwtauth.Revocation) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.dead:
		return io.ErrClosedPipe
	case b.hold:
		b.held = append(b.held, r)
	case !b.lose:
		b.tell(r)
	}
	return nil
}

func (b *bus) tell(r jwtauth.Revocation) {
	// A message is a hint: its numbers are not carried.
	hint := jwtauth.Revocation{TokenID: r.TokenID, SessionID: r.SessionID, UserID: r.UserID, From: r.From}
	for f := range b.followers {
		f.heard(hint)
	}
}

func (b *bus) deliver() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.held {
		b.tell(r)
	}
	b.held, b.hold = nil, false
}

func (b *bus) Follow(ctx context.Context, live func(), heard func(jwtauth.Revocation)) error {
	f := &follower{heard, make(chan error, 1)}
	b.mu.Lock()
	if b.dead {
		b.mu.Unlock()
		return io.ErrClosedPipe
	}
	b.followers[f] = true
	live()
	b.mu.Unlock()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-f.cut:
		return err
	}
}

func (b *bus) set(change func(b *bus)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(b)
}

// cut ends all connections and lets nobody connect until dead is false again.
func (b *bus) cut() {
	b.set(func(b *bus) {
		b.dead = true
		for f := range b.followers {
			f.cut <- io.EOF
			delete(b.followers, f)
		}
	})
}

func newView(t testing.TB, s jwtauth.RevocationStore, staleness time.Duration, feed jwtauth.RevocationFeed) *jwtauth.RevocationView {
	t.Helper()
	return must(jwtauth.NewRevocationView(s, jwtauth.RevocationViewConfig{Staleness: staleness, Feed: feed, Logger: slog.New(slog.DiscardHandler)}))(t)
}

// startView also runs it until the bubble of the test ends.
func startView(t *testing.T, s jwtauth.RevocationStore, staleness time.Duration, feed jwtauth.RevocationFeed) *jwtauth.RevocationView {
	t.Helper()
	v := newView(t, s, staleness, feed)
	ctx, cancel := context.WithCancel(bg)
	done := make(chan error)
	go func() { done <- v.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v", err)
		}
	})
	synctest.Wait()
	return v
}

var viewRef = jwtauth.TokenRef{TokenID: "t", SessionID: "s", Generation: 1, UserID: "u", Version: 1}

// isRevoked asks at a time after epoch.
func isRevoked(t testing.TB, s jwtauth.RevocationStore, ref jwtauth.TokenRef, after time.Duration) bool {
	t.Helper()
	ref.Now = epoch.Add(after)
	return must(s.Revoked(bg, ref))(t)
}

func revokeIn(t testing.TB, s jwtauth.RevocationStore, r jwtauth.Revocation) {
	t.Helper()
	r.Expires = epoch.Add(24 * time.Hour)
	if err := s.Revoke(bg, r); err != nil {
		t.Fatal(err)
	}
}

// whole, and each part alone.
var revocations = map[string]jwtauth.Revocation{
	"token":   {TokenID: "t"},
	"session": {SessionID: "s", Generation: 2},
	"user":    {UserID: "u", Version: 2},
}

// One node alone sees everything at once, remembered or not: a view is a store
// like any other.
func TestRevocationViewPassesTheSuite(t *testing.T) {
	for _, staleness := range []time.Duration{0, time.Second, 10 * time.Minute} {
		t.Run(staleness.String(), func(t *testing.T) {
			storetest.RunRevocations(t, func(t *testing.T) jwtauth.RevocationStore {
				return newView(t, jwtauth.NewMemoryStore(), staleness, nil)
			})
		})
	}
	storetest.RunFaults(t, func(t *testing.T) (*jwtauth.RevocationView, func()) {
		s := newCounted()
		return newView(t, s, time.Minute, nil), func() { s.down.Store(true) }
	})
}

func TestRevocationViewAsksOnce(t *testing.T) {
	s := newCounted()
	v := newView(t, s, time.Minute, nil)
	for i := range 100 {
		if isRevoked(t, v, viewRef, time.Duration(i)*time.Millisecond) {
			t.Fatal("revoked")
		}
	}
	if n := s.asked.Load(); n != 1 {
		t.Errorf("%d questions for 100 checks, want 1", n)
	}
	if got := v.Stats(); got.Asked != 1 || got.Remembered != 99 || !got.Live {
		t.Errorf("Stats = %+v", got)
	}
	// Another generation, version, session or user is another question.
	for i, change := range []func(*jwtauth.TokenRef){
		func(r *jwtauth.TokenRef) { r.Generation++ }, func(r *jwtauth.TokenRef) { r.Version++ },
		func(r *jwtauth.TokenRef) { r.SessionID = "" }, func(r *jwtauth.TokenRef) { r.UserID = "" }, func(r *jwtauth.TokenRef) { r.TokenID = "" },
	} {
		ref := viewRef
		change(&ref)
		isRevoked(t, v, ref, 0)
		if n := s.asked.Load(); n != int64(i+2) {
			t.Errorf("change %d: %d questions, want %d", i, n, i+2)
		}
	}
}

func TestRevocationViewWithoutStalenessAsksEveryTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCounted()
		v := startView(t, s, 0, newBus())
		for range 5 {
			isRevoked(t, v, viewRef, 0)
		}
		if n := s.asked.Load(); n != 5 {
			t.Errorf("%d questions for 5 checks", n)
		}
	})
}

// The bound holds without any message: another node revokes, and nobody tells.
func TestRevocationViewIsNeverOlderThanItsStaleness(t *testing.T) {
	for name, r := range revocations {
		t.Run(name, func(t *testing.T) {
			s := newCounted()
			v := newView(t, s, 10*time.Second, nil)
			isRevoked(t, v, viewRef, 0)
			revokeIn(t, s, r)
			if isRevoked(t, v, viewRef, 10*time.Second-1) {
				t.Error("asked early: then this test shows nothing")
			}
			if !isRevoked(t, v, viewRef, 10*time.Second) {
				t.Error("not refused although the answer is as old as it may be")
			}
			s.down.Store(true)
			if !isRevoked(t, v, viewRef, 20*time.Hour) {
				t.Error("a revoked token is not remembered as one")
			}
		})
	}
}

func TestRevocationViewDistrustsAClockSetBack(t *testing.T) {
	s := newCounted()
	v := newView(t, s, time.Minute, nil)
	isRevoked(t, v, viewRef, time.Hour)
	revokeIn(t, s, revocations["token"])
	if !isRevoked(t, v, viewRef, 0) {
		t.Error("an answer from the future is believed")
	}
}

func TestRevocationViewSeesItsOwnAtOnce(t *testing.T) {
	for name, r := range revocations {
		t.Run(name, func(t *testing.T) {
			s := newCounted()
			v := newView(t, s, time.Minute, nil)
			isRevoked(t, v, viewRef, 0)
			revokeIn(t, v, r)
			if !isRevoked(t, v, viewRef, 0) {
				t.Error("not refused on the node that revoked it")
			}
		})
	}
}

// A fault is no answer, neither one to give nor one to remember.
func TestRevocationViewFailsClosed(t *testing.T) {
	s := newCounted()
	v := newView(t, s, 10*time.Second, nil)
	isRevoked(t, v, viewRef, 0)
	s.down.Store(true)
	if isRevoked(t, v, viewRef, time.Second) {
		t.Error("what is known within the bound is refused")
	}
	ref := viewRef
	for range 2 {
		ref.Now = epoch.Add(10 * time.Second)
		if revoked, err := v.Revoked(bg, ref); err == nil || !revoked {
			t.Errorf("Revoked = %t, %v of a store that is down", revoked, err)
		}
	}
	if err := v.Revoke(bg, jwtauth.Revocation{TokenID: "x", Expires: epoch.Add(time.Hour)}); err == nil {
		t.Error("Revoke = nil of a store that is down")
	}
	s.down.Store(false)
	if isRevoked(t, v, ref, 10*time.Second) {
		t.Error("a fault is remembered as a revocation")
	}
}

// A revocation that runs while a check is on its way may come after the answer
// of the store and before the answer is kept.
func TestRevocationViewKeepsNoAnswerThatWasOvertaken(t *testing.T) {
	for name, r := range revocations {
		t.Run(name, func(t *testing.T) {
			s := newCounted()
			v := newView(t, s, time.Minute, nil)
			s.during = func() {
				s.during = nil
				revokeIn(t, v, r)
			}
			isRevoked(t, v, viewRef, 0)
			if !isRevoked(t, v, viewRef, 0) {
				t.Error("the answer from before is remembered")
			}
		})
	}
}

// Two nodes with a feed: at once while it works, by asking while it does not.
func TestRevocationViewsHearOfEachOther(t *testing.T) {
	for name, r := range revocations {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, b := newCounted(), newBus()
				one, two := startView(t, s, time.Minute, b), startView(t, s, time.Minute, b)
				isRevoked(t, two, viewRef, 0)
				isRevoked(t, two, viewRef, 0)
				if n := s.asked.Load(); n != 1 {
					t.Errorf("%d questions for 2 checks", n)
				}
				revokeIn(t, one, r)
				if !isRevoked(t, two, viewRef, 0) {
					t.Error("not refused on the other node")
				}
				others := jwtauth.TokenRef{TokenID: "x", SessionID: "y", UserID: "z"}
				isRevoked(t, two, others, 0)
				before := s.asked.Load()
				if isRevoked(t, two, others, 0); s.asked.Load() != before {
					t.Error("a token that nobody mentioned is asked about again")
				}
			})
		})
	}
}

func TestRevocationViewWithALostMessageKeepsTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newCounted(), newBus()
		one, two := startView(t, s, time.Minute, b), startView(t, s, time.Minute, b)
		isRevoked(t, two, viewRef, 0)
		b.set(func(b *bus) { b.lose = true })
		revokeIn(t, one, revocations["session"])
		if !isRevoked(t, two, viewRef, time.Minute) {
			t.Error("not refused after the staleness")
		}
	})
}

func TestRevocationViewWithALateMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newCounted(), newBus()
		one, two := startView(t, s, time.Minute, b), startView(t, s, time.Minute, b)
		isRevoked(t, two, viewRef, 0)
		b.set(func(b *bus) { b.hold = true })
		revokeIn(t, one, revocations["user"])
		b.deliver()
		if !isRevoked(t, two, viewRef, time.Second) {
			t.Error("not refused once the message arrived")
		}
	})
}

// A feed that is cut is noticed, nothing is remembered while it is, and nothing
// from before is believed after it.
func TestRevocationViewAsksWhileTheFeedIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newCounted(), newBus()
		two := startView(t, s, 10*time.Minute, b)
		isRevoked(t, two, viewRef, 0)
		b.cut()
		synctest.Wait()
		if two.Stats().Live {
			t.Error("the view believes in a feed that is cut")
		}
		for range 3 {
			isRevoked(t, two, viewRef, 0)
		}
		if n := s.asked.Load(); n != 4 {
			t.Errorf("%d questions, want one before and each of three after", n)
		}
		revokeIn(t, s, jwtauth.Revocation{TokenID: "another"}) // nobody hears of it
		ref := jwtauth.TokenRef{TokenID: "another"}
		b.set(func(b *bus) { b.dead = false })
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if !two.Stats().Live || two.Stats().Connected != 2 {
			t.Fatalf("5 s after the feed is back: %+v", two.Stats())
		}
		if !isRevoked(t, two, ref, 0) {
			t.Error("what was revoked meanwhile is not refused")
		}
		before := s.asked.Load()
		isRevoked(t, two, viewRef, 0)
		isRevoked(t, two, viewRef, 0)
		if n := s.asked.Load() - before; n != 1 {
			t.Errorf("%d questions for two checks after the gap, want 1", n)
		}
	})
}

// Before Run, and after it, a view with a feed asks.
func TestRevocationViewThatDoesNotRunAsks(t *testing.T) {
	s := newCounted()
	v := newView(t, s, time.Minute, newBus())
	for range 3 {
		isRevoked(t, v, viewRef, 0)
	}
	if n := s.asked.Load(); n != 3 {
		t.Errorf("%d questions for 3 checks", n)
	}
}

// A refresh lets the older generation die in a moment, by a watermark that is
// told now: it counts from its time on, on every node.
func TestRevocationViewKnowsWatermarksThatBeginLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newCounted(), newBus()
		one, two := startView(t, s, 10*time.Minute, b), startView(t, s, 10*time.Minute, b)
		later := 30*time.Second + 5*time.Microsecond
		isRevoked(t, two, viewRef, 0)
		revokeIn(t, one, jwtauth.Revocation{SessionID: "s", Generation: 2, From: epoch.Add(later)})
		for _, v := range []*jwtauth.RevocationView{one, two} {
			if isRevoked(t, v, viewRef, later-time.Microsecond) {
				t.Error("refused too early")
			}
			if !isRevoked(t, v, viewRef, later) {
				t.Error("not refused from its time on")
			}
		}
	})
}

func TestRevocationViewStaysInBounds(t *testing.T) {
	s := newCounted()
	v := must(jwtauth.NewRevocationView(s, jwtauth.RevocationViewConfig{Staleness: time.Minute, MaxEntries: 640}))(t)
	before := heapInUse()
	for i := range 200_000 {
		isRevoked(t, v, jwtauth.TokenRef{TokenID: fmt.Sprint("token", i), SessionID: fmt.Sprint("session", i), UserID: "u"}, 0)
	}
	if grown := int64(heapInUse()) - int64(before); grown > 4<<20 {
		t.Errorf("%d bytes more for 200,000 tokens", grown)
	}
	// What is used all the time stays.
	before2 := s.asked.Load()
	for i := range 2000 {
		isRevoked(t, v, viewRef, 0)
		isRevoked(t, v, jwtauth.TokenRef{TokenID: fmt.Sprint("other", i)}, 0)
	}
	if n := s.asked.Load() - before2; n != 2001 {
		t.Errorf("%d questions, want 2000 for those used once and 1 for the one used always", n)
	}
}

func TestRevocationViewConfigChecked(t *testing.T) {
	for name, tc := range map[string]struct {
		store jwtauth.RevocationStore
		cfg   jwtauth.RevocationViewConfig
	}{
		"no store":           {nil, jwtauth.RevocationViewConfig{}},
		"negative staleness": {newCounted(), jwtauth.RevocationViewConfig{Staleness: -1}},
		"endless staleness":  {newCounted(), jwtauth.RevocationViewConfig{Staleness: time.Hour}},
		"no memory":          {newCounted(), jwtauth.RevocationViewConfig{MaxEntries: 1}},
		"no time":            {newCounted(), jwtauth.RevocationViewConfig{StoreTimeout: 1}},
	} {
		t.Run(name+" refused", func(t *testing.T) {
			if _, err := jwtauth.NewRevocationView(tc.store, tc.cfg); err == nil {
				t.Error("no error")
			}
		})
	}
}

// Whatever the interleaving: once Revoke has returned on a node, that node never
// accepts the token; and with a bus that delivers before Publish returns, no
// node does.
func TestRevocationViewRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newCounted(), newBus()
		views := []*jwtauth.RevocationView{startView(t, s, 10*time.Minute, b), startView(t, s, 10*time.Minute, b)}
		for round := range 300 {
			if n := raceRevocation(t, views, round); n > 0 {
				t.Errorf("round %d: %d checks accepted a token after its revocation was acknowledged", round, n)
			}
			if round%50 == 25 {
				gap(t, b, views)
			}
		}
	})
}

// raceRevocation checks a token on all nodes while one of them revokes it, and
// returns how often it was accepted after that.
func raceRevocation(t *testing.T, views []*jwtauth.RevocationView, round int) int64 {
	t.Helper()
	id := fmt.Sprint(round)
	ref := jwtauth.TokenRef{TokenID: "t" + id, SessionID: "s" + id, Generation: 1, UserID: "u" + id, Version: 1, Now: epoch}
	r := []jwtauth.Revocation{{TokenID: ref.TokenID}, {SessionID: ref.SessionID, Generation: 2}, {UserID: ref.UserID, Version: 2}}[round%3]
	r.Expires = epoch.Add(time.Hour)
	var revoked atomic.Bool
	var accepted atomic.Int64
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for range 20 {
				was := revoked.Load()
				if got, err := views[i%2].Revoked(bg, ref); err != nil {
					t.Error(err)
				} else if !got && was {
					accepted.Add(1)
				}
			}
		})
	}
	all.Go(func() {
		if err := views[round%2].Revoke(bg, r); err != nil {
			t.Error(err)
		}
		revoked.Store(true)
	})
	all.Wait()
	return accepted.Load()
}

// gap cuts the feed and waits until the views follow it again. Until a view has
// noticed it believes what it knows: nothing is promised about that moment.
func gap(t *testing.T, b *bus, views []*jwtauth.RevocationView) {
	t.Helper()
	before := views[0].Stats().Connected
	b.cut()
	b.set(func(b *bus) { b.dead = false })
	time.Sleep(5 * time.Second)
	synctest.Wait()
	for i, v := range views {
		if got := v.Stats(); !got.Live || got.Connected != before+1 {
			t.Fatalf("node %d after a gap: %+v", i, got)
		}
	}
}

// An Auth takes a view like any store, and a token that one node revokes is
// refused on the other.
func TestTwoNodesWithViews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, b := jwtauth.NewMemoryStore(), newBus()
		var nodes []*jwtauth.Auth
		counted := &countedStore{RevocationStore: store}
		for range 2 {
			v := startView(t, counted, time.Minute, b)
			a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store, cfg.Revocations = store, v })
			nodes = append(nodes, a)
		}
		g := register(t, nodes[0], "alice")
		for range 10 {
			must(nodes[1].Verify(bg, g.AccessToken))(t)
		}
		if n := counted.asked.Load(); n != 1 {
			t.Errorf("%d questions for 10 checks", n)
		}
		if err := nodes[0].Revoke(bg, g.AccessToken); err != nil {
			t.Fatal(err)
		}
		wantErr(t, "Verify on the other node", second(nodes[1].Verify(bg, g.AccessToken)), jwtauth.ErrInvalidToken)
		time.Sleep(time.Second) // the trail is sealed
	})
}

func BenchmarkRevocationView(b *testing.B) {
	v := newView(b, newCounted(), 10*time.Minute, nil)
	ref := jwtauth.TokenRef{TokenID: "b1946ac9-2492-4d6e-9a0a-0c6e1f4f2c11", SessionID: "Ab3-_9zQ0mXo1Pq2Rs3TuA", Generation: 1, UserID: "42", Version: 1, Now: epoch}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if revoked, err := v.Revoked(bg, ref); err != nil || revoked {
				b.Fatal(revoked, err)
			}
		}
	})
}
