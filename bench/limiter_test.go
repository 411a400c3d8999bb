package bench

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/go-chi/httprate"
	"github.com/sethvargo/go-limiter/memorystore"
	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/memstore"
	"github.com/ulule/limiter/v3"
	ulule "github.com/ulule/limiter/v3/drivers/store/memory"
	"golang.org/x/time/rate"

	"github.com/go-jwtauth/jwtauth"
)

// million keys as a limit by address has them.
var million = sourceKeys(1_000_000)

func sourceKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = "login|a:2001:db8:" + strconv.FormatInt(int64(i>>16), 16) + ":" + strconv.FormatInt(int64(i&0xffff), 16) + "::/64"
	}
	return keys
}

// allowPerMinute is so high that nothing is refused: that would be cheaper.
const allowPerMinute = 1_000_000

// quickClock is ahead by another 60 µs whenever it is read, so that a use comes
// back for each use, however quick the machine is.
func quickClock() func() time.Time {
	var ahead time.Duration
	return func() time.Time {
		ahead += time.Minute / allowPerMinute
		return time.Now().Add(ahead)
	}
}

// limiters count a use of a key, each by its own rule. They are made with room
// for a million keys where they take a number.
func limiters(b *testing.B) map[string]func() func(key string) bool {
	b.Helper()
	return map[string]func() func(string) bool{
		"jwtauth": func() func(string) bool {
			l := jwtauth.NewMemoryLimiter()
			l.MaxKeys = 1_200_000
			rule, now := jwtauth.Rule{Limit: allowPerMinute, Per: time.Minute}, quickClock()
			return func(key string) bool {
				u, err := l.Allow(context.Background(), key, rule, now())
				return err == nil && u.Allowed
			}
		},
		"ulule": func() func(string) bool {
			l := limiter.New(ulule.NewStore(), limiter.Rate{Limit: allowPerMinute, Period: time.Minute})
			return func(key string) bool {
				c, err := l.Get(context.Background(), key)
				return err == nil && !c.Reached
			}
		},
		"httprate": func() func(string) bool {
			l := httprate.NewRateLimiter(allowPerMinute, time.Minute)
			w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
			return func(key string) bool { return !l.OnLimit(w, r, key) }
		},
		"throttled": func() func(string) bool {
			store, err := memstore.NewCtx(1_200_000)
			check(b, err)
			l, err := throttled.NewGCRARateLimiterCtx(store, throttled.RateQuota{MaxRate: throttled.PerMin(allowPerMinute), MaxBurst: allowPerMinute})
			check(b, err)
			return func(key string) bool {
				limited, _, err := l.RateLimitCtx(context.Background(), key, 1)
				return err == nil && !limited
			}
		},
		"go-limiter": func() func(string) bool {
			store, err := memorystore.New(&memorystore.Config{Tokens: allowPerMinute, Interval: time.Minute})
			check(b, err)
			return func(key string) bool {
				_, _, _, ok, err := store.Take(context.Background(), key)
				return err == nil && ok
			}
		},
	}
}

// BenchmarkLimiter counts a use of one key, and of a million in turn.
func BenchmarkLimiter(b *testing.B) {
	b.Run("one key/x-time-rate", func(b *testing.B) {
		l, now := rate.NewLimiter(rate.Limit(allowPerMinute)/60, allowPerMinute), quickClock()
		for b.Loop() {
			if !l.AllowN(now(), 1) {
				b.Fatal("refused")
			}
		}
	})
	for name, newLimiter := range limiters(b) {
		b.Run("one key/"+name, func(b *testing.B) {
			allow := newLimiter()
			b.ReportAllocs()
			for b.Loop() {
				_ = allow(million[0])
			}
		})
		b.Run("million keys/"+name, func(b *testing.B) {
			before := heap()
			allow := newLimiter()
			for _, key := range million {
				if !allow(key) {
					b.Fatal("refused")
				}
			}
			bytes := float64(heap()-before) / float64(len(million))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				_ = allow(million[i*7919%len(million)])
			}
			b.ReportMetric(bytes, "bytes/key")
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
