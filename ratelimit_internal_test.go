package jwtauth

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// These are internal: rounded is for the HTTP layer and validate for New, and
// here their edges are reached without either.

func TestUsageRounded(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 900_000_000, time.UTC)
	at := func(seconds int) time.Time {
		return now.Truncate(time.Second).Add(time.Duration(seconds) * time.Second)
	}
	for _, tc := range []struct {
		name string
		in   Usage
		want Usage
	}{
		{"reset rounded up", Usage{Allowed: true, Limit: 5, Remaining: 4, Reset: now.Add(time.Second)},
			Usage{Allowed: true, Limit: 5, Remaining: 4, Reset: at(2)}},
		{"whole reset kept", Usage{Allowed: true, Limit: 5, Remaining: 4, Reset: at(12)},
			Usage{Allowed: true, Limit: 5, Remaining: 4, Reset: at(12)}},
		{"wait rounded up", Usage{Limit: 5, Reset: at(60), RetryAfter: 11*time.Second + 1},
			Usage{Limit: 5, Reset: at(60), RetryAfter: 12 * time.Second}},
		{"whole wait kept", Usage{Limit: 5, Reset: at(60), RetryAfter: 12 * time.Second},
			Usage{Limit: 5, Reset: at(60), RetryAfter: 12 * time.Second}},
		{"refusal without a wait waits a second", Usage{Limit: 5, Reset: at(60)},
			Usage{Limit: 5, Reset: at(60), RetryAfter: time.Second}},
		{"endless wait cut", Usage{Limit: 5, RetryAfter: math.MaxInt64},
			Usage{Limit: 5, Reset: at(31 * 24 * 3600), RetryAfter: 31 * 24 * time.Hour}},
		{"allowed has no wait", Usage{Allowed: true, Limit: 5, Reset: at(60), RetryAfter: time.Second},
			Usage{Allowed: true, Limit: 5, Reset: at(60)}},
		{"refused has nothing remaining", Usage{Limit: 5, Remaining: 3, Reset: at(60), RetryAfter: time.Second},
			Usage{Limit: 5, Reset: at(60), RetryAfter: time.Second}},
		{"nothing negative", Usage{Allowed: true, Limit: -1, Remaining: -1, RetryAfter: -time.Hour},
			Usage{Allowed: true, Reset: at(0)}},
		{"never more remaining than the limit", Usage{Allowed: true, Limit: 5, Remaining: 6, Reset: at(1)},
			Usage{Allowed: true, Limit: 5, Remaining: 5, Reset: at(1)}},
		{"reset not before the retry", Usage{Limit: 5, Reset: at(1), RetryAfter: 10 * time.Second},
			Usage{Limit: 5, Reset: at(10), RetryAfter: 10 * time.Second}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.in.rounded(now); got != tc.want {
				t.Errorf("rounded = %+v\nwant      %+v", got, tc.want)
			}
		})
	}
}

func TestRuleValidate(t *testing.T) {
	for _, tc := range []struct {
		name string
		rule Rule
		ok   bool
	}{
		{"five a minute accepted", Rule{Limit: 5, Per: time.Minute}, true},
		{"negative limit accepted as none", Rule{Limit: -1}, true},
		{"largest rule accepted", Rule{Limit: 1_000_000, Per: 31 * 24 * time.Hour}, true},
		{"zero limit refused", Rule{Per: time.Minute}, false},
		{"limit without a span refused", Rule{Limit: 5}, false},
		{"limit too large refused", Rule{Limit: 1_000_001, Per: time.Minute}, false},
		{"span too short refused", Rule{Limit: 5, Per: time.Millisecond}, false},
		{"span too long refused", Rule{Limit: 5, Per: 32 * 24 * time.Hour}, false},
		{"negative span refused", Rule{Limit: 5, Per: -time.Minute}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.rule.validate(); (err == nil) != tc.ok {
				t.Errorf("validate = %v", err)
			}
			if got, want := tc.rule.off(), tc.rule.Limit < 0; got != want {
				t.Errorf("off = %v", got)
			}
		})
	}
}

// The bound on keys can only be counted from inside.
func TestMemoryLimiterHoldsAtMostMaxKeys(t *testing.T) {
	m := NewMemoryLimiter()
	m.MaxKeys = 1000
	for i := range 50_000 {
		now := time.Unix(int64(i/100), 0)
		if _, err := m.Allow(t.Context(), time.Duration(i).String(), Rule{Limit: 2 + i%3, Per: time.Minute}, now); err != nil {
			t.Fatal(err)
		}
	}
	keys := 0
	for i := range m.shards {
		s := &m.shards[i]
		keys += len(s.buckets)
		if len(s.buckets) != len(s.queue) || len(s.shared) > maxShared+1 {
			t.Fatalf("shard %d: %d buckets, %d queued, %d shared", i, len(s.buckets), len(s.queue), len(s.shared))
		}
	}
	if keys > m.MaxKeys || keys < m.MaxKeys/2 {
		t.Errorf("%d keys held, want at most %d and not far below", keys, m.MaxKeys)
	}
}

// Which bucket leaves can only be seen from inside: keys choose their shard at
// random.
func TestFullBucketLeavesWhicheverItIs(t *testing.T) {
	rule, start := Rule{Limit: 5, Per: time.Minute}, time.Unix(1_800_000_000, 0)
	names := []uint64{1, 2, 3, 4, 5, 6, 7}
	for i, idle := range names {
		t.Run(fmt.Sprintf("idle key %d leaves", idle), func(t *testing.T) {
			var s limiterShard
			for _, name := range names {
				s.bucket(name, rule, start, len(names)).take(rule, start)
			}
			later := start.Add(12 * time.Second)
			for j := range names {
				if j != i {
					s.bucket(names[j], rule, later, len(names)).take(rule, later.Add(-time.Duration(j)*time.Second))
				}
			}
			if s.bucket(8, rule, later, len(names)); s.buckets[8] == nil || s.buckets[idle] != nil {
				t.Fatal("no room made for a new key")
			}
			if s.bucket(9, rule, later, len(names)); len(s.buckets) != len(names) {
				t.Fatalf("%d buckets, want %d", len(s.buckets), len(names))
			}
			for j, name := range names {
				if j != i && s.buckets[name] == nil {
					t.Errorf("key %d left although it is drawn on", name)
				}
			}
		})
	}
}
