package jwtauth

import (
	"container/heap"
	"math"
	"sync/atomic"
	"time"
)

// expiring is a map whose entries leave some time after they expired. It does
// not lock and does not judge: whether an entry still counts is decided by its
// owner, exactly, by the time in the arguments. Leaving only frees memory.
//
// A heap knows which entry expires next, so a write pays for the few entries
// that it drops and never for a walk over those that stay.
type expiring[V any] struct {
	entries map[string]*expiringEntry[V]
	next    expiryHeap[V]
}

type expiringEntry[V any] struct {
	value V
	key   string
	until int64 // Unix seconds, see leavesAt
	at    int   // the place in the heap
}

func newExpiring[V any]() expiring[V] {
	return expiring[V]{entries: make(map[string]*expiringEntry[V])}
}

// get returns the value in place, or nil.
func (m *expiring[V]) get(key string) *V {
	e := m.entries[key]
	if e == nil {
		return nil
	}
	return &e.value
}

// put adds an entry or replaces the one with that key.
func (m *expiring[V]) put(key string, until int64, value V) *V {
	e := m.entries[key]
	if e == nil {
		e = &expiringEntry[V]{key: key, until: until, value: value}
		m.entries[key] = e
		heap.Push(&m.next, e)
		return &e.value
	}
	e.value, e.until = value, until
	heap.Fix(&m.next, e.at)
	return &e.value
}

// delete removes the entry with that key, if there is one.
func (m *expiring[V]) delete(key string) {
	if e := m.entries[key]; e != nil {
		heap.Remove(&m.next, e.at)
		delete(m.entries, key)
	}
}

// expired returns an entry that leaves at that time or before, or nil.
func (m *expiring[V]) expired(at int64) *V {
	if len(m.next) == 0 || m.next[0].until > at {
		return nil
	}
	return &m.next[0].value
}

// sweepStep is how many expired entries one write drops at most. It adds one,
// so any number above one catches up; a small one keeps the write short.
const sweepStep = 16

// sweep drops some of the entries that left at that time or before.
func (m *expiring[V]) sweep(at int64) {
	for range sweepStep {
		if m.expired(at) == nil {
			return
		}
		m.delete(m.next[0].key)
	}
}

// makeRoom reports whether an entry can be added to at most most. It drops
// one that has expired if need be, and never one that has not.
func (m *expiring[V]) makeRoom(most int, now time.Time) bool {
	if len(m.entries) < most {
		return true
	}
	if m.expired(now.Unix()) == nil {
		return false
	}
	m.delete(m.next[0].key)
	return true
}

// never is the end of what stays for good.
const never int64 = math.MaxInt64

// leavesAt rounds up: what expires within a second stays until it is over.
func leavesAt(expires time.Time) int64 {
	return min(expires.Unix(), never-1) + 1
}

// lastSeen is the time that a [MemoryStore] was given last. It stands in for a
// clock in methods without a time, and is good for freeing memory only.
//
// It is the last time and not the latest one: after a clock that leapt into
// the future was set right, the store is right again as well.
type lastSeen struct{ unix atomic.Int64 }

// sweepMargin is how long an entry stays after it expired. Callers whose
// clocks differ by less, or a clock that is set back by less, never miss what
// another caller made leave. It is the largest leeway that tokens may have.
const sweepMargin = maxLeeway

func (c *lastSeen) see(now time.Time) {
	if unix := now.Unix(); unix != c.unix.Load() {
		c.unix.Store(unix)
	}
}

// past is the moment up to which everything has safely expired.
func (c *lastSeen) past() int64 { return c.unix.Load() - int64(sweepMargin/time.Second) }

// expiryHeap implements [heap.Interface], the next one to expire first.
type expiryHeap[V any] []*expiringEntry[V]

func (h expiryHeap[V]) Len() int           { return len(h) }
func (h expiryHeap[V]) Less(i, j int) bool { return h[i].until < h[j].until }

func (h expiryHeap[V]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

func (h *expiryHeap[V]) Push(x any) {
	e := x.(*expiringEntry[V])
	e.at = len(*h)
	*h = append(*h, e)
}

func (h *expiryHeap[V]) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil // or the array would keep the entry alive
	*h = (*h)[:last]
	return e
}
