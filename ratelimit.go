package jwtauth

import (
	"container/heap"
	"context"
	"errors"
	"hash/maphash"
	"math"
	"sync"
	"time"
)

// Rule allows Limit uses per Per, as a token bucket: Limit uses may come at
// once, and the bucket refills evenly, so that it is full again Per after it was
// emptied. Unlike with a fixed window there is no edge at which twice the limit
// passes at once: in a span d it is never more than Limit·(1 + d/Per).
//
// The zero Rule stands for the default of its route, a negative Limit for no
// limit at all.
type Rule struct {
	// Limit is the number of uses, 1 to 1,000,000.
	Limit int
	// Per is the time they are spread over, 1 s to 31 days.
	Per time.Duration
}

// The bounds keep the arithmetic exact: one nanosecond is then worth at most a
// thousandth of a use, and a span in nanoseconds fits a float64.
const (
	maxRuleLimit = 1_000_000
	minRulePer   = time.Second
	maxRulePer   = 31 * 24 * time.Hour
)

// off reports whether the rule says that there is no limit.
func (r Rule) off() bool { return r.Limit < 0 }

// validate reports what is wrong with a rule that has its default.
func (r Rule) validate() error {
	switch {
	case r.off():
		return nil
	case r.Limit == 0 || r.Limit > maxRuleLimit:
		return errors.New("limit must be between 1 and 1000000, or negative for none")
	case r.Per < minRulePer || r.Per > maxRulePer:
		return errors.New("per must be between 1 s and 31 days")
	}
	return nil
}

// refill is how long it takes to gain so many uses, rounded up: whoever waits
// that long is not told to wait again.
func (r Rule) refill(uses float64) time.Duration {
	return time.Duration(math.Ceil(uses / float64(r.Limit) * float64(r.Per)))
}

// Usage is the state of a limit after one use of it.
type Usage struct {
	// Allowed says whether this use was within the limit. A use that was
	// not is not counted.
	Allowed bool
	// Limit is that of the rule.
	Limit int
	// Remaining is how many more uses would be allowed at this moment.
	Remaining int
	// Reset is when all uses are available again, if none comes.
	Reset time.Time
	// RetryAfter is how long to wait for the next use; 0 if this one was
	// allowed.
	RetryAfter time.Duration
}

// rounded returns u as the headers of an answer state it: whole seconds, rounded
// up so that nobody comes back too early, and never a negative number or a
// Reset before the time at which a retry is invited, whatever a foreign
// [Limiter] returned.
func (u Usage) rounded(now time.Time) Usage {
	u.Limit = max(u.Limit, 0)
	u.Remaining = min(max(u.Remaining, 0), u.Limit)
	if u.Allowed {
		u.RetryAfter = 0
	} else {
		u.Remaining = 0
		u.RetryAfter = roundUp(min(max(u.RetryAfter, time.Second), maxRulePer), time.Second)
	}
	if first := now.Add(u.RetryAfter).Truncate(time.Second); u.Reset.Before(first) {
		u.Reset = first
	}
	if whole := u.Reset.Truncate(time.Second); whole.Before(u.Reset) {
		u.Reset = whole.Add(time.Second)
	}
	return u
}

// roundUp returns the multiple of unit that is not less than d.
func roundUp(d, unit time.Duration) time.Duration {
	whole := d.Truncate(unit)
	if whole < d {
		whole += unit
	}
	return whole
}

// Limiter counts requests against rules. The default, [MemoryLimiter], counts
// on one node; put one here that counts in Redis, say, for limits that several
// nodes share.
type Limiter interface {
	// Allow consumes one use of key, if the rule has one left at now. It is
	// one atomic step: of any number of concurrent callers, on any number of
	// nodes, exactly as many are allowed as the rule has uses left. The rule
	// is valid and has a positive Limit; it may change from one call to the
	// next, and what was spent under the old one stays spent. Keys are text
	// of any length.
	//
	// A key that was never used is not an error. Every error is a fault, and
	// the caller refuses the request.
	Allow(ctx context.Context, key string, rule Rule, now time.Time) (Usage, error)
}

// MemoryLimiter is a [Limiter] in the memory of one process. It has no
// goroutine and needs no closing. All methods are safe for concurrent use.
//
// Its memory is bounded. When there is no room for a new key, one whose bucket
// is full again leaves: it would be treated like a new one anyway. A bucket
// that anybody has drawn on stays, so a flood of keys never gives an attacker
// fresh attempts. While all of them are drawn on, new keys have to share a
// bucket: under a flood from more sources than MaxKeys, newcomers are limited
// together, and those already counted notice nothing.
//
// A clock that is set back refills nothing until it has caught up.
type MemoryLimiter struct {
	// MaxKeys is how many keys are counted apart, for at most 160 bytes each,
	// however long they are. Default 100,000; at least 64. Set it before the
	// first use.
	MaxKeys int

	seed   maphash.Seed
	shards [limiterShards]limiterShard
}

const (
	defaultMaxKeys = 100_000
	limiterShards  = 64
	// maxShared bounds the shared buckets of a shard, since a hook may make
	// up any number of rules.
	maxShared = 8
)

var _ Limiter = (*MemoryLimiter)(nil)

// NewMemoryLimiter returns a limiter that has counted nothing yet.
func NewMemoryLimiter() *MemoryLimiter {
	return &MemoryLimiter{MaxKeys: defaultMaxKeys, seed: maphash.MakeSeed()}
}

var (
	errNoLimiter = errors.New("jwtauth: a MemoryLimiter is made with NewMemoryLimiter")
	errNoLimit   = errors.New("jwtauth: a rule without a valid limit can't be counted")
)

// Allow implements [Limiter]. It never blocks, and so has no use for the
// context: a use counts even if the client has already hung up.
func (m *MemoryLimiter) Allow(_ context.Context, key string, rule Rule, now time.Time) (Usage, error) {
	if m.seed == (maphash.Seed{}) {
		return Usage{}, errNoLimiter
	}
	if rule.off() || rule.validate() != nil {
		return Usage{}, errNoLimit
	}
	// A key is kept as a hash of it. The seed is random: nobody can choose keys
	// that crowd one shard or share a bucket, and that two of 100,000 share one
	// by chance happens to one limiter in billions.
	id := maphash.String(m.seed, key)
	s := &m.shards[id%limiterShards]
	s.mu.Lock()
	u := s.bucket(id, rule, now, max(m.MaxKeys/limiterShards, 1)).take(rule, now)
	s.mu.Unlock()
	return u, nil
}

// limiterShard is one of the parts that lock independently.
type limiterShard struct {
	mu      sync.Mutex
	buckets map[uint64]*bucket
	// queue holds the same buckets, the first to be full again in front.
	queue bucketQueue
	// shared has the buckets of keys for which there was no room, by rule.
	shared map[Rule]*bucket
}

// bucket returns the one that counts for a key.
func (s *limiterShard) bucket(id uint64, rule Rule, now time.Time, room int) *bucket {
	if b, ok := s.buckets[id]; ok {
		return b
	}
	if len(s.buckets) >= room && !s.evict(now.UnixNano()) {
		return s.overflow(rule, now)
	}
	if s.buckets == nil {
		s.buckets = make(map[uint64]*bucket)
	}
	b := newBucket(id, rule, now)
	s.buckets[id] = b
	heap.Push(&s.queue, b)
	return b
}

// evict removes a bucket that is full again, and reports whether there was one.
func (s *limiterShard) evict(now int64) bool {
	for {
		// due is the time of an earlier use. It is corrected here rather than
		// at each use, which keeps uses cheap. (Only a change to a quicker
		// rule makes it too late: then the bucket stays for longer.)
		b := s.queue[0]
		if b.due > now {
			return false
		}
		full := b.full()
		if full <= now {
			heap.Pop(&s.queue)
			delete(s.buckets, b.id)
			return true
		}
		b.due = full
		heap.Fix(&s.queue, 0)
	}
}

// overflow returns the bucket that keys without one share. Each rule has its
// own, as long as there are few, so that a flood on one route spares the others.
func (s *limiterShard) overflow(rule Rule, now time.Time) *bucket {
	which := rule
	if _, ok := s.shared[which]; !ok && len(s.shared) >= maxShared {
		which = Rule{}
	}
	b, ok := s.shared[which]
	if !ok {
		if s.shared == nil {
			s.shared = make(map[Rule]*bucket)
		}
		b = newBucket(0, rule, now)
		s.shared[which] = b
	}
	return b
}

// bucket counts the uses of one key. It is a token bucket like that of package
// golang.org/x/time/rate, which takes more memory. Times are in Unix nanoseconds.
type bucket struct {
	id   uint64
	rule Rule
	// left is how many uses there are, with fractions, as of last.
	left float64
	// last is the latest time that was seen here.
	last int64
	// due is the place in the queue: when the bucket would have been full again
	// some uses ago.
	due int64
}

func newBucket(id uint64, rule Rule, now time.Time) *bucket {
	at := now.UnixNano()
	return &bucket{id: id, rule: rule, left: float64(rule.Limit), last: at, due: at}
}

// full is when all uses are back.
func (b *bucket) full() int64 { return b.last + int64(b.rule.refill(float64(b.rule.Limit)-b.left)) }

// take consumes one use, if there is one.
func (b *bucket) take(rule Rule, now time.Time) Usage {
	b.advance(now.UnixNano())
	b.follow(rule)
	allowed := b.left >= 1-rule.forgiven()
	if allowed {
		b.left--
	}
	// behind is how far now lies before the latest time that was seen: by a
	// little, always, when callers run concurrently.
	behind := time.Duration(b.last - now.UnixNano())
	u := Usage{Allowed: allowed, Limit: rule.Limit, Remaining: rule.whole(b.left),
		Reset: now.Add(behind + rule.refill(float64(rule.Limit)-b.left))}
	if !allowed {
		u.RetryAfter = behind + rule.refill(1-b.left)
	}
	return u
}

// advance adds what came back until now. A clock that goes back gives nothing:
// the same span of time would count twice.
func (b *bucket) advance(now int64) {
	if now <= b.last {
		return
	}
	back := float64(now-b.last) / float64(b.rule.Per) * float64(b.rule.Limit)
	b.left = min(b.left+back, float64(b.rule.Limit))
	b.last = now
}

// follow makes rule the one that counts from now on. The part that is spent
// stays the same: who had used up three of five has used up six of ten. So
// neither a new rule nor going back and forth between two gives anything back.
func (b *bucket) follow(rule Rule) {
	if rule != b.rule {
		b.left = max(b.left, 0) / float64(b.rule.Limit) * float64(rule.Limit)
		b.rule = rule
	}
}

// forgiven is what comes back within half a nanosecond. Without that, rounding
// would now and then refuse a use at the very moment that was announced.
func (r Rule) forgiven() float64 { return float64(r.Limit) / float64(r.Per) / 2 }

// whole is how many uses a bucket with that content allows.
func (r Rule) whole(left float64) int { return max(int(left+r.forgiven()), 0) }

// bucketQueue implements [heap.Interface], ordered by due.
type bucketQueue []*bucket

func (q bucketQueue) Len() int           { return len(q) }
func (q bucketQueue) Less(i, j int) bool { return q[i].due < q[j].due }
func (q bucketQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push adds a bucket at the end.
func (q *bucketQueue) Push(x any) { *q = append(*q, x.(*bucket)) }

// Pop removes the bucket at the end.
func (q *bucketQueue) Pop() any {
	last := len(*q) - 1
	b := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return b
}
