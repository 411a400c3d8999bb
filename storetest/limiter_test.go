package storetest_test

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/storetest"
)

func TestReferenceLimiterPasses(t *testing.T) {
	storetest.RunLimiter(t, func(*testing.T) jwtauth.Limiter { return jwtauth.NewMemoryLimiter() })
}

// limiterFunc is a limiter in one function.
type limiterFunc func(ctx context.Context, key string, rule jwtauth.Rule, now time.Time) (jwtauth.Usage, error)

func (f limiterFunc) Allow(ctx context.Context, key string, rule jwtauth.Rule, now time.Time) (jwtauth.Usage, error) {
	return f(ctx, key, rule, now)
}

// brokenLimiters are by the case that must notice.
var brokenLimiters = map[string]map[string]func(jwtauth.Limiter) jwtauth.Limiter{
	"exactly the limit admitted at one instant": {
		"one too many": altered(func(_ *string, rule *jwtauth.Rule, _ *time.Time) { rule.Limit++ }),
	},
	"keys count apart": {
		"upper case is lower case": altered(func(key *string, _ *jwtauth.Rule, _ *time.Time) { *key = strings.ToLower(*key) }),
		"keys are cut":             altered(func(key *string, _ *jwtauth.Rule, _ *time.Time) { *key = (*key)[:min(len(*key), 255)] }),
		"text in braces counts": altered(func(key *string, _ *jwtauth.Rule, _ *time.Time) {
			*key = strings.Trim(*key, "{}")
		}),
	},
	"uses come back evenly": {
		"spans start anew": func(l jwtauth.Limiter) jwtauth.Limiter {
			return limiterFunc(func(ctx context.Context, key string, rule jwtauth.Rule, now time.Time) (jwtauth.Usage, error) {
				span := now.Truncate(rule.Per)
				return l.Allow(ctx, key+span.String(), rule, span)
			})
		},
	},
	"refused uses cost nothing": {
		"refusals are counted": func(l jwtauth.Limiter) jwtauth.Limiter {
			var until cells[time.Time]
			return limiterFunc(func(ctx context.Context, key string, rule jwtauth.Rule, now time.Time) (jwtauth.Usage, error) {
				if end, _ := until.get(key); now.Before(end) {
					until.set(key, end.Add(time.Second))
					return jwtauth.Usage{}, nil
				}
				u, err := l.Allow(ctx, key, rule, now)
				until.set(key, now.Add(u.RetryAfter))
				return u, err
			})
		},
	},
	"clock set back grants nothing": {
		"starts again when the clock is set back": func(l jwtauth.Limiter) jwtauth.Limiter {
			var last cells[time.Time]
			return limiterFunc(func(ctx context.Context, key string, rule jwtauth.Rule, now time.Time) (jwtauth.Usage, error) {
				if at, _ := last.get(key); now.Before(at) {
					return jwtauth.NewMemoryLimiter().Allow(ctx, key, rule, now)
				}
				last.set(key, now)
				return l.Allow(ctx, key, rule, now)
			})
		},
	},
	"changed rule keeps what was spent": {
		"a count for each rule": altered(func(key *string, rule *jwtauth.Rule, _ *time.Time) {
			*key += rule.Per.String() + string(rune(rule.Limit))
		}),
	},
	"invalid rule refused": {
		"rules are not checked": func(l jwtauth.Limiter) jwtauth.Limiter {
			return limiterFunc(func(ctx context.Context, key string, rule jwtauth.Rule, now time.Time) (jwtauth.Usage, error) {
				u, err := l.Allow(ctx, key, rule, now)
				if err != nil {
					return jwtauth.Usage{Allowed: true}, nil
				}
				return u, nil
			})
		},
	},
	"extreme times admit no more than the limit": {
		"nanoseconds overflow": func(l jwtauth.Limiter) jwtauth.Limiter {
			return limiterFunc(func(ctx context.Context, key string, rule jwtauth.Rule, now time.Time) (jwtauth.Usage, error) {
				if y := now.Year(); y < 1678 || y > 2262 {
					return jwtauth.Usage{Allowed: true}, nil
				}
				return l.Allow(ctx, key, rule, now)
			})
		},
	},
	"announcements are true": {
		"waits are too short": announcing(func(u *jwtauth.Usage) { u.RetryAfter /= 2 }),
		"what is left is one off": announcing(func(u *jwtauth.Usage) {
			if u.Allowed {
				u.Remaining++
			}
		}),
		"reset is too early": announcing(func(u *jwtauth.Usage) { u.Reset = u.Reset.Add(-u.RetryAfter - time.Second) }),
	},
	"exactly the limit of many concurrent uses admitted": {
		"reads, then writes": func(jwtauth.Limiter) jwtauth.Limiter { return &racyLimiter{used: map[string]int{}} },
	},
}

// altered is a limiter that is asked for something else.
func altered(change func(key *string, rule *jwtauth.Rule, now *time.Time)) func(jwtauth.Limiter) jwtauth.Limiter {
	return func(l jwtauth.Limiter) jwtauth.Limiter {
		return limiterFunc(func(ctx context.Context, key string, rule jwtauth.Rule, now time.Time) (jwtauth.Usage, error) {
			change(&key, &rule, &now)
			return l.Allow(ctx, key, rule, now)
		})
	}
}

// announcing is a limiter that says something else.
func announcing(change func(*jwtauth.Usage)) func(jwtauth.Limiter) jwtauth.Limiter {
	return func(l jwtauth.Limiter) jwtauth.Limiter {
		return limiterFunc(func(ctx context.Context, key string, rule jwtauth.Rule, now time.Time) (jwtauth.Usage, error) {
			u, err := l.Allow(ctx, key, rule, now)
			change(&u)
			return u, err
		})
	}
}

// racyLimiter looks first and counts afterwards.
type racyLimiter struct {
	mu   sync.Mutex
	used map[string]int
}

func (l *racyLimiter) Allow(_ context.Context, key string, rule jwtauth.Rule, _ time.Time) (jwtauth.Usage, error) {
	l.mu.Lock()
	n := l.used[key]
	l.mu.Unlock()
	for range 100 {
		runtime.Gosched()
	}
	l.mu.Lock()
	l.used[key] = n + 1
	l.mu.Unlock()
	return jwtauth.Usage{Allowed: n < rule.Limit}, nil
}

func TestBrokenLimiterCaught(t *testing.T) {
	for by, mistakes := range brokenLimiters {
		for name, breaks := range mistakes {
			t.Run(name, func(t *testing.T) {
				failed := storetest.LimiterFailures(t, func() jwtauth.Limiter { return breaks(jwtauth.NewMemoryLimiter()) })
				wantCaught(t, failed, "limiter/"+by)
			})
		}
	}
	for _, name := range storetest.LimiterCases() {
		if by := strings.TrimPrefix(name, "limiter/"); len(brokenLimiters[by]) == 0 {
			t.Errorf("no broken limiter is there to be caught by %q", name)
		}
	}
	if n := len(storetest.LimiterCases()); n != len(brokenLimiters) || !slices.Contains(storetest.LimiterCases(), "limiter/keys count apart") {
		t.Errorf("%d cases for %d kinds of mistakes", n, len(brokenLimiters))
	}
}
