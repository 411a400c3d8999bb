package jwtauth

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// These are internal: what a cache holds shows outside only in its speed.

func entryUntil(end time.Time) *cachedToken {
	return &cachedToken{identity: Identity{Claims: Claims{ExpiresAt: end}}}
}

func (c *tokenCache) held() (n int) {
	for i := range c.sets {
		for j := range c.sets[i].places {
			if c.sets[i].places[j].Load() != nil {
				n++
			}
		}
	}
	return n
}

// floodedCache has 6,000 users in a cache of 10,000 and, for each of their
// requests from one on, ten tokens that come once. It returns the part of the
// users' requests that found theirs.
func floodedCache(from int) (c *tokenCache, hits float64) {
	const size, users, requests, flood = 10_000, 6_000, 100_000, 10
	now := time.Unix(1_800_000_000, 0)
	c, r, once := newTokenCache(size), rand.New(rand.NewPCG(1, 2)), 0
	offer := func(token string) (held bool) {
		if c.get(token) != nil {
			return true
		}
		c.put(entryUntil(now.Add(time.Hour)), token, now)
		return false
	}
	for i := range requests {
		if offer(fmt.Sprintf("header.payload of user %d.signature", r.IntN(users))) {
			hits++
		}
		if i < from {
			continue
		}
		for range flood {
			once++
			offer(fmt.Sprintf("header.payload that comes once %d.signature", once))
		}
	}
	return c, hits / requests
}

// The cache stays within its bound under a flood, and the users find theirs.
func TestFloodOfValidTokensPushesNobodyOut(t *testing.T) {
	for name, from := range map[string]int{"users there first": 50_000, "users come into the flood": 0} {
		t.Run(name, func(t *testing.T) {
			c, hits := floodedCache(from)
			t.Logf("hit ratio of the users: %.2f", hits)
			if n := c.held(); n > 10_000 || hits < 0.6 {
				t.Errorf("%d entries and a hit ratio of %.2f, want at most 10,000 and at least 0.60", n, hits)
			}
		})
	}
}

func BenchmarkTokenCache(b *testing.B) {
	now := time.Unix(1_800_000_000, 0)
	b.Run("hit", func(b *testing.B) {
		c, token := newTokenCache(10_000), strings.Repeat("a token of usual length ", 18)
		c.put(entryUntil(now.Add(time.Hour)), token, now)
		for b.Loop() {
			if c.get(token) == nil {
				b.Fatal("not there")
			}
		}
	})
	b.Run("flood", func(b *testing.B) {
		for b.Loop() {
			_, hits := floodedCache(50_000)
			b.ReportMetric(hits*100, "%hits")
		}
	})
}

func TestCacheHoldsAtMostItsSize(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, tc := range []struct{ size, most int }{{-1, 0}, {1, 8}, {8, 8}, {100, 104}, {1000, 1000}} {
		c := newTokenCache(tc.size)
		for i := range 20_000 {
			c.put(entryUntil(now.Add(time.Hour)), fmt.Sprint("token ", i%5000), now)
		}
		if c == nil {
			if tc.most != 0 || c.get("token 1") != nil {
				t.Errorf("size %d: no cache", tc.size)
			}
			continue
		}
		if n := c.held(); n > tc.most || n < tc.most*9/10 {
			t.Errorf("size %d: %d entries, want at most %d and not far below", tc.size, n, tc.most)
		}
	}
}

func TestCachePlaces(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	later := now.Add(time.Hour)
	full := func() *tokenCache {
		c := newTokenCache(cacheWays)
		for i := range cacheWays {
			c.put(entryUntil(later.Add(time.Duration(i)*time.Second)), fmt.Sprint("old ", i), now)
		}
		return c
	}
	t.Run("newcomer admitted the second time", func(t *testing.T) {
		c := full()
		for i, want := range []bool{false, true} {
			if c.put(entryUntil(later), "new", now); (c.get("new") != nil) != want {
				t.Errorf("offered %d times: held %t", i+1, !want)
			}
		}
	})
	t.Run("least used leaves", func(t *testing.T) {
		c := full()
		for i := range cacheWays {
			for range i {
				c.get(fmt.Sprint("old ", (i+3)%cacheWays))
			}
		}
		c.put(entryUntil(later), "new", now)
		c.put(entryUntil(later), "new", now)
		if c.get("old 3") != nil || c.get("old 4") == nil || c.get("new") == nil {
			t.Error("another one left")
		}
	})
	t.Run("what is no longer used leaves in the end", func(t *testing.T) {
		c := full()
		for i := range cacheWays {
			for range cacheUses + 5 {
				c.get(fmt.Sprint("old ", i))
			}
		}
		for range 40 {
			for i := range cacheWays {
				if name := fmt.Sprint("new ", i); c.get(name) == nil {
					c.put(entryUntil(later), name, now)
				}
			}
		}
		for i := range cacheWays {
			if c.get(fmt.Sprint("old ", i)) != nil {
				t.Errorf("entry %d is still there", i)
			}
		}
	})
	t.Run("expired entry leaves first", func(t *testing.T) {
		c := full()
		c.put(entryUntil(later.Add(time.Hour)), "new", later)
		if c.get("new") == nil || c.get("old 0") != nil || c.get("old 1") == nil {
			t.Error("the expired entry did not make room")
		}
	})
	t.Run("removed entry leaves room", func(t *testing.T) {
		c := full()
		c.remove(c.get("old 5"))
		if c.get("old 5") != nil || c.held() != cacheWays-1 {
			t.Fatal("still there")
		}
		c.put(entryUntil(later), "new", now)
		if c.get("new") == nil || c.held() != cacheWays {
			t.Error("its place is not used")
		}
	})
	t.Run("same token offered twice is held once", func(t *testing.T) {
		c := newTokenCache(cacheWays)
		c.put(entryUntil(later), "a", now)
		c.put(entryUntil(later), "a", now)
		if c.held() != 1 {
			t.Errorf("held %d times", c.held())
		}
	})
}

// Tokens that differ in one byte, wherever, or in length alone are different.
func TestCacheComparesTheWholeToken(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c := newTokenCache(cacheWays)
	const token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"
	c.put(entryUntil(now.Add(time.Hour)), token, now)
	for i := range len(token) {
		other := []byte(token)
		other[i] ^= 1
		if c.get(string(other)) != nil || c.get(token[:i]) != nil {
			t.Errorf("a token that differs at %d was found", i)
		}
	}
	if c.get(token) == nil || c.get(token+"=") != nil || c.get(token+"\n") != nil {
		t.Error("not found exactly")
	}
}

// Garbage is refused before it could enter: no entry, and none pushed out.
func TestGarbageEntersNothing(t *testing.T) {
	key, err := HS256("a", []byte("0f3c9a7e55d1428bb6a0e2c4971d8f36"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := NewKeySet(key)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	v, err := NewVerifier(VerifierConfig{Keys: keys, Issuer: "https://auth.example.test", CacheSize: cacheWays, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	c := Claims{Issuer: "https://auth.example.test", Subject: "1", Audience: []string{"https://auth.example.test"}, ID: "x", IssuedAt: now, ExpiresAt: now.Add(time.Hour)}
	good, err := sign(key, typeAccess, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.ExpiresAt = now.Add(-time.Second)
	c.IssuedAt = now.Add(-time.Hour)
	expired, err := sign(key, typeAccess, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		for _, bad := range []string{fmt.Sprint("garbage ", i), good[:len(good)-4] + fmt.Sprintf("%04d", i), good + ".", expired} {
			if _, err := v.Verify(t.Context(), bad); err == nil {
				t.Fatalf("accepted %q", bad)
			}
		}
	}
	if v.cache.get(good) == nil || v.cache.held() != 1 {
		t.Errorf("%d entries held, want the good one alone", v.cache.held())
	}
}
