package jwtauth

// Internal: how much the store holds can't be seen from outside, and its bounds
// have to be lowered to be reached.

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// size is the number of entries of each kind.
func (s *MemoryStore) size() string {
	return fmt.Sprintf("sessions %d of %d users, codes %d, claims %d, counts %d",
		len(s.memorySessions.queue), s.byUser.size(), len(s.codes.entries), len(s.claims.entries), len(s.counts.entries))
}

func (x *placeIndex) size() (n int) {
	for i := range x.parts {
		n += x.parts[i].used
	}
	return n
}

func (s *MemoryStore) revocations() [3]int {
	return [3]int{s.tokens.size(), s.memoryRevocations.sessions.size(), s.memoryRevocations.users.size()}
}

func (t *revocationTable[V]) size() int {
	n := 0
	for i := range t.shards {
		n += t.shards[i].used
	}
	return n
}

// write writes one entry of each kind, which lives for an hour.
func (s *MemoryStore) write(t *testing.T, id string, now time.Time) {
	t.Helper()
	end := now.Add(time.Hour)
	_, e1 := s.CreateSession(t.Context(), Session{ID: id, UserID: id, Created: now, Expires: end}, SessionLimit{})
	e2 := s.PutCode(t.Context(), OneTimeCode{Key: id, Hash: []byte("x"), Attempts: 1, Expires: end})
	_, e3 := s.ClaimOnce(t.Context(), id, now, end)
	_, e4 := s.Hit(t.Context(), id, 5, time.Hour, now)
	e5 := s.Revoke(t.Context(), Revocation{TokenID: id, SessionID: id, Generation: 2, UserID: id, Version: 2, Expires: end})
	_, e6 := s.Revoked(t.Context(), TokenRef{TokenID: id, Now: now})
	if err := errors.Join(e1, e2, e3, e4, e5, e6); err != nil {
		t.Fatal(err)
	}
}

func TestMemoryStoreForgetsExpired(t *testing.T) {
	s, now := NewMemoryStore(), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 1000 {
		s.write(t, fmt.Sprint("old", i), now)
	}
	full := s.size()
	if want := "sessions 1000 of 1000 users, codes 1000, claims 1000, counts 1000"; full != want || s.revocations() != [3]int{1000, 1000, 1000} {
		t.Fatalf("after 1000 writes: %s, revocations %d", full, s.revocations())
	}
	now = now.Add(time.Hour + sweepMargin + 2*time.Second)
	for i := range 1000 {
		s.write(t, fmt.Sprint("new", i), now)
	}
	if got := s.size(); got != full {
		t.Errorf("1000 writes later, with the first expired: %s\nwant %s", got, full)
	}
	// Revocations leave when their part of the table is copied, which is soon.
	for _, n := range s.revocations() {
		if n < 1000 || n > 1200 {
			t.Errorf("1000 writes later: %d revocations", n)
		}
	}
}

func TestMemoryStoreKeepsUntilMarginIsOver(t *testing.T) {
	s, now := NewMemoryStore(), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	s.write(t, "a", now)
	s.write(t, "b", now.Add(time.Hour+sweepMargin-time.Second))
	if want, got := "sessions 2 of 2 users, codes 2, claims 2, counts 2", s.size(); got != want || s.revocations() != [3]int{2, 2, 2} {
		t.Errorf("a second before the margin is over: %s, revocations %d", got, s.revocations())
	}
}

// A clock that leaps ahead and is set right again costs what expired by the
// leap, and nothing that is written afterwards.
func TestMemoryStoreRecoversFromLeapOfClock(t *testing.T) {
	s, now := NewMemoryStore(), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	s.write(t, "leap", now.AddDate(50, 0, 0))
	s.write(t, "a", now)
	for i := range 100 {
		s.write(t, fmt.Sprint(i), now)
	}
	got, err := s.Revoked(t.Context(), TokenRef{TokenID: "a", Now: now})
	if !got || err != nil {
		t.Errorf("Revoked after a leap: %t, error %v; want true", got, err)
	}
	if _, err := s.Session(t.Context(), "a"); err != nil {
		t.Errorf("Session after a leap: %v", err)
	}
}

func TestMemoryStoreRefusesNewKeysWhenFull(t *testing.T) {
	s, now := NewMemoryStore(), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	s.maxClaims, s.memoryCounters.max = 10, 10
	hit := func(key string, now time.Time) error {
		_, err := s.Hit(t.Context(), key, 5, time.Hour, now)
		return err
	}
	claim := func(key string, now time.Time) error {
		_, err := s.ClaimOnce(t.Context(), key, now, now.Add(time.Hour))
		return err
	}
	for name, use := range map[string]func(string, time.Time) error{"Hit": hit, "ClaimOnce": claim} {
		for i := range 10 {
			if err := use(fmt.Sprint(i), now); err != nil {
				t.Fatalf("%s within the bound: %v", name, err)
			}
		}
		err := use("new", now.Add(59*time.Minute))
		if e, known := asError(err); err == nil || known {
			t.Errorf("%s beyond the bound: error %v %v, want a fault", name, err, e)
		}
		if err := use("3", now.Add(59*time.Minute)); err != nil {
			t.Errorf("%s of a key that is there: %v", name, err)
		}
		// As soon as they expire, without the margin, there is room.
		if err := use("new", now.Add(time.Hour+time.Second)); err != nil {
			t.Errorf("%s when others have expired: %v", name, err)
		}
	}
	if n := len(s.claims.entries); n != 10 {
		t.Errorf("%d claims, want 10", n)
	}
	if n := len(s.counts.entries); n != 10 {
		t.Errorf("%d counts, want 10", n)
	}
}

func TestMemoryStoreForgetsRefundedCounts(t *testing.T) {
	s, now := NewMemoryStore(), time.Now()
	for i := range 100 {
		key := fmt.Sprint(i)
		if _, err := s.Hit(t.Context(), key, 5, time.Hour, now); err != nil {
			t.Fatal(err)
		}
		if err := s.Refund(t.Context(), key, now); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Hit(t.Context(), key, 0, time.Hour, now); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.counts.entries); n != 0 {
		t.Errorf("%d counts at zero are kept", n)
	}
}

// TestMarksNeverWeaken adds marks in any order, and compares with a list that
// never drops one.
func TestMarksNeverWeaken(t *testing.T) {
	const seconds = 20
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		var marks, all []generationMark
		for range 12 {
			m := generationMark{below: r.Int64N(8), from: at(r.IntN(seconds))}
			if r.IntN(8) == 0 {
				m = generationMark{below: AllGenerations, from: m.from}
			}
			if r.IntN(4) == 0 {
				m.from = time.Time{}
			}
			marks, all = addMark(marks, m, start.Add(-time.Hour).Unix()), append(all, m)
			for generation := range int64(10) {
				for now := range seconds {
					if got, want := refuses(marks, generation, at(now)), refuses(all, generation, at(now)); got != want {
						t.Fatalf("generation %d at second %d: %t, want %t\nmarks %v\nall %v", generation, now, got, want, marks, all)
					}
				}
			}
		}
		if len(marks) > 9 {
			t.Fatalf("%d marks where 9 say all", len(marks))
		}
	}
}

func TestMarksStayFew(t *testing.T) {
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		every time.Duration // between refreshes
		most  int
	}{
		"past marks melt into one":       {every: time.Minute, most: 13},
		"endless refreshes melt earlier": {every: time.Millisecond, most: maxMarks},
	} {
		t.Run(name, func(t *testing.T) {
			var marks []generationMark
			for i := range 1000 {
				now := start.Add(time.Duration(i) * c.every)
				past := now.Add(-sweepMargin).Unix()
				marks = addMark(marks, generationMark{below: int64(i), from: now.Add(30 * time.Second)}, past)
				if len(marks) > c.most {
					t.Fatalf("%d marks after %d refreshes, want at most %d", len(marks), i+1, c.most)
				}
				if i > maxMarks && (refuses(marks, int64(i-1), now) || !refuses(marks, int64(i-1), now.Add(30*time.Second))) {
					t.Fatalf("the last mark does not wait for its time")
				}
				if i > 0 && !refuses(marks, 0, start.Add(c.every+30*time.Second)) {
					t.Fatalf("after %d refreshes generation 0 is accepted again", i+1)
				}
			}
		})
	}
}

func TestLeavesAtNeverOverflows(t *testing.T) {
	if got := leavesAt(time.Unix(math.MaxInt64, 0)); got != never {
		t.Errorf("the end of time leaves at %d", got)
	}
	if got := leavesAt(time.Unix(100, 1)); got != 101 {
		t.Errorf("what expires within second 100 leaves at %d, want 101", got)
	}
}

// TestExpiringLeavesInOrder uses the heap as hard as it gets: entries change
// their end and are deleted in between.
func TestExpiringLeavesInOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	m, want := newExpiring[int](), make(map[string]int64)
	for i := range 5000 {
		key, until := fmt.Sprint(r.IntN(300)), r.Int64N(1000)
		if r.IntN(3) == 0 {
			m.delete(key)
			delete(want, key)
			continue
		}
		m.put(key, until, i)
		want[key] = until
	}
	for at := range int64(1000) {
		for m.expired(at) != nil {
			e := m.next[0]
			if want[e.key] != at {
				t.Fatalf("%s leaves at %d, want %d", e.key, at, want[e.key])
			}
			m.delete(e.key)
			delete(want, e.key)
		}
	}
	if len(want) > 0 || len(m.entries) > 0 || len(m.next) > 0 {
		t.Errorf("%d entries did not leave; %d and %d are kept", len(want), len(m.entries), len(m.next))
	}
}

func TestMemoryStoreSessionListsHold(t *testing.T) {
	r, now := rand.New(rand.NewPCG(5, 6)), time.Now()
	s, want := NewMemoryStore(), map[string]map[string]bool{"0": {}, "1": {}, "2": {}}
	for i := range 3000 {
		user, id := fmt.Sprint(r.IntN(3)), fmt.Sprint(i)
		switch {
		case r.IntN(100) == 0:
			if _, err := s.EndSessions(t.Context(), user, ""); err != nil {
				t.Fatal(err)
			}
			clear(want[user])
		case r.IntN(2) == 0:
			for old := range want[user] {
				if err := s.EndSession(t.Context(), old); err != nil {
					t.Fatal(err)
				}
				delete(want[user], old)
				break
			}
		default:
			if _, err := s.CreateSession(t.Context(), Session{ID: id, UserID: user, Created: now, Expires: now.Add(time.Hour)}, SessionLimit{}); err != nil {
				t.Fatal(err)
			}
			want[user][id] = true
		}
		list, err := s.Sessions(t.Context(), user, now)
		if err != nil || len(list) != len(want[user]) {
			t.Fatalf("step %d: %d sessions, error %v; want %d", i, len(list), err, len(want[user]))
		}
	}
}
