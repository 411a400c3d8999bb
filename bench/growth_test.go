package bench

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/golang-lru/v2"
	"github.com/maypok86/otter/v2"

	"github.com/go-jwtauth/jwtauth"
)

// BenchmarkGrowth verifies live tokens in random order, with the default cache:
// when there are more than it holds, the cost approaches that of a token that
// is new. (HS256, where the cache has the least to save.)
func BenchmarkGrowth(b *testing.B) {
	k := newKit(b, "HS256")
	r := rand.New(rand.NewPCG(1, 2))
	most := 1_000_000
	if testing.Short() {
		most = 10_000
	}
	for n := 1000; n <= most; n *= 10 {
		tokens := k.issue(b, n)
		b.Run(fmt.Sprint(n, " tokens"), func(b *testing.B) {
			v := k.verifier(b, 0)
			for i := range min(n, 50_000) {
				_, err := v.Verify(b.Context(), tokens[i])
				check(b, err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), tokens[r.IntN(n)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	// The same tokens, none of them known: in an order in which each comes once.
	b.Run("each new", func(b *testing.B) {
		v, order := k.verifier(b, -1), r.Perm(len(k.tokens))
		for i := 0; b.Loop(); i++ {
			if _, err := v.Verify(b.Context(), k.tokens[order[i%len(order)]]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRevoked asks for tokens that are not revoked, while a million others
// are, beside a map that is split the same way.
func BenchmarkRevoked(b *testing.B) {
	const n = 1_000_000
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%08x-7d3a-4d1c-9a55-2f0f3d7f1c11", i)
	}
	expires := time.Now().Add(time.Hour)
	b.Run("jwtauth", func(b *testing.B) {
		before := heap()
		s := jwtauth.NewMemoryStore()
		for _, id := range ids {
			check(b, s.Revoke(b.Context(), jwtauth.Revocation{TokenID: id, Expires: expires}))
		}
		bytes, ref := float64(heap()-before)/n, jwtauth.TokenRef{Now: time.Now()}
		i := 0
		for b.Loop() {
			ref.TokenID = ids[i*7919%n]
			if i++; i%2 == 0 {
				ref.TokenID = "not revoked, like nearly all of them"
			}
			if _, err := s.Revoked(b.Context(), ref); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(bytes, "bytes/key")
	})
	b.Run("sharded map", func(b *testing.B) {
		before := heap()
		m := newShardedMap()
		for _, id := range ids {
			m.put(id, expires)
		}
		bytes := float64(heap()-before) / n
		i, id := 0, ""
		for b.Loop() {
			id = ids[i*7919%n]
			if i++; i%2 == 0 {
				id = "not revoked, like nearly all of them"
			}
			m.has(id)
		}
		b.ReportMetric(bytes, "bytes/key")
	})
}

type shardedMap struct {
	seed   maphash.Seed
	shards [64]struct {
		sync.RWMutex
		m map[string]time.Time
	}
}

func newShardedMap() *shardedMap {
	m := &shardedMap{seed: maphash.MakeSeed()}
	for i := range m.shards {
		m.shards[i].m = map[string]time.Time{}
	}
	return m
}

func (m *shardedMap) put(key string, until time.Time) {
	s := &m.shards[maphash.String(m.seed, key)%64]
	s.Lock()
	defer s.Unlock()
	s.m[key] = until
}

func (m *shardedMap) has(key string) bool {
	s := &m.shards[maphash.String(m.seed, key)%64]
	s.RLock()
	defer s.RUnlock()
	_, ok := s.m[key]
	return ok
}

// BenchmarkSessions is the heap of live sessions.
func BenchmarkSessions(b *testing.B) {
	n, now := 1_000_000, time.Now()
	if testing.Short() {
		n = 10_000
	}
	for b.Loop() {
		before := heap()
		s := jwtauth.NewMemoryStore()
		for i := range n {
			_, err := s.CreateSession(b.Context(), jwtauth.Session{
				ID: fmt.Sprintf("%022d", i), UserID: fmt.Sprint(i / 2), Generation: 1, CredentialVersion: 1, SecretID: "s1",
				Created: now, Moved: now, Expires: now.Add(time.Hour), Address: fmt.Sprintf("203.0.%d.%d", i>>8&255, i&255),
				UserAgent: fmt.Sprint("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/", i%50),
			}, jwtauth.SessionLimit{})
			check(b, err)
		}
		b.ReportMetric(float64(heap()-before)/float64(n), "bytes/session")
		runtime.KeepAlive(s)
	}
}

// cache is what a cache of verified tokens could be made of.
type cache struct {
	get func(token string) bool
	put func(token string)
}

func caches(b *testing.B) map[string]cache {
	b.Helper()
	value := new(jwtauth.Identity)
	o, err := otter.New(&otter.Options[string, *jwtauth.Identity]{MaximumSize: 10_000})
	check(b, err)
	l, err := lru.New[string, *jwtauth.Identity](10_000)
	check(b, err)
	return map[string]cache{
		"otter": {func(t string) bool { _, ok := o.GetIfPresent(t); return ok }, func(t string) { o.Set(t, value) }},
		"lru":   {func(t string) bool { _, ok := l.Get(t); return ok }, func(t string) { l.Add(t, value) }},
	}
}

// BenchmarkCacheHit is a hit of a library's cache with whole tokens as keys. The
// same of ours is BenchmarkTokenCache in the root module.
func BenchmarkCacheHit(b *testing.B) {
	k := newKit(b, "ES256")
	for name, c := range caches(b) {
		b.Run(name, func(b *testing.B) {
			c.put(k.token)
			for b.Loop() {
				if !c.get(k.token) {
					b.Fatal("not there")
				}
			}
		})
	}
}

// BenchmarkCacheFlood has 6,000 users in a cache of 10,000 and, for each of
// their requests, ten tokens that come once. Its figure is the hit ratio of the
// users, the second half of the requests under the flood.
func BenchmarkCacheFlood(b *testing.B) {
	const users, requests, flood = 6000, 100_000, 10
	for name := range caches(b) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				c, r := caches(b)[name], rand.New(rand.NewPCG(1, 2))
				hits, once := 0, 0
				for i := range requests {
					user := fmt.Sprintf("header.payload of user %d.signature", r.IntN(users))
					if c.get(user) {
						hits++
					} else {
						c.put(user)
					}
					if i < requests/2 {
						continue
					}
					for range flood {
						once++
						token := fmt.Sprintf("header.payload that comes once %d.signature", once)
						if !c.get(token) {
							c.put(token)
						}
					}
				}
				b.ReportMetric(float64(hits)/requests*100, "%hits")
			}
		})
	}
}
