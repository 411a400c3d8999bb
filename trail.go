package jwtauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// AuditConfig is about the audit trail: the record of everything that was done
// or refused, sealed so that nobody can change, drop or reorder a record
// unnoticed.
type AuditConfig struct {
	// Store replaces the trail of Config.Store.
	Store AuditStore
	// Retention is how long records are kept. Default 365 days; negative
	// means for good. What is older is purged a thousand records at a time.
	Retention time.Duration
	// Roles may read the trail of everybody at GET /audit. Default:
	// "administrator".
	Roles []string
	// Refusals is how many refusals that are alike (the same event, reason
	// and source) are written one by one in a minute. The rest of the minute
	// becomes one record with their number. Default 10.
	Refusals int
	// SkipReads leaves out what was only read: the outcomes "ok" of
	// /token/validate, /me, /sessions, /me/activity and /audit.
	SkipReads bool
}

const (
	defaultRetention = 365 * day
	defaultRefusals  = 10
	adminRole        = "administrator"
	// sealDelay lets the records of a moment gather before they are sealed.
	sealDelay = 100 * time.Millisecond
	// sealRetry is how long to wait after a fault, at most.
	sealRetry  = 30 * time.Second
	sealBatch  = 500
	purgeBatch = 1000
	purgeEvery = time.Hour
	// maxAuditKeys bounds the keys in memory.
	maxAuditKeys = 10_000
)

func (cfg AuditConfig) withDefaults() AuditConfig {
	cfg.Retention = orNone(cfg.Retention, defaultRetention)
	defaultTo(&cfg.Refusals, defaultRefusals)
	cfg.Roles = append([]string(nil), cfg.Roles...)
	if len(cfg.Roles) == 0 {
		cfg.Roles = []string{adminRole}
	}
	return cfg
}

func (cfg AuditConfig) validate() error {
	var errs []error
	errs = append(errs, inField("Config.Audit.Roles", checkRoles(cfg.Roles)))
	if cfg.Refusals < 1 {
		errs = append(errs, errors.New("jwtauth: Config.Audit.Refusals must be at least 1"))
	}
	return errors.Join(append(errs, within("Audit.Retention", cfg.Retention, 0, maxSessionLife))...)
}

// trail writes events and seals them behind the requests.
type trail struct {
	store  AuditStore
	floods *floods

	keysMu sync.Mutex
	keys   map[string]AuditKey // by user
	erased uint64              // how many were destroyed here

	sealMu  sync.Mutex // one at a time in this process
	purged  time.Time  // needs sealMu
	pending atomic.Bool
	// closed says that Close has sealed what there was: what is planned is not
	// needed, and the store may be gone. The next record undoes it.
	closed atomic.Bool
	faults atomic.Int32 // in a row
}

func (a *Auth) newTrail(cfg AuditConfig) *trail {
	t := &trail{store: cfg.Store, keys: make(map[string]AuditKey)}
	t.floods = newFloods(cfg.Refusals, a.recordSurplus)
	return t
}

// outcome says whether a request has left a record. The HTTP layer puts one into
// the context, and writes the record of those that have not.
type outcome struct{ recorded atomic.Bool }

type outcomeKey struct{}

// record appends an event before the answer leaves: an acknowledged action has
// its record, or it is not acknowledged. On a fault the caller gets
// [ErrUnavailable] and may try again.
func (a *Auth) record(ctx context.Context, e Event) error {
	e, err := a.complete(ctx, e)
	if err != nil {
		return ErrUnavailable.because(err)
	}
	if o, ok := ctx.Value(outcomeKey{}).(*outcome); ok {
		o.recorded.Store(true)
	}
	if e.Result == ResultRefused && e.Name != EventForgot && !a.trail.floods.admit(e) {
		return nil // asking for a mail looks the same whether anybody gets it
	}
	return a.append(ctx, e)
}

// complete fills in who, when and from where.
func (a *Auth) complete(ctx context.Context, e Event) (Event, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Event{}, err
	}
	e.ID, e.Time = id.String(), recordTime(a.now())
	e.Result, e.Count = cmp.Or(e.Result, ResultOK), max(e.Count, 1)
	c := ClientFrom(ctx)
	e.Address = cmp.Or(addressOf(ctx), e.Address)
	e.UserAgent, e.DeviceID, e.RequestID = clip(c.UserAgent, maxUserAgent), clip(c.DeviceID, maxRequestID), clip(c.RequestID, maxRequestID)
	if id, ok := FromContext(ctx); ok && id.UserID != e.UserID {
		e.ActorID = cmp.Or(e.ActorID, id.UserID)
	}
	return e, nil
}

// addressOf is the caller's address as records have it; "" where it is unknown.
func addressOf(ctx context.Context) string {
	if ip := ClientFrom(ctx).IP; ip.IsValid() {
		return ip.Unmap().String()
	}
	return ""
}

func (a *Auth) append(ctx context.Context, e Event) error {
	a.logEvent(ctx, e)
	ctx = context.WithoutCancel(ctx)
	r, err := a.sealedRecord(ctx, e)
	if err == nil {
		err = a.trail.store.Append(ctx, r)
	}
	if err != nil {
		a.log.ErrorContext(ctx, "event not recorded", "event", e.Name, "error", err)
		return ErrUnavailable.because(err)
	}
	a.sealSoon()
	a.notify(ctx, e)
	return nil
}

// refused records that something was refused and returns the refusal, or the
// fault if it can't be recorded.
func (a *Auth) refused(ctx context.Context, e Event, refusal error) error {
	e.Result, e.Reason = ResultRefused, cmp.Or(Reason(refusal), Code(refusal))
	a.meter.refused(ctx, e.Name, refusal)
	if err := a.record(ctx, e); err != nil {
		return err
	}
	return refusal
}

// recordSurplus writes what was counted instead of written.
func (a *Auth) recordSurplus(events []Event) {
	ctx := context.Background()
	for _, e := range events {
		e, err := a.complete(ctx, e)
		if err == nil {
			err = a.append(ctx, e)
		}
		if err != nil {
			a.log.Error("refusals not recorded", "event", e.Name, "reason", e.Reason, "count", e.Count, "error", err)
		}
	}
}

// sealedRecord encrypts what tells about a person.
func (a *Auth) sealedRecord(ctx context.Context, e Event) (AuditRecord, error) {
	k, err := a.auditKey(ctx, e)
	if err != nil {
		return AuditRecord{}, err
	}
	r := AuditRecord{ID: e.ID, Time: e.Time, Name: e.Name, Result: e.Result, Reason: e.Reason, Count: e.Count, Subject: k.Subject}
	p := personal{e.UserID, e.ActorID, e.SessionID, e.TokenID, e.Address, e.UserAgent, e.DeviceID, e.RequestID}
	if e.UserID != "" && k.Subject == "" {
		p = personal{} // the account was erased, and stays so
	} else {
		r.AddressKey = a.secrets.current.addressKey(e.Address)
	}
	r.Personal, err = sealPersonal(k, e.ID, p)
	return r, err
}

// nobodysID stands for the user of an event that has none. No account has this id.
const nobodysID = "?"

// auditKey returns the key for an event: that of its user, made at the first
// one. It is zero where there is no user, or the key was destroyed.
//
// Keys in memory serve sessions alone. Somebody who has proved nothing yet always
// costs one question to the store, so that no duration tells whether the
// account that was named exists.
func (a *Auth) auditKey(ctx context.Context, e Event) (AuditKey, error) {
	t := a.trail
	if e.UserID == "" {
		if e.SessionID == "" {
			_, err := t.store.AuditKey(ctx, nobodysID, AuditKey{})
			return AuditKey{}, ignoring(err, ErrNotFound)
		}
		return AuditKey{}, nil
	}
	k, erased, ok := t.key(e.UserID)
	if ok && e.SessionID != "" {
		return k, nil
	}
	k, err := t.store.AuditKey(ctx, e.UserID, newAuditKey())
	if err != nil {
		return AuditKey{}, ignoring(err, ErrNotFound)
	}
	t.keep(e.UserID, k, erased)
	return k, nil
}

// ignoring returns err unless it is that one.
func ignoring(err error, one *Error) error {
	if errors.Is(err, one) {
		return nil
	}
	return err
}

func (t *trail) key(userID string) (k AuditKey, erased uint64, ok bool) {
	t.keysMu.Lock()
	defer t.keysMu.Unlock()
	k, ok = t.keys[userID]
	return k, t.erased, ok
}

// keep remembers a key, unless one was destroyed since: it may be this one.
func (t *trail) keep(userID string, k AuditKey, erased uint64) {
	t.keysMu.Lock()
	defer t.keysMu.Unlock()
	if t.erased != erased {
		return
	}
	if len(t.keys) >= maxAuditKeys {
		clear(t.keys) // they come back one by one
	}
	t.keys[userID] = k
}

// erase destroys the key of a user, and with it what the trail tells about
// them. Another node that has the key in memory may still write with it; what
// it writes can't be read by anybody.
func (a *Auth) erase(ctx context.Context, userID string) error {
	t := a.trail
	err := t.store.EraseAuditKey(ctx, userID)
	t.keysMu.Lock()
	defer t.keysMu.Unlock()
	delete(t.keys, userID)
	t.erased++
	return storeFault(err)
}

// sealSoon plans the next sealing. It costs the request nothing.
func (a *Auth) sealSoon() {
	a.trail.closed.Store(false)
	a.sealAfter(sealDelay)
}

func (a *Auth) sealAfter(d time.Duration) {
	if !a.trail.pending.CompareAndSwap(false, true) {
		return
	}
	time.AfterFunc(d, func() {
		a.trail.pending.Store(false)
		if a.trail.closed.Load() {
			return
		}
		err := a.sealTrail(context.Background())
		if err == nil {
			a.trail.faults.Store(0)
			return
		}
		a.log.Error("audit trail not sealed, will be tried again", "error", err)
		a.sealAfter(min(sealDelay<<min(a.trail.faults.Add(1), 16), sealRetry))
	})
}

// sealTrail gives every record its place, and purges what is too old.
func (a *Auth) sealTrail(ctx context.Context) error {
	a.trail.sealMu.Lock()
	defer a.trail.sealMu.Unlock()
	for {
		n, err := a.sealSome(ctx)
		if err != nil {
			return err
		}
		if n < sealBatch {
			return a.purgeTrail(ctx)
		}
	}
}

// sealSome seals one batch. Whether another node was faster is decided by the
// store: then that one has done the work, and the rest is next.
func (a *Auth) sealSome(ctx context.Context) (int, error) {
	const tries = 100
	for range tries {
		_, head, err := a.trail.store.AuditMarks(ctx)
		if err != nil {
			return 0, err
		}
		if !a.secrets.ours(headEnd, head) {
			return 0, ErrTrailBroken.because(errors.New("the end of the chain was not made with a secret of ours"))
		}
		records, err := a.trail.store.Unsealed(ctx, sealBatch)
		if err != nil || len(records) == 0 {
			return 0, err
		}
		seals, end := a.seals(head, records)
		err = a.trail.store.Seal(ctx, head, seals, end)
		if !errors.Is(err, ErrConflict) {
			return len(seals), err
		}
	}
	return 0, errors.New("other nodes are always faster")
}

func (a *Auth) seals(from AuditMark, records []AuditRecord) ([]AuditSeal, AuditMark) {
	seals := make([]AuditSeal, len(records))
	sequence, hash := from.Sequence, from.Hash
	for i, r := range records {
		sequence++
		hash = chainHash(hash, sequence, r)
		seals[i] = AuditSeal{r.ID, sequence, hash}
	}
	return seals, a.secrets.mark(headEnd, sequence, hash)
}

// auditBounded is an optional part of an [AuditStore] that can't keep
// everything: an Auth purges what is beyond the newest so many records.
type auditBounded interface{ AuditLimit() int }

// purgeTrail removes what is too old, and what is too much for the store. It
// needs sealMu.
func (a *Auth) purgeTrail(ctx context.Context) error {
	now := a.now()
	if b, _, ok := partOf[auditBounded](a.cfg.Audit.Store); ok {
		if err := a.purgeTo(ctx, now, int64(b.AuditLimit())); err != nil {
			return err
		}
	}
	if a.cfg.Audit.Retention == 0 || now.Sub(a.trail.purged) < purgeEvery {
		return nil
	}
	err := a.purgeTo(ctx, now, 0)
	if err == nil {
		a.trail.purged = now
	}
	return err
}

// renewAnchor marks the anchor with the current secret where an older one did. The
// head gets a new mark with each record; the anchor of a trail of which nothing is
// purged for long would be nobody's once the old secret is gone.
func (a *Auth) renewAnchor(ctx context.Context, anchor AuditMark) error {
	current := strings.HasPrefix(string(anchor.Proof), a.secrets.current.id)
	if anchor.Sequence == 0 || current || !a.secrets.ours(anchorEnd, anchor) {
		return nil
	}
	err := a.trail.store.PurgeAudit(ctx, a.secrets.mark(anchorEnd, anchor.Sequence, anchor.Hash))
	if errors.Is(err, ErrConflict) { // another node has purged meanwhile
		return nil
	}
	return err
}

// purgeTo moves the anchor on: past records that are older than the retention
// or, with a most, beyond the newest so many.
func (a *Auth) purgeTo(ctx context.Context, now time.Time, most int64) error {
	for {
		anchor, head, err := a.trail.store.AuditMarks(ctx)
		if err != nil {
			return err
		}
		limit := int64(purgeBatch)
		if most > 0 {
			limit = min(limit, head.Sequence-anchor.Sequence-most)
		}
		if limit <= 0 {
			return nil
		}
		records, err := a.trail.store.Follow(ctx, anchor.Sequence, int(limit))
		if err != nil {
			return err
		}
		n := len(records)
		if most == 0 {
			n = expiredRecords(records, now.Add(-a.cfg.Audit.Retention))
		}
		if n == 0 {
			return a.renewAnchor(ctx, anchor)
		}
		if err := a.intact(anchor, records[:n]); err != nil {
			moved, markErr := a.anchorMoved(ctx, anchor)
			if markErr != nil {
				return markErr
			}
			if moved {
				continue // another node has purged meanwhile
			}
			a.log.ErrorContext(ctx, "audit trail is broken, and kept as it is", "error", err)
			return nil
		}
		last := records[n-1]
		err = a.trail.store.PurgeAudit(ctx, a.secrets.mark(anchorEnd, last.Sequence, last.Hash))
		if err != nil && !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

func (a *Auth) anchorMoved(ctx context.Context, from AuditMark) (bool, error) {
	anchor, _, err := a.trail.store.AuditMarks(ctx)
	return anchor.Sequence != from.Sequence, err
}

// intact checks the records that follow the anchor. What was tampered with is
// evidence: if it were purged, a signed anchor of ours would take its place.
func (a *Auth) intact(anchor AuditMark, records []AuditRecord) error {
	if !a.secrets.ours(anchorEnd, anchor) {
		return ErrTrailBroken.because(errors.New("the beginning was not made with a secret of ours"))
	}
	w := chainWalk{at: anchor.Sequence, hash: anchor.Hash}
	for _, r := range records {
		if err := w.step(r); err != nil {
			return ErrTrailBroken.because(err)
		}
	}
	return nil
}

// expiredRecords counts the records at the front that are older than a time.
func expiredRecords(records []AuditRecord, than time.Time) int {
	for i, r := range records {
		if !r.Time.Before(than) {
			return i
		}
	}
	return len(records)
}

// EventFilter asks for events. Empty fields ask for nothing.
type EventFilter struct {
	// UserID, Name and Result are compared exactly.
	UserID, Name, Result string
	// Address is one address, compared exactly.
	Address string
	// From and To bound the time: From is within, To is not.
	From, To time.Time
	// Before is the ID of the last event of the page before; "" for the
	// first page.
	Before string
	// Limit is the size of a page: 1 to 1,000; 0 means 100.
	Limit int
}

// Events returns one page of the trail, the latest event first. A page shorter
// than the limit is the last one. Of a deleted account it finds nothing by user
// or address: see [Event.Erased].
func (a *Auth) Events(ctx context.Context, f EventFilter) ([]Event, error) {
	q, err := a.auditQuery(f)
	if err != nil {
		return nil, err
	}
	if f.UserID != "" {
		k, err := a.trail.store.AuditKey(ctx, f.UserID, AuditKey{})
		if errors.Is(err, ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, storeFault(err)
		}
		q.Subject = k.Subject
	}
	records, err := a.trail.store.Query(ctx, q)
	if err != nil {
		return nil, storeFault(err)
	}
	return a.readRecords(ctx, records), nil
}

func (a *Auth) auditQuery(f EventFilter) (AuditQuery, error) {
	if f.Limit < 0 || f.Limit > 1000 {
		return AuditQuery{}, ErrInvalidInput.saying("A page has 1 to 1,000 events.", "limit")
	}
	if f.Before != "" {
		if id, err := uuid.Parse(f.Before); err != nil || id.String() != f.Before {
			return AuditQuery{}, ErrInvalidInput.saying("This is not the id of an event.", "before")
		}
	}
	for field, text := range map[string]string{"user": f.UserID, "event": f.Name, "result": f.Result} {
		if text != "" && !plainText(text) {
			return AuditQuery{}, ErrInvalidInput.saying("This is no name of anything.", field)
		}
	}
	q := AuditQuery{Name: f.Name, Result: f.Result, From: f.From, To: f.To, Before: f.Before, Limit: cmp.Or(f.Limit, 100)}
	if f.Address != "" {
		ip, err := parseAddress(f.Address)
		if err != nil {
			return AuditQuery{}, ErrInvalidInput.saying("This is not an address.", "address")
		}
		for _, k := range a.secrets.byID {
			q.AddressKeys = append(q.AddressKeys, k.addressKey(ip.String()))
		}
	}
	return q, nil
}

// readRecords decrypts. A record that does not open is shown without what it
// hides, and said in the log; [Auth.VerifyTrail] tells more.
func (a *Auth) readRecords(ctx context.Context, records []AuditRecord) []Event {
	events := make([]Event, len(records))
	for i, r := range records {
		p, erased, err := openPersonal(r)
		if err != nil {
			a.log.ErrorContext(ctx, "audit record can't be read", "event", r.ID, "error", err)
		}
		events[i] = Event{ID: r.ID, Time: r.Time.UTC(), Name: r.Name, Result: r.Result, Reason: r.Reason, Count: r.Count,
			UserID: p.UserID, ActorID: p.ActorID, SessionID: p.SessionID, TokenID: p.TokenID,
			Address: p.Address, UserAgent: p.UserAgent, DeviceID: p.DeviceID, RequestID: p.RequestID,
			Sequence: r.Sequence, Erased: erased}
	}
	return events
}

// Follow returns up to limit events with a Sequence above after, in its order:
// for consumers such as webhooks that must not miss one. It seals what waits for
// it first. None is not an error.
func (a *Auth) Follow(ctx context.Context, after int64, limit int) ([]Event, error) {
	if limit < 1 || limit > 1000 {
		return nil, ErrInvalidInput.saying("A page has 1 to 1,000 events.", "limit")
	}
	if err := a.sealTrail(ctx); err != nil {
		return nil, storeFault(err)
	}
	records, err := a.trail.store.Follow(ctx, after, limit)
	if err != nil {
		return nil, storeFault(err)
	}
	return a.readRecords(ctx, records), nil
}

// TrailEnd returns the Sequence of the last event that is sealed.
func (a *Auth) TrailEnd(ctx context.Context) (int64, error) {
	_, head, err := a.trail.store.AuditMarks(ctx)
	return head.Sequence, storeFault(err)
}

// TrailReport is what [Auth.VerifyTrail] found in order.
type TrailReport struct {
	// Records is how many were read, First and Last the Sequence of the
	// first and the last one.
	Records     int
	First, Last int64
	// Head is the end of the chain. Keep it elsewhere and give it to a later
	// VerifyTrail: that finds a trail which was set back as a whole.
	Head AuditMark
}

// VerifyTrail reads the whole sealed trail and checks that no record was
// changed, removed or moved: that each hash follows from the one before it, that
// no place is empty, and that the beginning and the end were made with a secret
// of this Auth. Each of the marks, heads that earlier calls returned, must lie on
// the chain, unless it has been purged. [ErrTrailBroken] says where it is not
// so.
//
// What has not been sealed yet is sealed first; it is what the chain can't speak
// for until then. An attacker who holds Config.Secret can make a chain of
// their own: marks that are kept elsewhere are the only help against that.
func (a *Auth) VerifyTrail(ctx context.Context, marks ...AuditMark) (TrailReport, error) {
	if err := a.sealTrail(ctx); err != nil {
		return TrailReport{}, storeFault(err)
	}
	const tries = 3 // a purge may move the beginning meanwhile
	var report TrailReport
	var err error
	for range tries {
		anchor, head, markErr := a.trail.store.AuditMarks(ctx)
		if markErr != nil {
			return TrailReport{}, storeFault(markErr)
		}
		if report, err = a.verifyChain(ctx, anchor, head, marks); err == nil {
			return report, nil
		}
		if now, _, markErr := a.trail.store.AuditMarks(ctx); markErr != nil || now.Sequence == anchor.Sequence {
			break
		}
	}
	return report, err
}

func (a *Auth) verifyChain(ctx context.Context, anchor, head AuditMark, marks []AuditMark) (TrailReport, error) {
	for end, m := range map[string]AuditMark{anchorEnd: anchor, headEnd: head} {
		if !a.secrets.ours(end, m) {
			return TrailReport{}, ErrTrailBroken.because(fmt.Errorf("the %s was not made with a secret of ours", end))
		}
	}
	w := chainWalk{at: anchor.Sequence, hash: anchor.Hash, marks: marks}
	for w.at < head.Sequence {
		records, err := a.trail.store.Follow(ctx, w.at, int(min(purgeBatch, head.Sequence-w.at)))
		if err != nil {
			return TrailReport{}, storeFault(err)
		}
		if len(records) == 0 {
			return TrailReport{}, ErrTrailBroken.because(fmt.Errorf("record %d is missing", w.at+1))
		}
		for _, r := range records {
			if err := w.step(r); err != nil {
				return TrailReport{}, ErrTrailBroken.because(err)
			}
		}
	}
	if err := w.finish(head); err != nil {
		return TrailReport{}, ErrTrailBroken.because(err)
	}
	return TrailReport{Records: int(head.Sequence - anchor.Sequence), First: anchor.Sequence + 1, Last: head.Sequence, Head: head}, nil
}

// AdoptTrail accepts the present end of the chain as our own. It is for an
// operator who has lost the secret that the trail was sealed with, or who has
// looked into a broken trail: the chain goes on from there, and the event says
// so. It does not mend what [Auth.VerifyTrail] finds before that place.
func (a *Auth) AdoptTrail(ctx context.Context) error {
	a.trail.sealMu.Lock()
	anchor, head, err := a.trail.store.AuditMarks(ctx)
	if err == nil {
		err = a.trail.store.Seal(ctx, head, nil, a.secrets.mark(headEnd, head.Sequence, head.Hash))
	}
	if err == nil && anchor.Sequence > 0 {
		err = a.trail.store.PurgeAudit(ctx, a.secrets.mark(anchorEnd, anchor.Sequence, anchor.Hash))
	}
	a.trail.sealMu.Unlock()
	if err != nil {
		return storeFault(err)
	}
	return a.record(ctx, Event{Name: EventTrailAdopt})
}

// closeTrail writes and seals what waits for it.
func (a *Auth) closeTrail(ctx context.Context) error {
	a.trail.floods.end()
	a.trail.closed.Store(true)
	if err := a.sealTrail(ctx); err != nil {
		return fmt.Errorf("jwtauth: audit trail not sealed: %w", err)
	}
	return nil
}
