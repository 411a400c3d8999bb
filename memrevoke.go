package jwtauth

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// memoryRevocations is the [RevocationStore] of a [MemoryStore]. Every request
// asks it, so asking takes no lock.
type memoryRevocations struct {
	clock    *lastSeen
	tokens   *revocationTable[struct{}]
	sessions *revocationTable[[]generationMark]
	users    *revocationTable[int64] // credential versions below are refused
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
		m.tokens.merge(r.TokenID, until, past, func(*struct{}) *struct{} { return &struct{}{} })
	}
	if r.SessionID != "" {
		mark := generationMark{below: r.Generation, from: r.From}
		m.sessions.merge(r.SessionID, until, past, func(old *[]generationMark) *[]generationMark {
			return withMark(old, mark, past)
		})
	}
	if r.UserID != "" {
		m.users.merge(r.UserID, until, past, func(old *int64) *int64 {
			if old != nil && *old >= r.Version {
				return old
			}
			version := r.Version // alone: r is larger
			return &version
		})
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
	if m.tokens.find(ref.TokenID) != nil {
		return true, nil
	}
	if version := m.users.find(ref.UserID); version != nil && ref.Version < *version {
		return true, nil
	}
	marks := m.sessions.find(ref.SessionID)
	return marks != nil && refuses(*marks, ref.Generation, ref.Now), nil
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

// over is the mark of a session that has ended, which most have.
var over = []generationMark{{below: AllGenerations}}

// withMark returns what addMark makes of old, which others read meanwhile.
func withMark(old *[]generationMark, add generationMark, past int64) *[]generationMark {
	if over[0].covers(add) && add.covers(over[0]) {
		return &over
	}
	var marks []generationMark
	if old != nil {
		marks = slices.Clone(*old)
	}
	marks = addMark(marks, add, past)
	return &marks
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

// revocationTable holds one kind of entry. It is an open hash table, split by
// key into shards, which readers look through while writers add to it: a slot is
// filled before the word that makes it visible, and a table that gets too full
// is copied and exchanged as a whole.
//
// Keys are kept as 127 bits of their hash under random seeds, which is a third
// of the memory. Two keys with the same bits would share an entry. Nobody can
// look for them, and by chance it happens to one in 10³⁸; a token would then be
// refused, never accepted.
type revocationTable[V any] struct {
	seeds  [2]maphash.Seed
	filled atomic.Bool // by the first entry: an empty table costs nothing
	shards [revocationShards]revocationShard[V]
}

// revocationShards is a power of two well above the number of CPUs.
const revocationShards = 64

type revocationShard[V any] struct {
	slots atomic.Pointer[[]revocationSlot[V]] // never full

	mu     sync.Mutex // held by whoever changes slots
	used   int
	writes int   // since the last copy
	first  int64 // when the first entry leaves
}

type revocationSlot[V any] struct {
	low, high atomic.Uint64 // low is 0 in a free slot, and set last
	value     atomic.Pointer[V]
	until     int64 // for writers
}

func newRevocationTable[V any]() *revocationTable[V] {
	t := &revocationTable[V]{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
	for i := range t.shards {
		t.shards[i].slots.Store(new([]revocationSlot[V]))
		t.shards[i].first = never
	}
	return t
}

// find returns the value of key, or nil.
func (t *revocationTable[V]) find(key string) *V {
	if !t.filled.Load() {
		return nil
	}
	low := t.low(key)
	slots := *t.shard(low).slots.Load()
	for i := range probe(low, len(slots)) {
		switch slots[i].low.Load() {
		case 0:
			return nil
		case low:
			if slots[i].high.Load() == t.high(key) {
				return slots[i].value.Load()
			}
		}
	}
	return nil
}

func (t *revocationTable[V]) low(key string) uint64  { return maphash.String(t.seeds[0], key) | 1 }
func (t *revocationTable[V]) high(key string) uint64 { return maphash.String(t.seeds[1], key) }

func (t *revocationTable[V]) shard(low uint64) *revocationShard[V] {
	return &t.shards[low>>1%revocationShards]
}

// probe yields the places of n where a key may be, in their order.
func probe(low uint64, n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		i := int(low >> 32 * uint64(n) >> 32)
		for range n {
			if !yield(i) {
				return
			}
			if i++; i == n {
				i = 0
			}
		}
	}
}

// merge replaces the value of key by what change makes of it, or of nil. What
// was read before must not change. An entry never leaves earlier than it would
// have.
func (t *revocationTable[V]) merge(key string, until, past int64, change func(*V) *V) {
	low, high := t.low(key), t.high(key)
	s := t.shard(low)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.makeRoom(past)
	t.filled.Store(true)
	slots := *s.slots.Load()
	for i := range probe(low, len(slots)) {
		slot := &slots[i]
		switch slot.low.Load() {
		case 0:
			s.used++
			s.first = min(s.first, until)
			slot.until = until
			slot.value.Store(change(nil))
			slot.high.Store(high)
			slot.low.Store(low)
			return
		case low:
			if slot.high.Load() == high {
				slot.until = max(slot.until, until)
				slot.value.Store(change(slot.value.Load()))
				return
			}
		}
	}
}

// makeRoom copies the entries into a table that is half full, when there is no
// room for another or when some left at the time past or before. Each copy is
// paid for by the writes before it, a part of what it copies.
func (s *revocationShard[V]) makeRoom(past int64) {
	s.writes++
	old := *s.slots.Load()
	full := (s.used+1)*4 > len(old)*3
	stale := s.first <= past && s.writes > s.used/8
	if !full && !stale {
		return
	}
	kept := 0
	for i := range old {
		if old[i].low.Load() != 0 && old[i].until > past {
			kept++
		}
	}
	slots := make([]revocationSlot[V], 2*(kept+4))
	s.used, s.writes, s.first = kept, 0, never
	for i := range old {
		if old[i].low.Load() != 0 && old[i].until > past {
			s.first = min(s.first, old[i].until)
			place(slots, &old[i])
		}
	}
	s.slots.Store(&slots)
}

// place copies a slot into a table that nobody reads yet.
func place[V any](slots []revocationSlot[V], from *revocationSlot[V]) {
	low := from.low.Load()
	for i := range probe(low, len(slots)) {
		if slots[i].low.Load() == 0 {
			slots[i].until = from.until
			slots[i].value.Store(from.value.Load())
			slots[i].high.Store(from.high.Load())
			slots[i].low.Store(low)
			return
		}
	}
}
