package jwtauth

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"sync"
	"time"
)

// memoryRevocations is the [RevocationStore] of a [MemoryStore]. Every request
// asks it, so its locks are split: a check shares its three with few others,
// and a write holds one for an instant.
type memoryRevocations struct {
	clock    *lastSeen
	tokens   revocationTable[struct{}]
	sessions revocationTable[[]generationMark]
	users    revocationTable[int64] // credential versions below are refused
}

func newMemoryRevocations(clock *lastSeen) memoryRevocations {
	return memoryRevocations{
		clock:    clock,
		tokens:   newRevocationTable[struct{}](),
		sessions: newRevocationTable[[]generationMark](),
		users:    newRevocationTable[int64](),
	}
}

// Revoke implements [RevocationStore]. Until it returns, a check at the same
// time may see some of its parts. A Revocation without Expires stays for good,
// and one that names nothing is an error: both would otherwise let pass what
// the caller believes to be revoked.
func (m *memoryRevocations) Revoke(ctx context.Context, r Revocation) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.TokenID == "" && r.SessionID == "" && r.UserID == "" {
		return errors.New("memory store: revocation names nothing")
	}
	until, past := never, m.clock.past()
	if !r.Expires.IsZero() {
		until = leavesAt(r.Expires)
	}
	if r.TokenID != "" {
		m.tokens.merge(r.TokenID, until, past, func(old struct{}) struct{} { return old })
	}
	if r.SessionID != "" {
		mark := generationMark{below: r.Generation, from: r.From}
		m.sessions.merge(r.SessionID, until, past, func(old []generationMark) []generationMark {
			return addMark(old, mark, past)
		})
	}
	if r.UserID != "" {
		m.users.merge(r.UserID, until, past, func(old int64) int64 { return max(old, r.Version) })
	}
	return nil
}

// Revoked implements [RevocationStore]. An entry that is still there counts,
// whether or not it has expired: then so have the tokens that it concerns.
func (m *memoryRevocations) Revoked(ctx context.Context, ref TokenRef) (bool, error) {
	if err := ctx.Err(); err != nil {
		return true, err
	}
	m.clock.see(ref.Now)
	listed := func(struct{}) bool { return true }
	below := func(version int64) bool { return ref.Version < version }
	marked := func(marks []generationMark) bool { return refuses(marks, ref.Generation, ref.Now) }
	return m.tokens.check(ref.TokenID, listed) ||
		m.users.check(ref.UserID, below) ||
		m.sessions.check(ref.SessionID, marked), nil
}

// generationMark refuses the generations of a session below one, from a time
// on. A session has several while a refresh is in its grace window.
type generationMark struct {
	below int64
	from  time.Time // zero: at once
}

// covers reports whether m refuses whatever other does, at every time.
func (m generationMark) covers(other generationMark) bool {
	return m.below >= other.below && !m.from.After(other.from)
}

// maxMarks bounds what a client that refreshes without end makes us keep.
const maxMarks = 64

// addMark returns marks with one more and without those that it covers. They
// are sorted: a higher one that did not begin later would cover a lower one. The
// result never refuses less than marks did.
func addMark(marks []generationMark, add generationMark, past int64) []generationMark {
	if slices.ContainsFunc(marks, func(m generationMark) bool { return m.covers(add) }) {
		return marks
	}
	marks = slices.DeleteFunc(marks, add.covers)
	at, _ := slices.BinarySearchFunc(marks, add.below, func(m generationMark, below int64) int {
		return cmp.Compare(m.below, below)
	})
	marks = slices.Insert(marks, at, add)
	for len(marks) > maxMarks || len(marks) > 1 && marks[1].from.Unix() <= past {
		// The two lowest become one that refuses what either does. Once both
		// have begun that changes nothing; beyond maxMarks it refuses
		// generations that are dozens of refreshes old a little early.
		marks[1].from = marks[0].from
		marks = slices.Delete(marks, 0, 1)
	}
	return marks
}

// refuses reports whether one of the marks is about the generation at now.
func refuses(marks []generationMark, generation int64, now time.Time) bool {
	for _, m := range marks {
		if generation < m.below && !m.from.After(now) {
			return true
		}
	}
	return false
}

// revocationTable holds one kind of entry. It is split by key into shards.
type revocationTable[V any] struct {
	seed   maphash.Seed
	shards [revocationShards]revocationShard[V]
}

// revocationShards is a power of two well above the number of CPUs.
const revocationShards = 64

type revocationShard[V any] struct {
	mu      *sync.RWMutex
	entries expiring[V]
}

func newRevocationTable[V any]() revocationTable[V] {
	t := revocationTable[V]{seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i] = revocationShard[V]{mu: new(sync.RWMutex), entries: newExpiring[V]()}
	}
	return t
}

func (t *revocationTable[V]) shard(key string) *revocationShard[V] {
	return &t.shards[maphash.String(t.seed, key)%revocationShards]
}

// merge replaces the value of key by what change makes of it, or of the zero
// value. An entry never leaves earlier than it would have.
func (t *revocationTable[V]) merge(key string, until, past int64, change func(V) V) {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries.sweep(past)
	var old V
	if v := s.entries.get(key); v != nil {
		old = *v
	}
	s.entries.put(key, max(until, s.entries.until(key)), change(old))
}

// check reports whether there is a value for key that applies.
func (t *revocationTable[V]) check(key string, applies func(V) bool) bool {
	s := t.shard(key)
	s.mu.RLock()
	defer s.mu.RUnlock()
	v := s.entries.get(key)
	return v != nil && applies(*v)
}
