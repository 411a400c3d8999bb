package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

func counterChecks() []check[jwtauth.CounterStore] {
	return []check[jwtauth.CounterStore]{
		{"exactly limit uses admitted", "Hit counts from one and admits until N is limit; what it refuses is not counted. " +
			"One too many is one more guess; counting refusals lets an attacker lock somebody out for ever.", hitsLimited},
		{"window ends when it said", "a window starts with its first use and lasts for window, whatever happens in it. At exactly Reset it is over. " +
			"A window that each use prolongs never ends for a busy user; one that ends early gives fresh attempts.", windowEnds},
		{"limit zero admits nobody", "a limit below one refuses every use.", zeroLimit},
		{"limit of the call decides", "a lower limit refuses at once, a higher one admits more, on the same count.", limitChanges},
		{"keys count apart", "keys are compared byte by byte. " +
			"Where they meet, one user's failures lock out another.", countersApart},
		{"long keys count apart", "a key that is accepted is kept whole.", longCounters},
		{"refund takes one use back", "Refund makes room for one use in the current window and leaves its end. Below zero it stays zero. " +
			"A count below zero is a stock of free guesses.", refunds},
		{"refund after the window changes nothing", "what was counted in a window that is over can't be taken from the next.", refundsLate},
		{"reset forgets one key", "Reset forgets the count of that key alone; none is no error.", resets},
		{"cancelled context changes nothing", whyCancelled, countersCancelled},
		{"exactly limit of many concurrent uses admitted", "Hit counts and compares atomically, in a new window and in one that takes over from an old one. " +
			"Otherwise guesses sent at the same moment all pass.", hitsConcurrent},
		{"no concurrent refund is lost or doubled", "Hit and Refund are atomic together.", refundsConcurrent},
	}
}

// hit fails unless Hit counts as expected.
func hit(t testing.TB, s jwtauth.CounterStore, key string, limit int, now time.Time, n int, admitted bool) jwtauth.Count {
	t.Helper()
	got, err := s.Hit(t.Context(), key, limit, time.Minute, now)
	wantNil(t, "Hit", err)
	if got.N != n || got.Admitted != admitted {
		t.Errorf("Hit(%.40q, limit %d): N %d, admitted %t; want N %d, admitted %t", key, limit, got.N, got.Admitted, n, admitted)
	}
	return got
}

func hitsLimited(t testing.TB, s jwtauth.CounterStore) {
	now := moment()
	for n := 1; n <= 5; n++ {
		if got := hit(t, s, "k", 5, now, n, true); !got.Reset.Equal(now.Add(time.Minute)) {
			t.Errorf("Hit: Reset is %v after the first use, want the window of 1m0s", got.Reset.Sub(now))
		}
	}
	for range 3 {
		if got := hit(t, s, "k", 5, now, 5, false); !got.Reset.Equal(now.Add(time.Minute)) {
			t.Errorf("Hit that is refused: Reset is %v after the first use, want the window of 1m0s", got.Reset.Sub(now))
		}
	}
}

// windowEnds starts at two moments: at one of them, windows that are aligned to
// the clock look right.
func windowEnds(t testing.TB, s jwtauth.CounterStore) {
	for i, start := range []time.Time{moment(), moment().Add(17 * time.Second)} {
		key, end := fmt.Sprint(i), start.Add(time.Minute)
		hit(t, s, key, 2, start, 1, true)
		hit(t, s, key, 2, start.Add(40*time.Second), 2, true)
		got := hit(t, s, key, 2, end.Add(-time.Millisecond), 2, false)
		if !got.Reset.Equal(end) {
			t.Errorf("Hit: Reset moved by %v", got.Reset.Sub(end))
		}
		got = hit(t, s, key, 2, end, 1, true)
		if !got.Reset.Equal(end.Add(time.Minute)) {
			t.Errorf("Hit: the next window ends %v after its first use, want 1m0s", got.Reset.Sub(end))
		}
		hit(t, s, key, 2, end.Add(30*time.Second), 2, true)
		hit(t, s, key, 2, end.Add(59*time.Second), 2, false)
		hit(t, s, key, 2, end.Add(24*time.Hour), 1, true)
	}
}

func zeroLimit(t testing.TB, s jwtauth.CounterStore) {
	now := moment()
	hit(t, s, "k", 0, now, 0, false)
	hit(t, s, "k", -1, now, 0, false)
	hit(t, s, "k", 1, now, 1, true)
	hit(t, s, "k", 0, now, 1, false)
}

func limitChanges(t testing.TB, s jwtauth.CounterStore) {
	now := moment()
	for n := 1; n <= 3; n++ {
		hit(t, s, "k", 5, now, n, true)
	}
	hit(t, s, "k", 2, now, 3, false)
	hit(t, s, "k", 3, now, 3, false)
	hit(t, s, "k", 4, now, 4, true)
}

func countersApart(t testing.TB, s jwtauth.CounterStore) {
	now := moment()
	for _, pair := range lookalikes {
		hit(t, s, pair.a, 1, now, 1, true)
		hit(t, s, pair.b, 1, now, 1, true)
		hit(t, s, pair.a, 1, now, 1, false)
		wantNil(t, "Reset", s.Reset(t.Context(), pair.a))
		hit(t, s, pair.b, 1, now, 1, false)
	}
}

// longCounters allows a store to refuse long keys by an error.
func longCounters(t testing.TB, s jwtauth.CounterStore) {
	now := moment()
	for _, size := range []int{64, 200, 400, 2000} {
		stem := strings.Repeat("k", size-1)
		if _, err := s.Hit(t.Context(), stem+"a", 1, time.Minute, now); err != nil && size > 254 {
			continue
		}
		hit(t, s, stem+"a", 1, now, 1, false)
		hit(t, s, stem+"b", 1, now, 1, true)
	}
}

func refunds(t testing.TB, s jwtauth.CounterStore) {
	now := moment()
	refund := func(key string) {
		t.Helper()
		wantNil(t, "Refund", s.Refund(t.Context(), key, now.Add(time.Second)))
	}
	first := hit(t, s, "k", 2, now, 1, true)
	hit(t, s, "k", 2, now, 2, true)
	refund("k")
	got := hit(t, s, "k", 2, now.Add(2*time.Second), 2, true)
	if !got.Reset.Equal(first.Reset) {
		t.Errorf("Refund moved the end of the window by %v", got.Reset.Sub(first.Reset))
	}
	hit(t, s, "k", 2, now, 2, false)
	for range 4 {
		refund("k")
	}
	hit(t, s, "k", 2, now.Add(2*time.Second), 1, true)
	hit(t, s, "k", 2, now.Add(2*time.Second), 2, true)
	hit(t, s, "k", 2, now.Add(2*time.Second), 2, false)
	refund("unknown")
	hit(t, s, "unknown", 1, now, 1, true)
	hit(t, s, "unknown", 1, now, 1, false)
	refund("another")
	hit(t, s, "k", 2, now.Add(2*time.Second), 2, false)
}

func refundsLate(t testing.TB, s jwtauth.CounterStore) {
	now := moment()
	hit(t, s, "k", 1, now, 1, true)
	wantNil(t, "Refund", s.Refund(t.Context(), "k", now.Add(time.Minute)))
	hit(t, s, "k", 1, now.Add(time.Minute), 1, true)
	hit(t, s, "k", 1, now.Add(time.Minute), 1, false)
}

func resets(t testing.TB, s jwtauth.CounterStore) {
	now := moment()
	hit(t, s, "k", 1, now, 1, true)
	hit(t, s, "other", 1, now, 1, true)
	wantNil(t, "Reset", s.Reset(t.Context(), "k"))
	wantNil(t, "Reset of an unknown key", s.Reset(t.Context(), "unknown"))
	hit(t, s, "other", 1, now, 1, false)
	got := hit(t, s, "k", 1, now.Add(10*time.Second), 1, true)
	if !got.Reset.Equal(now.Add(70 * time.Second)) {
		t.Errorf("Hit after Reset: the window ends %v after its first use, want 1m0s", got.Reset.Sub(now.Add(10*time.Second)))
	}
}

// counterCalls are uses of every verb on a counter that is at one of two.
func counterCalls(t testing.TB, s jwtauth.CounterStore) []call {
	now := moment()
	hit(t, s, "k", 2, now, 1, true)
	return []call{
		{"Hit", func(ctx context.Context) (bool, error) {
			got, err := s.Hit(ctx, "k", 2, time.Minute, now)
			return got.Admitted, err
		}},
		{"Refund", func(ctx context.Context) (bool, error) { return false, s.Refund(ctx, "k", now) }},
		{"Reset", func(ctx context.Context) (bool, error) { return false, s.Reset(ctx, "k") }},
	}
}

func countersCancelled(t testing.TB, s jwtauth.CounterStore) {
	for _, c := range counterCalls(t, s) {
		refuseAll(t, cancelled(t), []call{c})
		hit(t, s, "k", 1, moment(), 1, false)
	}
}

func hitsConcurrent(t testing.TB, s jwtauth.CounterStore) {
	const limit = 10
	now := moment()
	for round := range rounds {
		counts, errs := make([]jwtauth.Count, racers), make([]error, racers)
		together(racers, func(i int) {
			counts[i], errs[i] = s.Hit(t.Context(), "k", limit, time.Minute, now)
		})
		wantTally(t, "Hit", errs, racers)
		var admitted []int
		for _, c := range counts {
			if c.Admitted {
				admitted = append(admitted, c.N)
			}
		}
		slices.Sort(admitted)
		if len(admitted) != limit {
			t.Fatalf("%d of %d concurrent uses were admitted in round %d, want exactly %d", len(admitted), racers, round, limit)
		}
		if admitted[0] != 1 || admitted[limit-1] != limit || len(slices.Compact(admitted)) != limit {
			t.Errorf("the uses admitted were counted as %v, want 1 to %d once each", admitted, limit)
		}
		now = now.Add(time.Minute) // all of them find a window that is over
	}
}

// refundsConcurrent starts at half of the limit, adds and takes back.
func refundsConcurrent(t testing.TB, s jwtauth.CounterStore) {
	now := moment()
	for round := range rounds {
		key := fmt.Sprint(round)
		for n := 1; n <= racers; n++ {
			hit(t, s, key, 2*racers, now, n, true)
		}
		errs := make([]error, racers)
		together(racers, func(i int) {
			if i%2 == 0 {
				_, errs[i] = s.Hit(t.Context(), key, 2*racers, time.Minute, now)
			} else {
				errs[i] = s.Refund(t.Context(), key, now)
			}
		})
		wantTally(t, "Hit and Refund", errs, racers)
		hit(t, s, key, 2*racers, now, racers+1, true)
	}
}
