package jwtauth

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"
)

// memoryTrail is the [AuditStore]. Records stay in the order of their IDs,
// which is almost the one in which they come.
type memoryTrail struct {
	mu           sync.RWMutex
	records      []*AuditRecord
	sealed       []*AuditRecord // by Sequence, from that of the anchor on
	anchor, head AuditMark
	keys         map[string]AuditKey // by user; the zero one was destroyed
	subjects     map[string][]byte   // the key of each subject
}

func newMemoryTrail() memoryTrail {
	return memoryTrail{keys: make(map[string]AuditKey), subjects: make(map[string][]byte)}
}

// AuditLimit tells an [Auth] to purge what is beyond the newest 10,000 records.
func (m *memoryTrail) AuditLimit() int { return maxMemoryRecords / 2 }

// Append implements [AuditStore]. It fails when 20,000 records are kept, which
// means that nobody purges: a record that drops another one would be a way to
// cover tracks.
func (m *memoryTrail) Append(ctx context.Context, r AuditRecord) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r = cloneRecord(r)
	r.Sequence, r.Hash, r.Key = 0, nil, nil
	m.mu.Lock()
	defer m.mu.Unlock()
	at, taken := m.find(r.ID)
	switch {
	case taken:
		return ErrConflict
	case len(m.records) >= maxMemoryRecords:
		return errMemoryFull
	}
	m.records = slices.Insert(m.records, at, &r)
	return nil
}

func (m *memoryTrail) find(id string) (int, bool) {
	return slices.BinarySearchFunc(m.records, id, func(r *AuditRecord, id string) int { return cmp.Compare(r.ID, id) })
}

func cloneRecord(r AuditRecord) AuditRecord {
	r.Personal, r.Hash, r.Key = bytes.Clone(r.Personal), bytes.Clone(r.Hash), bytes.Clone(r.Key)
	return r
}

// shown is a copy with the key of its subject.
func (m *memoryTrail) shown(r *AuditRecord) AuditRecord {
	c := *r
	c.Key = m.subjects[r.Subject]
	return cloneRecord(c)
}

// Query implements [AuditStore].
func (m *memoryTrail) Query(ctx context.Context, q AuditQuery) ([]AuditRecord, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	end := len(m.records)
	if q.Before != "" {
		end, _ = m.find(q.Before)
	}
	var page []AuditRecord
	for _, r := range slices.Backward(m.records[:end]) {
		if len(page) == q.Limit {
			break
		}
		if q.matches(r) {
			page = append(page, m.shown(r))
		}
	}
	return page, nil
}

// matches reports whether a record meets everything but Before and Limit.
func (q AuditQuery) matches(r *AuditRecord) bool {
	return (q.Subject == "" || q.Subject == r.Subject) &&
		(q.Name == "" || q.Name == r.Name) &&
		(q.Result == "" || q.Result == r.Result) &&
		(len(q.AddressKeys) == 0 || slices.Contains(q.AddressKeys, r.AddressKey)) &&
		(q.From.IsZero() || !r.Time.Before(q.From)) &&
		(q.To.IsZero() || r.Time.Before(q.To))
}

// Follow implements [AuditStore].
func (m *memoryTrail) Follow(ctx context.Context, after int64, limit int) ([]AuditRecord, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	skip := min(max(after-m.anchor.Sequence, 0), int64(len(m.sealed)))
	rest := m.sealed[skip:]
	page := make([]AuditRecord, 0, min(limit, len(rest)))
	for _, r := range rest[:min(limit, len(rest))] {
		page = append(page, m.shown(r))
	}
	return page, nil
}

// AuditMarks implements [AuditChain].
func (m *memoryTrail) AuditMarks(ctx context.Context) (anchor, head AuditMark, err error) {
	if err := ctx.Err(); err != nil {
		return AuditMark{}, AuditMark{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return cloneMark(m.anchor), cloneMark(m.head), nil
}

func cloneMark(m AuditMark) AuditMark {
	m.Hash, m.Proof = bytes.Clone(m.Hash), bytes.Clone(m.Proof)
	return m
}

// Unsealed implements [AuditChain].
func (m *memoryTrail) Unsealed(ctx context.Context, limit int) ([]AuditRecord, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	missing := min(len(m.records)-len(m.sealed), limit)
	if missing == 0 {
		return nil, nil
	}
	var page []AuditRecord
	for _, r := range slices.Backward(m.records) { // those without a place are among the last
		if r.Sequence == 0 {
			page = append(page, m.shown(r))
		}
		if len(page) == len(m.records)-len(m.sealed) {
			break
		}
	}
	slices.Reverse(page)
	return page[:missing], nil
}

// Seal implements [AuditChain].
func (m *memoryTrail) Seal(ctx context.Context, from AuditMark, seals []AuditSeal, head AuditMark) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.head.Sequence != from.Sequence {
		return ErrConflict
	}
	rows := make([]*AuditRecord, len(seals))
	for i, s := range seals {
		at, ok := m.find(s.ID)
		if !ok || m.records[at].Sequence != 0 {
			return ErrConflict
		}
		rows[i] = m.records[at]
	}
	for i, s := range seals {
		rows[i].Sequence, rows[i].Hash = s.Sequence, bytes.Clone(s.Hash)
	}
	m.sealed = append(m.sealed, rows...)
	m.head = cloneMark(head)
	return nil
}

// PurgeAudit implements [AuditChain].
func (m *memoryTrail) PurgeAudit(ctx context.Context, anchor AuditMark) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if anchor.Sequence < m.anchor.Sequence || anchor.Sequence > m.head.Sequence {
		return ErrConflict
	}
	gone := anchor.Sequence - m.anchor.Sequence
	m.sealed = slices.Clone(m.sealed[gone:]) // or the array would keep the records alive
	m.records = slices.DeleteFunc(m.records, func(r *AuditRecord) bool {
		return r.Sequence > 0 && r.Sequence <= anchor.Sequence
	})
	m.anchor = cloneMark(anchor)
	return nil
}

// AuditKey implements [AuditKeys].
func (m *memoryTrail) AuditKey(ctx context.Context, userID string, candidate AuditKey) (AuditKey, error) {
	if err := ctx.Err(); err != nil {
		return AuditKey{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	k, known := m.keys[userID]
	if !known && candidate.Subject != "" {
		k = AuditKey{candidate.Subject, bytes.Clone(candidate.Key)}
		m.keys[userID], m.subjects[k.Subject] = k, k.Key
	}
	if k.Subject == "" {
		return AuditKey{}, ErrNotFound
	}
	return AuditKey{k.Subject, bytes.Clone(k.Key)}, nil
}

// EraseAuditKey implements [AuditKeys].
func (m *memoryTrail) EraseAuditKey(ctx context.Context, userID string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	subject := m.keys[userID].Subject
	m.keys[userID] = AuditKey{}
	if subject == "" {
		return nil
	}
	delete(m.subjects, subject)
	for _, r := range m.records {
		if r.Subject == subject {
			r.AddressKey = ""
		}
	}
	return nil
}

// memoryCursors is the [CursorStore].
type memoryCursors struct {
	mu      sync.Mutex
	cursors map[string]Cursor
	dead    map[string]map[int64]DeadLetter
}

func newMemoryCursors() memoryCursors {
	return memoryCursors{cursors: make(map[string]Cursor), dead: make(map[string]map[int64]DeadLetter)}
}

// HoldCursor implements [CursorStore]. A time that has passed is an error, since
// it would hold nothing.
func (m *memoryCursors) HoldCursor(ctx context.Context, name, holder string, start int64, now, until time.Time) (Cursor, error) {
	if err := ctx.Err(); err != nil {
		return Cursor{}, err
	}
	if holder == "" || !until.After(now) {
		return Cursor{}, errors.New("memory store: a cursor is held by nobody, or for no time")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c, known := m.cursors[name]
	if !known {
		c = Cursor{Name: name, Sequence: start, Moved: now}
	}
	if c.heldAt(now) && c.Holder != holder {
		return Cursor{}, ErrConflict
	}
	c.Holder, c.Until = holder, until
	m.cursors[name] = c
	return c, nil
}

func (c Cursor) heldAt(now time.Time) bool { return c.Holder != "" && c.Until.After(now) }

// MoveCursor implements [CursorStore].
func (m *memoryCursors) MoveCursor(ctx context.Context, name, holder string, to int64, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c, known := m.cursors[name]
	switch {
	case !known:
		return ErrNotFound
	case !c.heldAt(now) || c.Holder != holder:
		return ErrConflict
	}
	c.Sequence, c.Moved = to, now
	m.cursors[name] = c
	return nil
}

// ReleaseCursor implements [CursorStore].
func (m *memoryCursors) ReleaseCursor(ctx context.Context, name, holder string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if c, known := m.cursors[name]; known && c.Holder == holder {
		c.Holder, c.Until = "", time.Time{}
		m.cursors[name] = c
	}
	return nil
}

// Cursors implements [CursorStore].
func (m *memoryCursors) Cursors(ctx context.Context) ([]Cursor, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Values(m.cursors), func(a, b Cursor) int { return cmp.Compare(a.Name, b.Name) }), nil
}

// PutDeadLetter implements [CursorStore].
func (m *memoryCursors) PutDeadLetter(ctx context.Context, d DeadLetter) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead[d.Cursor] == nil {
		m.dead[d.Cursor] = make(map[int64]DeadLetter)
	}
	m.dead[d.Cursor][d.Sequence] = d
	return nil
}

// DeadLetters implements [CursorStore].
func (m *memoryCursors) DeadLetters(ctx context.Context, cursor string, after int64, limit int) ([]DeadLetter, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []DeadLetter
	for _, sequence := range slices.Sorted(maps.Keys(m.dead[cursor])) {
		if sequence > after && len(list) < limit {
			list = append(list, m.dead[cursor][sequence])
		}
	}
	return list, nil
}

// DropDeadLetter implements [CursorStore].
func (m *memoryCursors) DropDeadLetter(ctx context.Context, cursor string, sequence int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.dead[cursor][sequence]; !known {
		return ErrNotFound
	}
	delete(m.dead[cursor], sequence)
	return nil
}
