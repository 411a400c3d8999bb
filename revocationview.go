package jwtauth

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// RevocationViewConfig says how far a [RevocationView] may rely on what it knows.
type RevocationViewConfig struct {
	// Staleness is how old an answer may be: a token that was revoked on
	// another node is refused on this one at most so long after, also when
	// every message about it is lost. 0 means that the store is asked every
	// time. At most 10 min.
	Staleness time.Duration
	// Feed tells what other nodes revoke, so that it is refused here as soon
	// as the message arrives. Nil: answers are kept for Staleness. With a feed
	// they are kept only while it is known to work; see [RevocationView.Run].
	Feed RevocationFeed
	// MaxEntries bounds the memory, at about 300 bytes each. Default 100,000.
	MaxEntries int
	// StoreTimeout is how long one call of the store may take, as
	// [Config.StoreTimeout], and how long Publish of the feed may. Default 3 s.
	StoreTimeout time.Duration
	// Logger gets a line when the feed is lost and when it is back. Default:
	// slog.Default.
	Logger *slog.Logger
}

// RevocationFeed carries revocations from node to node: a hint to ask again, and
// never more than that.
type RevocationFeed interface {
	// Publish tells the other nodes. It is called after the store has the
	// revocation. A feed whose store tells by itself does nothing.
	Publish(ctx context.Context, r Revocation) error
	// Follow reports what others revoke until ctx ends or the connection is
	// lost, and returns why. It calls live once it is certain to hear of
	// every Revoke that returns from then on, and again after any gap that it
	// went on from; then heard for each, of which TokenID, SessionID, UserID
	// and From count. A message that it can't read is a gap. It must notice
	// a connection that is silently dead.
	Follow(ctx context.Context, live func(), heard func(Revocation)) error
}

// RevocationView is a [RevocationStore] in front of another one, for several
// nodes: it remembers answers, so that most checks cost no round trip. Put it
// into [Config.Revocations] or [VerifierConfig.Revocations]. It is safe for
// concurrent use.
//
// # What it guarantees
//
// A token that the store knew to be revoked at some time is refused from
// Staleness after that time on, whatever happens to messages, connections and
// other nodes. What is revoked through the view itself is refused at once, on
// this node. With a feed that works, what is revoked anywhere is refused when
// its message arrives.
//
// It remembers two kinds of answer. "Revoked" is for good, as revocations are.
// "Not revoked" is about one token at one generation and one version, and is
// forgotten when it is too old, when the token, its session or its user is
// mentioned by a revocation, and when the feed is lost. While a watermark is
// known that begins in a moment, the session is not remembered at all.
//
// A store that does not answer is a fault: nothing is accepted because it was
// accepted before.
type RevocationView struct {
	store     RevocationStore
	feed      RevocationFeed
	staleness time.Duration
	timeout   time.Duration
	log       *slog.Logger

	seed   maphash.Seed
	shards [viewShards]viewShard
	places [viewPlaces]viewPlace

	// epoch is 0 while answers must not be remembered; else each answer is
	// good for the epoch that it was asked in.
	epoch  atomic.Uint64
	epochs atomic.Uint64

	hits, asked, connected atomic.Uint64
}

var _ RevocationStore = (*RevocationView)(nil)

const (
	viewShards = 64
	// viewPlaces are counters that tokens, sessions and users share by hash.
	// Two that meet cost a question more.
	viewPlaces     = 1 << 15
	defaultEntries = 100_000
	maxStaleness   = 10 * time.Minute
	// maxViewKey bounds what is remembered of one token.
	maxViewKey = 512
	// feedRetry is how long to wait before the feed is followed again: between
	// the two.
	minFeedRetry, maxFeedRetry = 50 * time.Millisecond, 2 * time.Second
)

// viewPlace counts what was revoked among the ids that it stands for.
type viewPlace struct {
	changes atomic.Uint64
	// begins is when the last watermark for the future begins, in Unix
	// seconds rounded up.
	begins atomic.Int64
}

// viewShard is a part of the memory with its own lock. When recent is full it
// becomes older, and what was older is forgotten unless it was used meanwhile.
type viewShard struct {
	mu            sync.RWMutex
	recent, older map[viewKey]viewAnswer
	most          int // in recent
}

// viewKey is a token as far as revocations are concerned.
type viewKey struct {
	tokenID, sessionID, userID string
	generation, version        int64
}

type viewAnswer struct {
	revoked bool
	at      time.Time // not later than the question
	epoch   uint64
	changes [3]uint64 // of the token, the session and the user, before the question
}

// NewRevocationView returns a view of a store. Without a feed it is ready; with
// one, [RevocationView.Run] has to run, and until then every check asks.
func NewRevocationView(store RevocationStore, cfg RevocationViewConfig) (*RevocationView, error) {
	defaultTo(&cfg.MaxEntries, defaultEntries)
	defaultTo(&cfg.StoreTimeout, defaultStoreTimeout)
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	var errs []error
	add := func(bad bool, text string) {
		if bad {
			errs = append(errs, errors.New("jwtauth: "+text))
		}
	}
	add(store == nil, "a RevocationView needs a store")
	add(cfg.Staleness < 0 || cfg.Staleness > maxStaleness, "RevocationViewConfig.Staleness must be between 0 and 10 min")
	add(cfg.MaxEntries < viewShards, "RevocationViewConfig.MaxEntries must be at least 64")
	add(cfg.StoreTimeout < minStoreTimeout || cfg.StoreTimeout > maxStoreTimeout, "RevocationViewConfig.StoreTimeout must be between 10ms and 1m")
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	v := &RevocationView{store: boundRevocations(store, cfg.StoreTimeout, cfg.Logger), feed: cfg.Feed,
		staleness: cfg.Staleness, timeout: cfg.StoreTimeout, log: cfg.Logger, seed: maphash.MakeSeed()}
	for i := range v.shards {
		// Two maps of half the size each.
		v.shards[i].recent = make(map[viewKey]viewAnswer)
		v.shards[i].most = max(cfg.MaxEntries/viewShards/2, 1)
	}
	if v.feed == nil {
		v.epoch.Store(1)
	}
	return v, nil
}

// behind finds the optional parts of the store.
func (v *RevocationView) behind() (any, *patience) { return v.store, nil }

// Run follows the feed until ctx ends, and returns why it ended. While the feed
// does not work every check asks the store; after a fault it is tried again,
// within two seconds. Without a feed Run only waits.
func (v *RevocationView) Run(ctx context.Context) error {
	if v.feed == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	for wait := minFeedRetry; ; wait = min(2*wait, maxFeedRetry) {
		began := time.Now()
		err := v.follow(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		v.log.Warn("feed of revocations lost; the store is asked every time", "error", err)
		if time.Since(began) > maxFeedRetry {
			wait = minFeedRetry
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// follow is one connection of the feed.
func (v *RevocationView) follow(ctx context.Context) error {
	defer v.epoch.Store(0) // also if the feed panics
	live := func() {
		v.epoch.Store(v.epochs.Add(1))
		v.connected.Add(1)
		v.log.Info("feed of revocations works")
	}
	return v.feed.Follow(ctx, live, v.forget)
}

// Revoke implements [RevocationStore]. The other nodes are told on the way; if
// that fails they find out by themselves, within their Staleness.
func (v *RevocationView) Revoke(ctx context.Context, r Revocation) error {
	err := v.store.Revoke(ctx, r)
	// After a fault as well: it may have been done.
	v.forget(r)
	if err != nil || v.feed == nil {
		return err
	}
	if err := v.publish(ctx, r); err != nil {
		v.log.WarnContext(ctx, "other nodes are not told of a revocation; they find out when they ask", "error", err)
	}
	return nil
}

// publish tells the other nodes, in the time that a call of the store may take:
// also when the client goes away meanwhile, since the store knows already.
func (v *RevocationView) publish(ctx context.Context, r Revocation) error {
	var failed error
	err := contained(context.WithoutCancel(ctx), v.timeout, func(ctx context.Context) { failed = v.feed.Publish(ctx, r) })
	if err != nil {
		return fmt.Errorf("the feed: %w", err)
	}
	return failed
}

// forget makes the next check of everything that a revocation mentions ask.
func (v *RevocationView) forget(r Revocation) {
	if r.TokenID != "" {
		v.place('t', r.TokenID).changes.Add(1)
	}
	if r.UserID != "" {
		v.place('u', r.UserID).changes.Add(1)
	}
	if r.SessionID == "" {
		return
	}
	p := v.place('s', r.SessionID)
	if !r.From.IsZero() {
		raise(&p.begins, leavesAt(r.From))
	}
	p.changes.Add(1) // the last, so that whoever sees it sees begins too
}

// raise sets a to v if that is more.
func raise(a *atomic.Int64, v int64) {
	for old := a.Load(); old < v && !a.CompareAndSwap(old, v); old = a.Load() {
	}
}

func (v *RevocationView) place(kind byte, id string) *viewPlace {
	var h maphash.Hash
	h.SetSeed(v.seed)
	_ = h.WriteByte(kind)
	_, _ = h.WriteString(id)
	return &v.places[h.Sum64()%viewPlaces]
}

// Revoked implements [RevocationStore].
func (v *RevocationView) Revoked(ctx context.Context, ref TokenRef) (bool, error) {
	if err := ctx.Err(); err != nil {
		return true, err
	}
	key := viewKey{ref.TokenID, ref.SessionID, ref.UserID, ref.Generation, ref.Version}
	if v.staleness == 0 || len(ref.TokenID)+len(ref.SessionID)+len(ref.UserID) > maxViewKey {
		return v.ask(ctx, ref)
	}
	shard := &v.shards[maphash.Comparable(v.seed, key)%viewShards]
	now := v.current(ref)
	if old, ok := shard.get(key); ok && v.holds(old, now) {
		v.hits.Add(1)
		return old.revoked, nil
	}
	// now was taken before the question: what is revoked meanwhile changes
	// it, and the answer is then not believed again.
	revoked, err := v.ask(ctx, ref)
	if err != nil {
		return true, err
	}
	now.revoked = revoked
	if revoked || v.mayKeep(now, ref) {
		shard.put(key, now)
	}
	return revoked, nil
}

func (v *RevocationView) ask(ctx context.Context, ref TokenRef) (bool, error) {
	v.asked.Add(1)
	return v.store.Revoked(ctx, ref)
}

// current is the state that an answer from now on belongs to. The epoch is read
// first: it ends before anything can be missed.
func (v *RevocationView) current(ref TokenRef) viewAnswer {
	return viewAnswer{at: ref.Now, epoch: v.epoch.Load(), changes: [3]uint64{
		v.place('t', ref.TokenID).changes.Load(),
		v.place('s', ref.SessionID).changes.Load(),
		v.place('u', ref.UserID).changes.Load(),
	}}
}

// holds reports whether an answer is still good. A clock that was set back makes
// answers from the future, which are not.
func (v *RevocationView) holds(old, now viewAnswer) bool {
	if old.revoked {
		return true
	}
	age := now.at.Sub(old.at)
	return now.epoch != 0 && old.epoch == now.epoch && old.changes == now.changes && age >= 0 && age < v.staleness
}

// mayKeep reports whether "not revoked" can be remembered: not without the feed,
// and not while a watermark of the session is known to begin later.
func (v *RevocationView) mayKeep(answer viewAnswer, ref TokenRef) bool {
	return answer.epoch != 0 && v.place('s', ref.SessionID).begins.Load() <= ref.Now.Unix()
}

func (s *viewShard) get(key viewKey) (viewAnswer, bool) {
	s.mu.RLock()
	a, ok := s.recent[key]
	old := false
	if !ok {
		a, old = s.older[key]
	}
	s.mu.RUnlock()
	if old {
		s.put(key, a)
	}
	return a, ok || old
}

// put keeps copies of the ids: they may be parts of a whole token, which would
// stay in memory.
func (s *viewShard) put(key viewKey, a viewAnswer) {
	key.tokenID, key.sessionID, key.userID = strings.Clone(key.tokenID), strings.Clone(key.sessionID), strings.Clone(key.userID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.recent[key]; !ok && len(s.recent) >= s.most {
		s.older, s.recent = s.recent, make(map[viewKey]viewAnswer)
	}
	s.recent[key] = a
}

// RevocationViewStats are counts since the start.
type RevocationViewStats struct {
	// Live says whether answers are remembered: there is no feed, or it works.
	Live bool
	// Remembered is how many checks needed no question, Asked how many did.
	Remembered, Asked uint64
	// Connected is how often the feed began to work.
	Connected uint64
}

// Stats returns the counts, for metrics.
func (v *RevocationView) Stats() RevocationViewStats {
	return RevocationViewStats{Live: v.epoch.Load() != 0, Remembered: v.hits.Load(), Asked: v.asked.Load(), Connected: v.connected.Load()}
}
