package storetest

import (
	"context"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// RunLimiter checks a [jwtauth.Limiter]. open returns one that has counted
// nothing, for each case.
func RunLimiter(t *testing.T, open func(t *testing.T) jwtauth.Limiter) {
	t.Helper()
	runAll(t, "limiter", open, limiterChecks())
}

func limiterChecks() []check[jwtauth.Limiter] {
	return []check[jwtauth.Limiter]{
		{"exactly the limit admitted at one instant", "a key that was not used has as many uses as its rule says, and no more. " +
			"One too many is one more guess for everybody.", limitKept},
		{"keys count apart", "keys are text of any length, compared byte by byte. " +
			"Where they meet, one caller uses up what another has.", limitsApart},
		{"uses come back evenly", "a use is back after the span divided by the limit, and never more than the limit are saved up. " +
			"Where a span starts anew at once, its edge lets twice the limit through.", usesComeBack},
		{"refused uses cost nothing", "what is refused is not counted. " +
			"Otherwise a client that tries again too early is kept out for good.", refusedUsesFree},
		{"clock set back grants nothing", "time that has passed once does not pass again. " +
			"Nodes whose clocks differ would hand out the same use twice.", clockSetBack},
		{"changed rule keeps what was spent", "a hook may give each request another rule; what was used under one stays used under the next. " +
			"Otherwise a second rule is a second limit.", rulesChange},
		{"invalid rule refused", "a rule that makes no sense allows nothing, and is an error.", badRules},
		{"extreme times admit no more than the limit", "any time that a caller may give is judged alike: the zero time, and times too far off for nanoseconds.", extremeTimes},
		{"announcements are true", "at the time that RetryAfter names a use is there, at Reset all are, and Remaining is what is left. " +
			"Clients wait for what they are told.", announcementsTrue},
		{"exactly the limit of many concurrent uses admitted", "Allow counts and compares in one step. " +
			"Otherwise requests sent at the same moment all pass.", usesConcurrent},
	}
}

func perMinute(n int) jwtauth.Rule { return jwtauth.Rule{Limit: n, Per: time.Minute} }

// burst is a number of uses at one instant, and how many of them are admitted.
type burst struct {
	key        string
	rule       jwtauth.Rule
	at         time.Duration // after the beginning
	uses, want int
}

// bursts plays each series on keys of its own.
func bursts(t testing.TB, l jwtauth.Limiter, all ...[]burst) {
	t.Helper()
	start := moment()
	for i, series := range all {
		for j, b := range series {
			key := b.key + strings.Repeat("'", i)
			if got := admitted(t, l, key, b.rule, start.Add(b.at), b.uses); got != b.want {
				t.Errorf("series %d, burst %d: %d of %d uses of %.40q admitted by %d per %v, want %d",
					i+1, j+1, got, b.uses, key, b.rule.Limit, b.rule.Per, b.want)
			}
		}
	}
}

func allow(t testing.TB, l jwtauth.Limiter, key string, rule jwtauth.Rule, now time.Time) jwtauth.Usage {
	t.Helper()
	u, err := l.Allow(t.Context(), key, rule, now)
	wantNil(t, "Allow", err)
	return u
}

// admitted counts how many of n uses pass at one instant.
func admitted(t testing.TB, l jwtauth.Limiter, key string, rule jwtauth.Rule, now time.Time, n int) (passed int) {
	t.Helper()
	for range n {
		if allow(t, l, key, rule, now).Allowed {
			passed++
		}
	}
	return passed
}

func limitKept(t testing.TB, l jwtauth.Limiter) {
	bursts(t, l,
		[]burst{{"a", perMinute(5), 0, 20, 5}},
		[]burst{{"b", perMinute(1), 0, 3, 1}},
		[]burst{{"c", jwtauth.Rule{Limit: 1_000_000, Per: time.Second}, 0, 10, 10}},
	)
}

func limitsApart(t testing.TB, l jwtauth.Limiter) {
	five, long := perMinute(5), strings.Repeat("x", 10_000)
	bursts(t, l, []burst{
		{"a", five, 0, 9, 5}, {"b", five, 0, 9, 5}, {"A", five, 0, 9, 5}, {"", five, 0, 9, 5}, {"a ", five, 0, 9, 5},
		{"{a}", five, 0, 9, 5}, {"a}", five, 0, 9, 5}, {"{}", five, 0, 9, 5},
		{long + "a", five, 0, 9, 5}, {long + "b", five, 0, 9, 5},
	})
}

func usesComeBack(t testing.TB, l jwtauth.Limiter) {
	five := perMinute(5)
	bursts(t, l,
		[]burst{{"a", five, 0, 9, 5}, {"a", five, 12*time.Second - 1, 9, 0}},
		[]burst{{"a", five, 0, 9, 5}, {"a", five, 12 * time.Second, 9, 1}},
		[]burst{{"a", five, 0, 9, 5}, {"a", five, time.Minute, 20, 5}},
		[]burst{{"a", five, 0, 9, 5}, {"a", five, 24 * time.Hour, 20, 5}},
		[]burst{{"a", five, time.Minute - 1, 9, 5}, {"a", five, time.Minute, 9, 0}, {"a", five, time.Minute + 1, 9, 0}},
	)
}

func refusedUsesFree(t testing.TB, l jwtauth.Limiter) {
	bursts(t, l, []burst{{"a", perMinute(5), 0, 1000, 5}, {"a", perMinute(5), 12 * time.Second, 1000, 1}})
}

func clockSetBack(t testing.TB, l jwtauth.Limiter) {
	five := perMinute(5)
	bursts(t, l,
		[]burst{{"a", five, time.Hour, 9, 5}, {"a", five, 0, 9, 0}},
		[]burst{{"a", five, time.Hour, 9, 5}, {"a", five, 0, 9, 0}, {"a", five, time.Hour, 9, 0},
			{"a", five, -1000 * time.Hour, 9, 0}, {"a", five, time.Hour, 9, 0}},
	)
}

func rulesChange(t testing.TB, l jwtauth.Limiter) {
	five, ten := perMinute(5), perMinute(10)
	bursts(t, l,
		[]burst{{"a", five, 0, 9, 5}, {"a", ten, 0, 9, 0}},
		[]burst{{"a", five, 0, 2, 2}, {"a", ten, 0, 20, 6}},
		[]burst{{"a", ten, 0, 6, 6}, {"a", five, 0, 9, 2}},
		[]burst{{"a", ten, 0, 20, 10}, {"a", five, 0, 9, 0}},
		[]burst{{"a", five, 0, 9, 5}, {"a", ten, 0, 9, 0}, {"a", five, 0, 9, 0}, {"a", ten, 0, 9, 0}},
		[]burst{{"a", five, 0, 1, 1}, {"a", ten, time.Hour, 20, 10}},
		[]burst{{"a", five, 0, 9, 5}, {"a", jwtauth.Rule{Limit: 5, Per: time.Second}, 0, 9, 0}},
		[]burst{{"a", five, time.Hour, 9, 5}, {"a", ten, 0, 9, 0}, {"a", five, -time.Hour, 9, 0}},
	)
}

func badRules(t testing.TB, l jwtauth.Limiter) {
	for name, rule := range map[string]jwtauth.Rule{
		"zero rule":            {},
		"no limit":             {Limit: -1, Per: time.Minute},
		"limit without a span": {Limit: 5},
		"span too short":       {Limit: 5, Per: time.Second - 1},
		"span too long":        {Limit: 5, Per: 31*24*time.Hour + 1},
		"negative span":        {Limit: 5, Per: -time.Minute},
		"limit too large":      {Limit: 1_000_001, Per: time.Minute},
	} {
		if u, err := l.Allow(t.Context(), "a", rule, moment()); err == nil || u.Allowed {
			t.Errorf("Allow with a rule that is a %s: %+v, %v; want an error and nothing allowed", name, u, err)
		}
	}
}

func extremeTimes(t testing.TB, l jwtauth.Limiter) {
	rule := jwtauth.Rule{Limit: 2, Per: 31 * 24 * time.Hour}
	for i, now := range []time.Time{{}, time.Unix(0, 0), time.Unix(1<<62, 0), time.Unix(-1<<62, 0), moment(), time.Unix(math.MaxInt64, 0), {}} {
		if n := admitted(t, l, strconv.Itoa(i), rule, now, 5); n != 2 {
			t.Errorf("unused key at %v: %d admitted, want 2", now, n)
		}
		if n := admitted(t, l, "same", rule, now, 5); n > 2 {
			t.Errorf("used key at %v: %d admitted, want at most 2", now, n)
		}
	}
}

func announcementsTrue(t testing.TB, l jwtauth.Limiter) {
	for i, rule := range []jwtauth.Rule{perMinute(1), perMinute(5), perMinute(7), {Limit: 3, Per: time.Second}, {Limit: 9, Per: 31 * 24 * time.Hour}} {
		key, now := strconv.Itoa(i), moment()
		for left := rule.Limit - 1; left >= 0; left-- {
			u := allow(t, l, key, rule, now)
			if !u.Allowed || u.Limit != rule.Limit || u.Remaining != left || u.RetryAfter != 0 || !u.Reset.After(now) {
				t.Errorf("%d per %v: %+v, want %d remaining", rule.Limit, rule.Per, u, left)
			}
		}
		u := allow(t, l, key, rule, now)
		if u.Allowed || u.Remaining != 0 || u.RetryAfter <= 0 || u.Reset.Before(now.Add(u.RetryAfter)) {
			t.Errorf("%d per %v, used up: %+v", rule.Limit, rule.Per, u)
		}
		if late := allow(t, l, key, rule, now.Add(u.RetryAfter)); !late.Allowed {
			t.Errorf("%d per %v: nothing is back after RetryAfter, %v", rule.Limit, rule.Per, u.RetryAfter)
		} else if full := allow(t, l, key, rule, late.Reset); full.Remaining != rule.Limit-1 {
			t.Errorf("%d per %v: %d remaining after a use at Reset, want %d", rule.Limit, rule.Per, full.Remaining, rule.Limit-1)
		}
	}
}

func usesConcurrent(t testing.TB, l jwtauth.Limiter) {
	now := moment()
	for round := range rounds {
		passed, errs := make([]bool, racers), make([]error, racers)
		together(racers, func(i int) {
			u, err := l.Allow(context.Background(), strconv.Itoa(round), perMinute(racers/2), now)
			passed[i], errs[i] = u.Allowed, err
		})
		wantTally(t, "Allow", errs, racers)
		n := 0
		for _, p := range passed {
			if p {
				n++
			}
		}
		if n != racers/2 {
			t.Errorf("%d of %d concurrent uses admitted, want exactly %d", n, racers, racers/2)
		}
	}
}
