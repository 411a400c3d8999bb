package jwtauth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

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

// admitted counts how many of n uses pass at one instant.
func admitted(t testing.TB, l jwtauth.Limiter, key string, rule jwtauth.Rule, now time.Time, n int) int {
	t.Helper()
	ok := 0
	for range n {
		if allow(t, l, key, rule, now).Allowed {
			ok++
		}
	}
	return ok
}

func TestMemoryLimiter(t *testing.T) {
	storetest.RunLimiter(t, func(*testing.T) jwtauth.Limiter { return jwtauth.NewMemoryLimiter() })
}

func TestMemoryLimiterZeroValueFailsClosed(t *testing.T) {
	var l jwtauth.MemoryLimiter
	if u, err := l.Allow(context.Background(), "a", perMinute(5), noon); err == nil || u.Allowed {
		t.Fatalf("Allow = %+v, %v; want an error and nothing allowed", u, err)
	}
}

// What a Usage announces is what then happens, at the nanosecond.
func TestUsageKeepsItsWord(t *testing.T) {
	rules := []jwtauth.Rule{
		perMinute(1), perMinute(5), perMinute(7), perMinute(60), {Limit: 3, Per: time.Second}, {Limit: 997, Per: 31 * 24 * time.Hour},
		{Limit: 1, Per: 31 * 24 * time.Hour}, {Limit: 1_000_000, Per: time.Second}, {Limit: 999_983, Per: 7 * time.Second},
	}
	for _, rule := range rules {
		t.Run(fmt.Sprintf("%d per %v", rule.Limit, rule.Per), func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(rule.Limit), uint64(rule.Per)))
			l, now := jwtauth.NewMemoryLimiter(), noon
			step := int64(rule.Per)/int64(rule.Limit)*2 + 1
			for i := range 2000 {
				now = now.Add(time.Duration(random.Int64N(step)))
				u := allow(t, l, "a", rule, now)
				checkUsage(t, u, rule, now)
				if !u.Allowed {
					now = now.Add(u.RetryAfter)
					if u = allow(t, l, "a", rule, now); !u.Allowed {
						t.Fatalf("use %d refused at the time that was announced", i)
					}
				}
				if i%100 == 0 && u.Remaining < 1000 {
					if n := admitted(t, l, "a", rule, now, u.Remaining+3); n != u.Remaining {
						t.Fatalf("%d admitted, %d announced", n, u.Remaining)
					}
				}
			}
			if u := allow(t, l, "a", rule, now); allow(t, l, "a", rule, u.Reset.Add(rule.Per)).Remaining != rule.Limit-1 {
				t.Fatal("bucket not full after its reset")
			}
		})
	}
}

// Rounding must not hide a use at the very moment that it comes back.
func TestRemainingIsExactWhenUsesComeBack(t *testing.T) {
	for limit := 1; limit <= 70; limit++ {
		l, rule := jwtauth.NewMemoryLimiter(), perMinute(limit)
		for back := 1; back <= limit; back++ {
			key := strconv.Itoa(back)
			admitted(t, l, key, rule, noon, limit)
			wait := time.Duration(math.Ceil(float64(back) / float64(limit) * float64(rule.Per)))
			u := allow(t, l, key, rule, noon.Add(wait))
			if !u.Allowed || u.Remaining != back-1 {
				t.Fatalf("%d of %d back: allowed %v, %d remaining, want %d", back, limit, u.Allowed, u.Remaining, back-1)
			}
		}
	}
}

func checkUsage(t *testing.T, u jwtauth.Usage, rule jwtauth.Rule, now time.Time) {
	t.Helper()
	switch {
	case u.Limit != rule.Limit:
		t.Fatalf("limit %d, want %d", u.Limit, rule.Limit)
	case u.Remaining < 0 || u.Remaining >= u.Limit:
		t.Fatalf("%d of %d remaining after a use", u.Remaining, u.Limit)
	case u.Allowed != (u.RetryAfter == 0) || u.RetryAfter < 0:
		t.Fatalf("allowed %v, but retry after %v", u.Allowed, u.RetryAfter)
	case !u.Allowed && u.Remaining != 0:
		t.Fatalf("refused with %d remaining", u.Remaining)
	case !u.Reset.After(now) || u.Reset.Before(now.Add(u.RetryAfter)):
		t.Fatalf("reset at %v, retry after %v, now %v", u.Reset, u.RetryAfter, now)
	case u.Reset.After(now.Add(rule.Per + time.Microsecond)):
		t.Fatalf("reset in %v, later than %v", u.Reset.Sub(now), rule.Per)
	}
}

func TestResetIsWhenTheBucketIsFull(t *testing.T) {
	l := jwtauth.NewMemoryLimiter()
	for use := 1; use <= 5; use++ {
		u := allow(t, l, "a", perMinute(5), noon)
		if want := noon.Add(time.Duration(use) * 12 * time.Second); !u.Reset.Equal(want) {
			t.Errorf("after %d uses: reset at %v, want %v", use, u.Reset, want)
		}
	}
	if u := allow(t, l, "a", perMinute(5), noon.Add(time.Second)); u.RetryAfter != 11*time.Second {
		t.Errorf("refused a second later: retry after %v, want 11s", u.RetryAfter)
	}
}

// Over any span no more pass than the limit and what came back meanwhile.
func TestNoMoreThanBurstAndRefill(t *testing.T) {
	l, rule := jwtauth.NewMemoryLimiter(), perMinute(10)
	random := rand.New(rand.NewPCG(1, 2))
	passed := 0
	var spent time.Duration
	for range 20_000 {
		spent += time.Duration(random.Int64N(int64(2 * time.Second)))
		// Concurrent callers arrive a little out of order.
		late := time.Duration(random.Int64N(int64(5 * time.Second)))
		if allow(t, l, "a", rule, noon.Add(spent-late)).Allowed {
			passed++
		}
	}
	if most := int(10 * (1 + spent.Minutes())); passed > most {
		t.Errorf("%d passed in %v, more than %d", passed, spent, most)
	}
}

func TestConcurrentUsesAdmitExactlyTheLimit(t *testing.T) {
	l, rule := jwtauth.NewMemoryLimiter(), perMinute(50)
	var passed [4]atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := range 200 {
				k := i % len(passed)
				if u, err := l.Allow(context.Background(), strconv.Itoa(k), rule, noon); err == nil && u.Allowed {
					passed[k].Add(1)
				}
			}
		})
	}
	wg.Wait()
	for k := range passed {
		if n := passed[k].Load(); n != 50 {
			t.Errorf("key %d: %d admitted, want 50", k, n)
		}
	}
}

func TestFloodNeverResetsAnExhaustedKey(t *testing.T) {
	l := jwtauth.NewMemoryLimiter()
	l.MaxKeys = 640
	rule := perMinute(5)
	admitted(t, l, "victim", rule, noon, 5)
	for i := range 20_000 {
		now := noon.Add(time.Duration(i) * 500 * time.Microsecond)
		allow(t, l, "flood"+strconv.Itoa(i), rule, now)
		if i%1000 == 0 && allow(t, l, "victim", rule, now).Allowed {
			t.Fatalf("exhausted key admitted again after %d other keys", i)
		}
	}
	if n := admitted(t, l, "victim", rule, noon.Add(time.Minute), 9); n != 5 {
		t.Errorf("%d admitted a minute later, want 5", n)
	}
}

func TestFloodLimitsNewcomersTogether(t *testing.T) {
	l := jwtauth.NewMemoryLimiter()
	l.MaxKeys = 64
	flood := func(rule jwtauth.Rule, from int, now time.Time) (passed int) {
		for i := range 10_000 {
			if allow(t, l, strconv.Itoa(from+i), rule, now).Allowed {
				passed++
			}
		}
		return passed
	}
	// 64 keys of their own, and five uses in each of 64 shared buckets.
	if n := flood(perMinute(5), 0, noon); n > 64+64*5 {
		t.Errorf("%d admitted, want at most 384", n)
	}
	if n := flood(perMinute(5), 1e6, noon); n != 0 {
		t.Errorf("%d newcomers admitted while the flood lasts, want none", n)
	}
	if n := flood(perMinute(60), 2e6, noon); n != 64*60 {
		t.Errorf("%d admitted under another rule, want 3840: it has shared buckets of its own", n)
	}
	if !allow(t, l, "late", perMinute(5), noon.Add(time.Minute)).Allowed {
		t.Error("newcomer refused although the flood is over")
	}
}

func TestEndlessRulesShareABoundedNumberOfBuckets(t *testing.T) {
	l := jwtauth.NewMemoryLimiter()
	l.MaxKeys = 64
	for i := range 10_000 {
		allow(t, l, strconv.Itoa(i), perMinute(5), noon)
	}
	passed := 0
	for i := range 100_000 {
		rule := jwtauth.Rule{Limit: 1, Per: time.Hour + time.Duration(i)}
		if allow(t, l, "rule"+strconv.Itoa(i), rule, noon).Allowed {
			passed++
		}
	}
	if most := 64 * 9; passed > most {
		t.Errorf("%d admitted by inventing rules, want at most %d", passed, most)
	}
}

func TestMillionKeysStayInBounds(t *testing.T) {
	l := jwtauth.NewMemoryLimiter()
	before := heapInUse()
	for i := range 1_000_000 {
		ip := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i >> 16), byte(i >> 8), byte(i)})
		allow(t, l, jwtauth.Client{IP: ip}.Source(), perMinute(5), noon)
	}
	used := heapInUse() - before
	t.Logf("%d bytes in all, %d a key", used, used/100_000)
	if used > 160*100_000 {
		t.Errorf("a million keys hold %d bytes, want at most 160 for each of the 100,000 that are counted", used)
	}
	runtime.KeepAlive(l)
}

// One key counts as rate.Limiter does, the obvious twin, while its clock goes
// on.
func TestOneKeyCountsAsRateLimiter(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		rule := jwtauth.Rule{Limit: 1 + r.IntN(50), Per: time.Second + time.Duration(r.Int64N(int64(time.Hour)))}
		l, twin, now := jwtauth.NewMemoryLimiter(), rate.NewLimiter(rate.Limit(float64(rule.Limit)/rule.Per.Seconds()), rule.Limit), noon
		for i := range 500 {
			now = now.Add(time.Duration(r.Int64N(int64(rule.Per)/int64(rule.Limit) + 1)))
			u := must(l.Allow(t.Context(), "k", rule, now))(t)
			want, left := twin.AllowN(now, 1), twin.TokensAt(now)
			if u.Allowed != want || float64(u.Remaining) > left+1e-6 || float64(u.Remaining) < left-1-1e-6 {
				t.Fatalf("%+v, use %d: %+v, want %t with %f left", rule, i, u, want, left)
			}
		}
	}
}

func TestLimiterAllocatesNothingForAKnownKey(t *testing.T) {
	l := jwtauth.NewMemoryLimiter()
	rule := jwtauth.Rule{Limit: 1_000_000, Per: time.Minute}
	if n := testing.AllocsPerRun(100, func() { allow(t, l, "login|a:203.0.113.7", rule, noon) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// The vectors say which addresses are one source, and so share a bucket.
func TestLimiterKeyVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/web/limiter_key_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			A, B string
			Same bool
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) != 8 {
		t.Fatalf("%d vectors, want 8", len(file.Vectors))
	}
	for _, v := range file.Vectors {
		t.Run(fmt.Sprintf("%s and %s same %v", v.A, v.B, v.Same), func(t *testing.T) {
			a, b := source(t, v.A), source(t, v.B)
			if (a == b) != v.Same {
				t.Fatalf("sources %q and %q", a, b)
			}
			l := jwtauth.NewMemoryLimiter()
			admitted(t, l, a, perMinute(5), noon, 5)
			if got := allow(t, l, b, perMinute(5), noon).Allowed; got == v.Same {
				t.Errorf("second address allowed: %v", got)
			}
		})
	}
}

func source(t *testing.T, ip string) string {
	t.Helper()
	s := jwtauth.Client{IP: netip.MustParseAddr(ip)}.Source()
	if s == "" {
		t.Fatalf("no source for %s", ip)
	}
	return s
}

func TestUnknownAddressHasNoSource(t *testing.T) {
	if s := (jwtauth.Client{}).Source(); s != "" {
		t.Errorf("source %q, want none", s)
	}
}

func BenchmarkMemoryLimiter(b *testing.B) {
	rule := jwtauth.Rule{Limit: 1_000_000, Per: time.Minute}
	keys := make([]string, 1_000_000)
	for i := range keys {
		keys[i] = "2001:db8:" + strconv.FormatInt(int64(i>>16), 16) + ":" + strconv.FormatInt(int64(i&0xffff), 16) + "::/64"
	}
	run := func(name string, key func(i int) string) {
		b.Run(name, func(b *testing.B) {
			l := jwtauth.NewMemoryLimiter()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				allow(b, l, key(i), rule, noon)
			}
		})
		b.Run(name+" parallel", func(b *testing.B) {
			l := jwtauth.NewMemoryLimiter()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := rand.IntN(len(keys)); pb.Next(); i++ {
					allow(b, l, key(i), rule, noon)
				}
			})
		})
	}
	run("one key", func(int) string { return keys[0] })
	run("50,000 keys", func(i int) string { return keys[i%50_000] })
	run("a million keys", func(i int) string { return keys[i%len(keys)] })
}
