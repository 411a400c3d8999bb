package jwtauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync/atomic"
	"time"
)

// What happens while something does not answer is the same everywhere: the
// request is refused with [ErrUnavailable], 503 and Retry-After. Users, sessions,
// revocations, codes, counters and the audit trail have no other way, since each
// of them, taken for empty, would let somebody in. The limit on the rate of
// requests is the one exception that a host can choose, by
// [LimitConfig.DangerouslyAllowWhenDown].
//
// A store that hangs is one that is down: each call ends after
// [Config.StoreTimeout], whether or not the store looks at its context.

const (
	defaultStoreTimeout = 3 * time.Second
	minStoreTimeout     = 10 * time.Millisecond
	maxStoreTimeout     = time.Minute
	// bulk is how many times the limit work on many rows gets.
	bulk = 10
)

// errSilent is the cause of what a caller gets instead of an answer.
var errSilent = errors.New("the store did not answer in time")

// patience is how long one store is waited for. While nothing comes from it,
// nobody else waits: calls are refused at once, but for one from time to time
// that finds out whether it is back. So an outage holds neither requests nor
// memory, and ends by itself.
type patience struct {
	store any // that it is about
	name  string
	limit time.Duration
	log   *slog.Logger

	start    time.Time    // of the clock of the two below
	answered atomic.Int64 // when the last answer came
	next     atomic.Int64 // when the next try is due; 0 while it answers
}

// clock is the time since start, at least 1.
func (p *patience) clock() int64 { return int64(time.Since(p.start)) + 1 }

// mayAsk reports whether to call the store at all.
func (p *patience) mayAsk() bool {
	due := p.next.Load()
	if due == 0 {
		return true
	}
	now := p.clock()
	return now >= due && p.next.CompareAndSwap(due, now+int64(p.limit)/10)
}

// heard is called with every answer, a fault included: the store is there.
func (p *patience) heard() {
	p.answered.Store(p.clock())
	if p.next.Load() != 0 && p.next.Swap(0) != 0 {
		p.log.Info("store answers again", "store", p.name)
	}
}

// missed is called when a call that began at that time had no answer. If there
// was one to another call meanwhile, the store is not silent but slow at this.
func (p *patience) missed(began int64) {
	if p.answered.Load() > began {
		return
	}
	if p.next.CompareAndSwap(0, p.clock()+int64(p.limit)/10) {
		p.log.Error("store does not answer; requests that need it are refused", "store", p.name, "waited", p.limit)
	}
}

// ask calls a store and returns within its time, whatever the store does. One
// that ignores its context goes on by itself; what it then does is done all the
// same, as with an answer that got lost on the way.
//
// Without patience it only calls.
func ask[T any](ctx context.Context, p *patience, times int, call func(context.Context) (T, error)) (T, error) {
	if p == nil {
		return call(ctx)
	}
	var zero T
	if !p.mayAsk() {
		return zero, errSilent
	}
	began := p.clock()
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(times)*p.limit, errSilent)
	defer cancel()
	done := make(chan answer[T], 1)
	go func() { done <- answerOf(ctx, call) }()
	select {
	case got := <-done:
		return got.take(p, ctx, began)
	case <-ctx.Done():
	}
	select {
	case got := <-done: // at the same moment
		return got.take(p, ctx, began)
	default:
		if context.Cause(ctx) == errSilent {
			p.missed(began)
		}
		return zero, context.Cause(ctx)
	}
}

// answer is what a store returned, or how it panicked.
type answer[T any] struct {
	value    T
	err      error
	panicked any
}

func answerOf[T any](ctx context.Context, call func(context.Context) (T, error)) (a answer[T]) {
	defer func() { a.panicked = recover() }()
	a.value, a.err = call(ctx)
	return a
}

// take passes the answer on, a panic to the goroutine that asked: there somebody
// may be prepared for it.
func (a answer[T]) take(p *patience, ctx context.Context, began int64) (T, error) {
	if a.panicked != nil {
		panic(a.panicked)
	}
	switch {
	case a.err == nil || ctx.Err() == nil:
		p.heard()
	case context.Cause(ctx) == errSilent:
		p.missed(began)
	} // else the caller gave up, which says nothing about the store
	return a.value, a.err
}

// line is how an Auth calls one store.
type line struct {
	patience *patience // nil: as long as it takes
	meter    *meter    // that makes spans
}

// through calls a method of a store.
func through[T any](ctx context.Context, l line, method string, times int, call func(context.Context) (T, error)) (v T, err error) {
	ctx, end := l.meter.span(ctx, "jwtauth.store."+method)
	defer func() { end(err) }()
	return ask(ctx, l.patience, times, call)
}

// runThrough calls a method that has nothing to return.
func runThrough(ctx context.Context, l line, method string, times int, call func(context.Context) error) error {
	_, err := through(ctx, l, method, times, func(ctx context.Context) (struct{}, error) { return struct{}{}, call(ctx) })
	return err
}

// outages keeps the patience with each store. Parts that are one store share it.
type outages struct {
	limit time.Duration
	log   *slog.Logger
	all   []*patience
	// unlimited counts requests that no limit was applied to.
	unlimited atomic.Uint64
	told      atomic.Int64 // Unix seconds of the last record about them, and
	untold    atomic.Int64 // how many came since
}

func newOutages(limit time.Duration, log *slog.Logger) *outages {
	return &outages{limit: limit, log: log}
}

func (o *outages) with(store any, name string) *patience {
	for _, p := range o.all {
		if reflect.TypeOf(store).Kind() == reflect.Pointer && p.store == store {
			return p
		}
	}
	p := &patience{store: store, name: name, limit: o.limit, log: o.log, start: time.Now()}
	o.all = append(o.all, p)
	return p
}

// neverBlocks tells the stores that need no limit, since they are in memory, or
// keep one themselves. Their calls cost nothing more.
func neverBlocks(store any) bool {
	switch store.(type) {
	case *MemoryStore, *MemoryLimiter, *RevocationView, *calledRevocations:
		return true
	}
	return false
}

// bind puts a limit around each call of each store, and a span where there is a
// tracer.
func (o *outages) bind(cfg *Config, m *meter) {
	if v, ok := cfg.Revocations.(*RevocationView); ok {
		if s, ok := v.store.(*calledRevocations); ok { // has a limit of its own
			defer func() { o.all = append(o.all, s.patience) }()
		}
	}
	if l, ok := o.line(cfg.Users, "users", m); ok {
		cfg.Users = &calledUsers{cfg.Users, l}
	}
	if l, ok := o.line(cfg.Sessions.Store, "sessions", m); ok {
		cfg.Sessions.Store = &calledSessions{cfg.Sessions.Store, l}
	}
	if l, ok := o.line(cfg.Revocations, "revocations", m); ok {
		cfg.Revocations = &calledRevocations{cfg.Revocations, l}
	}
	if l, ok := o.line(cfg.Codes, "codes", m); ok {
		cfg.Codes = &calledCodes{cfg.Codes, l}
	}
	if l, ok := o.line(cfg.Counters, "counters", m); ok {
		cfg.Counters = &calledCounters{cfg.Counters, l}
	}
	if l, ok := o.line(cfg.Audit.Store, "audit", m); ok {
		cfg.Audit.Store = &calledAudit{cfg.Audit.Store, l}
	}
	if l, ok := o.line(cfg.Limits.Limiter, "limiter", nil); ok {
		cfg.Limits.Limiter = &calledLimiter{cfg.Limits.Limiter, l}
	}
}

// line returns how to call a store; false if nothing has to be put around it.
func (o *outages) line(store any, name string, m *meter) (line, bool) {
	l := line{meter: m}
	if !neverBlocks(store) {
		l.patience = o.with(store, name)
	}
	return l, l.patience != nil || m.traces()
}

// boundRevocations is bind for a store alone. Nil stays nil.
func boundRevocations(s RevocationStore, limit time.Duration, log *slog.Logger) RevocationStore {
	if s == nil || neverBlocks(s) {
		return s
	}
	return &calledRevocations{s, line{patience: newOutages(limit, log).with(s, "revocations")}}
}

// Outages is what does not work at the moment, for a health check or metrics.
type Outages struct {
	// Silent names the stores that do not answer: "users", "sessions",
	// "revocations", "codes", "counters", "audit", "limiter". Parts that are
	// one store have the name of the first of them.
	Silent []string
	// Unlimited is how many requests passed without a limit since the start,
	// because [LimitConfig.DangerouslyAllowWhenDown] is set.
	Unlimited uint64
}

// Outages tells which stores do not answer. It asks none of them.
func (a *Auth) Outages() Outages {
	out := Outages{Unlimited: a.outages.unlimited.Load()}
	for _, p := range a.outages.all {
		if p.next.Load() != 0 {
			out.Silent = append(out.Silent, p.name)
		}
	}
	return out
}

// unlimited lets a request through that the limiter can't count, if the host
// has chosen so. It is recorded once a minute with the number of requests; what
// can't be recorded is refused.
func (a *Auth) unlimited(ctx context.Context, fault error) error {
	if !a.cfg.Limits.DangerouslyAllowWhenDown {
		return ErrUnavailable.because(fault)
	}
	o := a.outages
	o.unlimited.Add(1)
	o.untold.Add(1)
	now, told := a.now().Unix(), o.told.Load()
	if told != 0 && now >= told && now-told < 60 || !o.told.CompareAndSwap(told, now) {
		return nil
	}
	a.log.ErrorContext(ctx, "limiter does not answer; requests are not limited", "error", fault)
	n := o.untold.Swap(0)
	e, err := a.complete(ctx, Event{Name: EventUnlimited, Count: n})
	if err == nil {
		err = a.append(ctx, e)
	}
	if err != nil {
		o.told.Store(0) // the next one tells
		o.untold.Add(n)
		return ErrUnavailable.because(fmt.Errorf("passing without a limit is not recorded: %w", err))
	}
	return nil
}

// partOf finds an optional part of a store, behind what was put around it, and the
// patience to ask it with.
func partOf[T any](store any) (part T, p *patience, ok bool) {
	for {
		around, is := store.(interface{ behind() (any, *patience) })
		if !is {
			part, ok = store.(T)
			return part, p, ok
		}
		store, p = around.behind()
	}
}

// The stores as an Auth calls them.

type calledUsers struct {
	UserStore
	line
}

func (s *calledUsers) behind() (any, *patience) { return s.UserStore, s.patience }

func (s *calledUsers) CreateUser(ctx context.Context, u User) (User, error) {
	return through(ctx, s.line, "CreateUser", 1, func(ctx context.Context) (User, error) { return s.UserStore.CreateUser(ctx, u) })
}

func (s *calledUsers) UserByID(ctx context.Context, id string) (User, error) {
	return through(ctx, s.line, "UserByID", 1, func(ctx context.Context) (User, error) { return s.UserStore.UserByID(ctx, id) })
}

func (s *calledUsers) UserByLogin(ctx context.Context, key string) (User, error) {
	return through(ctx, s.line, "UserByLogin", 1, func(ctx context.Context) (User, error) { return s.UserStore.UserByLogin(ctx, key) })
}

func (s *calledUsers) UpdateUser(ctx context.Context, u User) (User, error) {
	return through(ctx, s.line, "UpdateUser", 1, func(ctx context.Context) (User, error) { return s.UserStore.UpdateUser(ctx, u) })
}

func (s *calledUsers) DeleteUser(ctx context.Context, id string) error {
	return runThrough(ctx, s.line, "DeleteUser", 1, func(ctx context.Context) error { return s.UserStore.DeleteUser(ctx, id) })
}

type calledSessions struct {
	SessionStore
	line
}

func (s *calledSessions) behind() (any, *patience) { return s.SessionStore, s.patience }

func (s *calledSessions) CreateSession(ctx context.Context, row Session, limit SessionLimit) ([]Session, error) {
	return through(ctx, s.line, "CreateSession", 1, func(ctx context.Context) ([]Session, error) { return s.SessionStore.CreateSession(ctx, row, limit) })
}

func (s *calledSessions) Session(ctx context.Context, id string) (Session, error) {
	return through(ctx, s.line, "Session", 1, func(ctx context.Context) (Session, error) { return s.SessionStore.Session(ctx, id) })
}

func (s *calledSessions) AdvanceSession(ctx context.Context, adv SessionAdvance) (Session, bool, error) {
	type result struct {
		row   Session
		moved bool
	}
	r, err := through(ctx, s.line, "AdvanceSession", 1, func(ctx context.Context) (r result, err error) {
		r.row, r.moved, err = s.SessionStore.AdvanceSession(ctx, adv)
		return r, err
	})
	return r.row, r.moved, err
}

func (s *calledSessions) EndSession(ctx context.Context, id string) error {
	return runThrough(ctx, s.line, "EndSession", 1, func(ctx context.Context) error { return s.SessionStore.EndSession(ctx, id) })
}

func (s *calledSessions) EndSessions(ctx context.Context, userID, except string) ([]string, error) {
	return through(ctx, s.line, "EndSessions", 1, func(ctx context.Context) ([]string, error) { return s.SessionStore.EndSessions(ctx, userID, except) })
}

func (s *calledSessions) Sessions(ctx context.Context, userID string, now time.Time) ([]Session, error) {
	return through(ctx, s.line, "Sessions", 1, func(ctx context.Context) ([]Session, error) { return s.SessionStore.Sessions(ctx, userID, now) })
}

type calledRevocations struct {
	RevocationStore
	line
}

func (s *calledRevocations) behind() (any, *patience) { return s.RevocationStore, s.patience }

func (s *calledRevocations) Revoke(ctx context.Context, r Revocation) error {
	return runThrough(ctx, s.line, "Revoke", 1, func(ctx context.Context) error { return s.RevocationStore.Revoke(ctx, r) })
}

func (s *calledRevocations) Revoked(ctx context.Context, ref TokenRef) (bool, error) {
	return through(ctx, s.line, "Revoked", 1, func(ctx context.Context) (bool, error) { return s.RevocationStore.Revoked(ctx, ref) })
}

type calledCodes struct {
	CodeStore
	line
}

func (s *calledCodes) PutCode(ctx context.Context, c OneTimeCode) error {
	return runThrough(ctx, s.line, "PutCode", 1, func(ctx context.Context) error { return s.CodeStore.PutCode(ctx, c) })
}

func (s *calledCodes) ConsumeCode(ctx context.Context, key string, hash []byte, now time.Time) (OneTimeCode, error) {
	return through(ctx, s.line, "ConsumeCode", 1, func(ctx context.Context) (OneTimeCode, error) { return s.CodeStore.ConsumeCode(ctx, key, hash, now) })
}

func (s *calledCodes) ClaimOnce(ctx context.Context, key string, now, until time.Time) (bool, error) {
	return through(ctx, s.line, "ClaimOnce", 1, func(ctx context.Context) (bool, error) { return s.CodeStore.ClaimOnce(ctx, key, now, until) })
}

type calledCounters struct {
	CounterStore
	line
}

func (s *calledCounters) Hit(ctx context.Context, key string, limit int, window time.Duration, now time.Time) (Count, error) {
	return through(ctx, s.line, "Hit", 1, func(ctx context.Context) (Count, error) { return s.CounterStore.Hit(ctx, key, limit, window, now) })
}

func (s *calledCounters) Refund(ctx context.Context, key string, now time.Time) error {
	return runThrough(ctx, s.line, "Refund", 1, func(ctx context.Context) error { return s.CounterStore.Refund(ctx, key, now) })
}

func (s *calledCounters) Reset(ctx context.Context, key string) error {
	return runThrough(ctx, s.line, "Reset", 1, func(ctx context.Context) error { return s.CounterStore.Reset(ctx, key) })
}

type calledLimiter struct {
	Limiter
	line
}

func (s *calledLimiter) Allow(ctx context.Context, key string, rule Rule, now time.Time) (Usage, error) {
	return through(ctx, s.line, "Allow", 1, func(ctx context.Context) (Usage, error) { return s.Limiter.Allow(ctx, key, rule, now) })
}

// calledAudit gives more time to what works on many records, behind the requests
// or when an account is erased.
type calledAudit struct {
	AuditStore
	line
}

func (s *calledAudit) behind() (any, *patience) { return s.AuditStore, s.patience }

func (s *calledAudit) Append(ctx context.Context, r AuditRecord) error {
	return runThrough(ctx, s.line, "Append", 1, func(ctx context.Context) error { return s.AuditStore.Append(ctx, r) })
}

func (s *calledAudit) Query(ctx context.Context, q AuditQuery) ([]AuditRecord, error) {
	return through(ctx, s.line, "Query", 1, func(ctx context.Context) ([]AuditRecord, error) { return s.AuditStore.Query(ctx, q) })
}

func (s *calledAudit) Follow(ctx context.Context, after int64, limit int) ([]AuditRecord, error) {
	return through(ctx, s.line, "Follow", bulk, func(ctx context.Context) ([]AuditRecord, error) { return s.AuditStore.Follow(ctx, after, limit) })
}

func (s *calledAudit) AuditMarks(ctx context.Context) (anchor, head AuditMark, err error) {
	marks, err := through(ctx, s.line, "AuditMarks", 1, func(ctx context.Context) (m [2]AuditMark, err error) {
		m[0], m[1], err = s.AuditStore.AuditMarks(ctx)
		return m, err
	})
	return marks[0], marks[1], err
}

func (s *calledAudit) Unsealed(ctx context.Context, limit int) ([]AuditRecord, error) {
	return through(ctx, s.line, "Unsealed", bulk, func(ctx context.Context) ([]AuditRecord, error) { return s.AuditStore.Unsealed(ctx, limit) })
}

func (s *calledAudit) Seal(ctx context.Context, from AuditMark, seals []AuditSeal, head AuditMark) error {
	return runThrough(ctx, s.line, "Seal", bulk, func(ctx context.Context) error { return s.AuditStore.Seal(ctx, from, seals, head) })
}

func (s *calledAudit) PurgeAudit(ctx context.Context, anchor AuditMark) error {
	return runThrough(ctx, s.line, "PurgeAudit", bulk, func(ctx context.Context) error { return s.AuditStore.PurgeAudit(ctx, anchor) })
}

func (s *calledAudit) AuditKey(ctx context.Context, userID string, candidate AuditKey) (AuditKey, error) {
	return through(ctx, s.line, "AuditKey", 1, func(ctx context.Context) (AuditKey, error) { return s.AuditStore.AuditKey(ctx, userID, candidate) })
}

func (s *calledAudit) EraseAuditKey(ctx context.Context, userID string) error {
	return runThrough(ctx, s.line, "EraseAuditKey", bulk, func(ctx context.Context) error { return s.AuditStore.EraseAuditKey(ctx, userID) })
}
