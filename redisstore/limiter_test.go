package redisstore_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/storetest"
)

// noon is when these tests begin.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func perMinute(n int) jwtauth.Rule { return jwtauth.Rule{Limit: n, Per: time.Minute} }

func allow(t testing.TB, l jwtauth.Limiter, key string, rule jwtauth.Rule, now time.Time) jwtauth.Usage {
	t.Helper()
	u, err := l.Allow(context.Background(), key, rule, now)
	if err != nil {
		t.Fatalf("Allow(%q, %v): %v", key, rule, err)
	}
	return u
}

func TestLimiter(t *testing.T) {
	storetest.RunLimiter(t, func(t *testing.T) jwtauth.Limiter { return fresh(t) })
}

// The two limiters agree about every use, and what they announce, to the
// rounding of a nanosecond.
func TestLimiterAgreesWithTheModel(t *testing.T) {
	rules := []jwtauth.Rule{
		perMinute(1), perMinute(5), perMinute(7), perMinute(60), {Limit: 3, Per: time.Second}, {Limit: 997, Per: 31 * 24 * time.Hour},
		{Limit: 1, Per: 31 * 24 * time.Hour}, {Limit: 1_000_000, Per: time.Second}, {Limit: 999_983, Per: 7 * time.Second},
	}
	for _, rule := range rules {
		t.Run(fmt.Sprintf("%d per %v", rule.Limit, rule.Per), func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(rule.Limit), uint64(rule.Per)))
			model, l, now := jwtauth.NewMemoryLimiter(), fresh(t), noon
			step := int64(rule.Per)/int64(rule.Limit)*2 + 1
			for i := range 300 {
				now = now.Add(time.Duration(random.Int64N(step)))
				// Callers arrive out of order by a little.
				at := now.Add(-time.Duration(random.Int64N(step)/4) * time.Duration(i%2))
				got, want := allow(t, l, "a", rule, at), allow(t, model, "a", rule, at)
				compareUsage(t, i, got, want)
				if !got.Allowed {
					now = at.Add(got.RetryAfter)
					got, want = allow(t, l, "a", rule, now), allow(t, model, "a", rule, now)
					compareUsage(t, i, got, want)
					if !got.Allowed {
						t.Fatalf("use %d refused at the time that was announced", i)
					}
				}
			}
		})
	}
}

func compareUsage(t *testing.T, i int, got, want jwtauth.Usage) {
	t.Helper()
	close := func(d time.Duration) bool { return d >= -2 && d <= 2 }
	if got.Allowed != want.Allowed || got.Limit != want.Limit || got.Remaining != want.Remaining ||
		!close(got.Reset.Sub(want.Reset)) || !close(got.RetryAfter-want.RetryAfter) {
		t.Fatalf("use %d: %+v, want %+v", i, got, want)
	}
}

// RAT-08: two nodes with one limit allow together what the rule allows.
func TestLimiterIsSharedByNodes(t *testing.T) {
	a, b := twoNodes(t)
	nodes := []jwtauth.Limiter{a, b}
	var passed atomic.Int64
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for range 20 {
				if u, err := nodes[i%2].Allow(context.Background(), "a", perMinute(50), noon); err == nil && u.Allowed {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := passed.Load(); n != 50 {
		t.Errorf("%d admitted by two nodes, want 50", n)
	}
}

func TestLimiterRefusesWithItsContext(t *testing.T) {
	l := fresh(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if u, err := l.Allow(ctx, "a", perMinute(1), noon); err == nil || u.Allowed {
		t.Errorf("Allow with a cancelled context = %+v, %v", u, err)
	}
	if !allow(t, l, "a", perMinute(1), noon).Allowed {
		t.Error("the refused call counted")
	}
}
