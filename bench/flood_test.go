package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/go-jwtauth/jwtauth"
)

const (
	inFlight   = 500
	floodTime  = 5 * time.Second
	probeEvery = 2 * time.Millisecond
)

// BenchmarkLoginFlood keeps 500 logins in flight and asks an unrelated handler
// of the same process how it is. Its figures: the 99th percentile without and
// with the flood, and the memory that the flood adds. Handlers are called
// directly: connections would measure the kernel.
func BenchmarkLoginFlood(b *testing.B) {
	flooded := map[string]http.Handler{"jwtauth": floodedAuth(b), "unbounded hashing": unbounded()}
	for name, h := range flooded {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				runtime.GC()
				idle, idleHeap := probe(floodTime)
				stop := flood(h)
				p99, most := probe(floodTime)
				stop()
				b.ReportMetric(float64(idle.Microseconds()), "µs-idle-p99")
				b.ReportMetric(float64(p99.Microseconds()), "µs-flood-p99")
				b.ReportMetric(float64(most-min(most, idleHeap))/(1<<20), "MiB-more")
			}
		})
	}
}

func floodedAuth(b *testing.B) http.Handler {
	b.Helper()
	key, err := jwtauth.GenerateKey("ES256")
	check(b, err)
	keys, err := jwtauth.NewKeySet(key)
	check(b, err)
	a, err := jwtauth.New(jwtauth.Config{Issuer: issuer, Keys: keys, Secret: []byte("0f3c9a7e55d1428bb6a0e2c4971d8f36"),
		Store: jwtauth.NewMemoryStore(), Logger: slog.New(slog.DiscardHandler),
		// One address sends them all: the limits would stop it long before.
		Limits: jwtauth.LimitConfig{Disabled: true}, Lockout: jwtauth.LockoutConfig{Disabled: true}})
	check(b, err)
	_, err = a.Register(context.Background(), jwtauth.Registration{Username: "alice", Email: "alice@example.test", Password: password})
	check(b, err)
	return a.Handler()
}

// unbounded hashes for every request that comes, with the same parameters.
func unbounded() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		argon2.IDKey(body, []byte("0123456789abcdef"), 2, 19<<10, 1, 32)
		w.WriteHeader(http.StatusUnauthorized)
	})
}

// flood sends logins until stop is called. Who is told to come back later waits
// a tenth of a second.
func flood(h http.Handler) (stop func()) {
	body, _ := json.Marshal(map[string]string{"username": "alice", "password": "wrong"})
	var over atomic.Bool
	var wg sync.WaitGroup
	for range inFlight {
		wg.Go(func() {
			for !over.Load() {
				r := httptest.NewRequest(http.MethodPost, "/login", bytes.NewReader(body))
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code == http.StatusServiceUnavailable {
					time.Sleep(100 * time.Millisecond)
				}
			}
		})
	}
	return func() { over.Store(true); wg.Wait() }
}

// probe returns the 99th percentile of how late a request comes that should be
// answered at once, and the largest heap in use.
func probe(d time.Duration) (p99 time.Duration, most uint64) {
	h := handler(func(*http.Request) string { return "x" })
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	var times []time.Duration
	end := time.Now().Add(d)
	for i := 0; time.Now().Before(end); i++ {
		due := time.Now().Add(probeEvery)
		time.Sleep(probeEvery)
		h.ServeHTTP(httptest.NewRecorder(), r)
		times = append(times, time.Since(due))
		if i%50 == 0 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapInuse)
		}
	}
	slices.Sort(times)
	return times[len(times)*99/100], most
}
