package jwtauth

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// tokenCache remembers tokens that a gate has accepted, so that their next
// request costs a look-up instead of a signature. Its key is the whole text of a
// token, compared exactly: there is nothing about it that a caller could choose,
// and no two tokens share an entry. Whether an entry still counts (its times,
// its key, whether it is revoked) is for the owner to check at each hit.
//
// It is split into sets of eight places, each with a lock for writers. Reading
// takes none. A set that is full admits a token when it comes for the second
// time, in place of the one that was used least: tokens that are used once,
// however many, push nobody out.
type tokenCache struct {
	seed maphash.Seed
	sets []cacheSet
}

// cachedToken is immutable once it is in the cache.
type cachedToken struct {
	text     string
	key      Key // that the signature was verified with
	identity Identity
}

const (
	// cacheWays is how many places a set has.
	cacheWays = 8
	// cacheMemory is how many tokens a set remembers that came once, by 16
	// bits of their hash: a few times as many as it has places.
	cacheMemory = 32
	// cacheUses bounds what an entry gains by being used, and so how long it
	// stays when its use has ended.
	cacheUses = 7
	// cacheNew is what a token has that came for the second time, so that the
	// next one which does takes the place of another.
	cacheNew = 2
	// cacheTail is how much of a token says where it lies, in bytes. Whether
	// it is the one that lies there depends on every byte.
	cacheTail = 64
)

type cacheSet struct {
	tags   [cacheWays]atomic.Uint32 // part of the hash, to spare the look at a place
	places [cacheWays]atomic.Pointer[cachedToken]
	uses   [cacheWays]atomic.Uint32

	mu   sync.Mutex       // held by whoever changes what follows, tags or places
	ends [cacheWays]int64 // when each expires, in Unix seconds
	once [cacheMemory]uint16
	next int // in once
}

// newTokenCache makes a cache for size tokens, rounded up to whole sets; nil,
// which holds nothing, for a size that is not positive.
func newTokenCache(size int) *tokenCache {
	if size <= 0 {
		return nil
	}
	return &tokenCache{seed: maphash.MakeSeed(), sets: make([]cacheSet, (size+cacheWays-1)/cacheWays)}
}

// locate returns the set of a token and its tag in it. Both follow from the end
// of the text: a signature, which is as good as random, and quick to hash. The
// seed is random too: nobody can choose tokens that crowd one set.
func (c *tokenCache) locate(text string) (s *cacheSet, tag uint32) {
	sum := maphash.String(c.seed, text[max(0, len(text)-cacheTail):])
	return &c.sets[(sum>>32)*uint64(len(c.sets))>>32], uint32(sum)
}

// get returns the entry of exactly this token, or nil.
func (c *tokenCache) get(text string) *cachedToken {
	if c == nil {
		return nil
	}
	s, tag := c.locate(text)
	for i := range s.places {
		if s.tags[i].Load() != tag {
			continue
		}
		if e := s.places[i].Load(); e != nil && e.text == text {
			// Lost counts do no harm, and one that is full is not written.
			if n := s.uses[i].Load(); n < cacheUses {
				s.uses[i].Store(n + 1)
			}
			return e
		}
	}
	return nil
}

// put offers an entry whose token was accepted at now, and sets its text. The
// text is copied: it may be part of a longer one, which would stay in memory.
func (c *tokenCache) put(e *cachedToken, text string, now time.Time) {
	if c == nil {
		return
	}
	s, tag := c.locate(text)
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.place(text, tag, now.Unix()); i >= 0 {
		e.text = strings.Clone(text)
		s.ends[i] = e.identity.Claims.ExpiresAt.Unix()
		s.places[i].Store(e)
		s.tags[i].Store(tag)
	}
}

// place returns where the token goes, or -1.
func (s *cacheSet) place(text string, tag uint32, now int64) int {
	free, least := -1, 0
	for i := range s.places {
		e := s.places[i].Load()
		switch {
		case e != nil && s.tags[i].Load() == tag && e.text == text:
			return -1 // verified twice at the same time
		case e == nil || s.ends[i] <= now:
			free = i
			s.uses[i].Store(0)
		case s.uses[i].Load() < s.uses[least].Load():
			least = i
		}
	}
	switch {
	case free >= 0:
		return free
	case !s.seen(uint16(tag)):
		return -1
	}
	s.age()
	s.uses[least].Store(cacheNew)
	return least
}

// seen reports whether a token of this tag was offered lately, and notes it.
func (s *cacheSet) seen(tag uint16) bool {
	for i := range s.once {
		if s.once[i] == tag {
			s.once[i] = 0
			return true
		}
	}
	s.once[s.next] = tag
	s.next = (s.next + 1) % cacheMemory
	return false
}

// age takes one use from each entry, so that those no longer used leave in the end.
func (s *cacheSet) age() {
	for i := range s.uses {
		if n := s.uses[i].Load(); n > 0 {
			s.uses[i].Store(n - 1)
		}
	}
}

// remove drops the entry of a token, if it is e.
func (c *tokenCache) remove(e *cachedToken) {
	s, _ := c.locate(e.text)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.places {
		if s.places[i].Load() == e {
			s.places[i].Store(nil)
			s.tags[i].Store(0)
		}
	}
}
