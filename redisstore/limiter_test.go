package redisstore_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
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

// limiters are the one in memory, which is the model, and the one in Redis.
func limiters(t testing.TB) map[string]jwtauth.Limiter {
	return map[string]jwtauth.Limiter{"memory": jwtauth.NewMemoryLimiter(), "redis": fresh(t)}
}

func TestLimiter(t *testing.T) {
	type burst struct {
		key  string
		rule jwtauth.Rule
		at   time.Duration // after noon
		uses int
		want int // admitted
	}
	five, ten := perMinute(5), perMinute(10)
	long := strings.Repeat("x", 10_000)
	cases := []struct {
		name   string
		bursts []burst
	}{
		{"exactly the limit admitted at one instant", []burst{{"a", five, 0, 20, 5}}},
		{"limit of one admits one", []burst{{"a", perMinute(1), 0, 3, 1}}},
		{"largest limit admits", []burst{{"a", jwtauth.Rule{Limit: 1_000_000, Per: time.Second}, 0, 10, 10}}},
		{"keys counted apart", []burst{{"a", five, 0, 9, 5}, {"b", five, 0, 9, 5}}},
		{"empty key counted like any other", []burst{{"", five, 0, 9, 5}}},
		{"braces in a key mean nothing", []burst{{"{a}", five, 0, 9, 5}, {"a}", five, 0, 9, 5}, {"{}", five, 0, 9, 5}}},
		{"long keys counted apart", []burst{{long + "a", five, 0, 9, 5}, {long + "b", five, 0, 9, 5}}},
		{"no use back before a fifth of the minute", []burst{{"a", five, 0, 9, 5}, {"a", five, 12*time.Second - 1, 9, 0}}},
		{"one use back after a fifth of the minute", []burst{{"a", five, 0, 9, 5}, {"a", five, 12 * time.Second, 9, 1}}},
		{"everything back after the minute", []burst{{"a", five, 0, 9, 5}, {"a", five, time.Minute, 20, 5}}},
		{"nothing saved up beyond the limit", []burst{{"a", five, 0, 9, 5}, {"a", five, 24 * time.Hour, 20, 5}}},
		{"no double burst around the edge of a minute", []burst{
			{"a", five, time.Minute - 1, 9, 5}, {"a", five, time.Minute, 9, 0}, {"a", five, time.Minute + 1, 9, 0}}},
		{"refused uses cost nothing", []burst{{"a", five, 0, 1000, 5}, {"a", five, 12 * time.Second, 1000, 1}}},
		{"clock set back grants nothing", []burst{{"a", five, time.Hour, 9, 5}, {"a", five, 0, 9, 0}}},
		{"clock set back and forth grants nothing", []burst{
			{"a", five, time.Hour, 9, 5}, {"a", five, 0, 9, 0}, {"a", five, time.Hour, 9, 0},
			{"a", five, -1000 * time.Hour, 9, 0}, {"a", five, time.Hour, 9, 0}}},
		{"higher limit keeps an exhausted key exhausted", []burst{{"a", five, 0, 9, 5}, {"a", ten, 0, 9, 0}}},
		{"higher limit keeps the spent part", []burst{{"a", five, 0, 2, 2}, {"a", ten, 0, 20, 6}}},
		{"lower limit keeps the spent part", []burst{{"a", ten, 0, 6, 6}, {"a", five, 0, 9, 2}}},
		{"lower limit keeps an exhausted key exhausted", []burst{{"a", ten, 0, 20, 10}, {"a", five, 0, 9, 0}}},
		{"back and forth between rules grants nothing", []burst{
			{"a", five, 0, 9, 5}, {"a", ten, 0, 9, 0}, {"a", five, 0, 9, 0}, {"a", ten, 0, 9, 0}}},
		{"unused key has all of its new rule", []burst{{"a", five, 0, 1, 1}, {"a", ten, time.Hour, 20, 10}}},
		{"quicker rule keeps an exhausted key exhausted", []burst{
			{"a", five, 0, 9, 5}, {"a", jwtauth.Rule{Limit: 5, Per: time.Second}, 0, 9, 0}}},
		{"changed rule and clock set back grant nothing", []burst{
			{"a", five, time.Hour, 9, 5}, {"a", ten, 0, 9, 0}, {"a", five, -time.Hour, 9, 0}}},
	}
	for _, tc := range cases {
		for name, l := range limiters(t) {
			t.Run(name+"/"+tc.name, func(t *testing.T) {
				for i, b := range tc.bursts {
					got := 0
					for range b.uses {
						if allow(t, l, b.key, b.rule, noon.Add(b.at)).Allowed {
							got++
						}
					}
					if got != b.want {
						t.Fatalf("burst %d: %d of %d admitted, want %d", i, got, b.uses, b.want)
					}
				}
			})
		}
	}
}

func TestLimiterRefusesBadRules(t *testing.T) {
	l := fresh(t)
	for name, rule := range map[string]jwtauth.Rule{
		"zero rule":            {},
		"no limit":             {Limit: -1, Per: time.Minute},
		"limit without a span": {Limit: 5},
		"span too short":       {Limit: 5, Per: time.Second - 1},
		"span too long":        {Limit: 5, Per: 31*24*time.Hour + 1},
		"negative span":        {Limit: 5, Per: -time.Minute},
		"limit too large":      {Limit: 1_000_001, Per: time.Minute},
	} {
		t.Run(name+" refused", func(t *testing.T) {
			u, err := l.Allow(t.Context(), "a", rule, noon)
			if err == nil || u.Allowed {
				t.Fatalf("Allow = %+v, %v; want an error and nothing allowed", u, err)
			}
		})
	}
}

func TestLimiterAtExtremeTimes(t *testing.T) {
	l, rule := fresh(t), jwtauth.Rule{Limit: 2, Per: 31 * 24 * time.Hour}
	for i, now := range []time.Time{{}, time.Unix(0, 0), time.Unix(1<<62, 0), time.Unix(-1<<62, 0), noon, time.Unix(math.MaxInt64, 0), {}} {
		passed := map[string]int{}
		for range 5 {
			for _, key := range []string{strconv.Itoa(i), "same"} {
				if allow(t, l, key, rule, now).Allowed {
					passed[key]++
				}
			}
		}
		if n := passed[strconv.Itoa(i)]; n != 2 {
			t.Errorf("fresh key at %v: %d admitted, want 2", now, n)
		}
		if n := passed["same"]; n > 2 {
			t.Errorf("used key at %v: %d admitted, want at most 2", now, n)
		}
	}
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
