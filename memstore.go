package jwtauth

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"
)

// MemoryStore is a [Store] in the memory of one process: the embedded default,
// and the reference of what package storetest asks of every other. Make one
// with [NewMemoryStore]. What it holds ends with the process, so it suits tests,
// small hosts that may forget, and single parts that may.
//
// It starts no goroutines and has no clock: times come from the arguments, and
// writes drop a few entries that expired some minutes before. Keys that
// strangers choose can't fill the memory: of counters and of claims it keeps
// at most 1,000,000 each. When as many have not expired yet, Hit and ClaimOnce
// fail for new keys with an error that is none of the sentinels, so that the
// caller refuses the request; dropping a count instead would give an attacker
// fresh attempts. Of the audit trail an [Auth] keeps the newest 10,000 records
// here, and nothing survives the process: neither counted failures, nor the
// trail, nor the places of webhooks.
type MemoryStore struct {
	memoryUsers
	memorySessions
	memoryRevocations
	memoryCodes
	memoryCounters
	memoryTrail
	memoryCursors
}

var (
	_ Store         = (*MemoryStore)(nil)
	_ UserLister    = (*MemoryStore)(nil)
	_ SessionLister = (*MemoryStore)(nil)
)

const (
	maxMemoryCounters = 1_000_000
	maxMemoryClaims   = 1_000_000
	maxMemoryRecords  = 20_000
)

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore {
	clock := new(lastSeen)
	return &MemoryStore{
		memoryUsers:       newMemoryUsers(),
		memorySessions:    newMemorySessions(clock),
		memoryRevocations: newMemoryRevocations(clock),
		memoryCodes:       newMemoryCodes(clock),
		memoryCounters:    newMemoryCounters(clock),
		memoryTrail:       newMemoryTrail(),
		memoryCursors:     newMemoryCursors(),
	}
}

// memoryUsers is the [UserStore].
type memoryUsers struct {
	mu     sync.RWMutex
	byID   map[string]*userRow // those of deleted accounts stay: no id comes back
	byKey  map[string]*userRow // all keys in one name space; never ""
	rows   []*userRow          // by creation
	lastID int64
}

type userRow struct {
	place int   // in memoryUsers.rows
	user  *User // nil once deleted
}

func newMemoryUsers() memoryUsers {
	return memoryUsers{byID: make(map[string]*userRow), byKey: make(map[string]*userRow)}
}

// CreateUser implements [UserStore]. New ids are the decimal numbers from 1
// on. An id that the caller chose is kept; if any account has or had it, the
// answer is [ErrConflict]. An empty LoginKey or EmailKey is none at all: it
// conflicts with nothing and is never found.
func (m *memoryUsers) CreateUser(ctx context.Context, u User) (User, error) {
	if err := ctx.Err(); err != nil {
		return User{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.taken(u, nil); err != nil {
		return User{}, err
	}
	if u.ID == "" {
		u.ID = m.nextID()
	} else if m.byID[u.ID] != nil {
		return User{}, ErrConflict
	}
	u = u.Clone()
	u.Version, u.CredentialVersion = 1, 1
	row := &userRow{place: len(m.rows), user: &u}
	m.rows = append(m.rows, row)
	m.byID[u.ID] = row
	m.index(row)
	return u.Clone(), nil
}

// taken reports which key of u belongs to an account other than row.
func (m *memoryUsers) taken(u User, row *userRow) error {
	if other := m.byKey[u.LoginKey]; other != nil && other != row {
		return ErrLoginTaken
	}
	if other := m.byKey[u.EmailKey]; other != nil && other != row {
		return ErrEmailTaken
	}
	for _, key := range u.Identities {
		if other := m.byKey[key]; other != nil && other != row {
			return ErrIdentityTaken
		}
	}
	return nil
}

// nextID skips the ids that callers chose.
func (m *memoryUsers) nextID() string {
	for {
		m.lastID++
		if id := strconv.FormatInt(m.lastID, 10); m.byID[id] == nil {
			return id
		}
	}
}

func (m *memoryUsers) index(row *userRow) {
	for _, key := range row.keys() {
		if key != "" {
			m.byKey[key] = row
		}
	}
}

func (m *memoryUsers) unindex(row *userRow) {
	for _, key := range row.keys() {
		delete(m.byKey, key)
	}
}

func (r *userRow) keys() []string {
	return append([]string{r.user.LoginKey, r.user.EmailKey}, r.user.Identities...)
}

// UserByID implements [UserStore].
func (m *memoryUsers) UserByID(ctx context.Context, id string) (User, error) {
	return m.read(ctx, m.byID, id)
}

// UserByLogin implements [UserStore].
func (m *memoryUsers) UserByLogin(ctx context.Context, key string) (User, error) {
	return m.read(ctx, m.byKey, key)
}

func (m *memoryUsers) read(ctx context.Context, index map[string]*userRow, key string) (User, error) {
	if err := ctx.Err(); err != nil {
		return User{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	row := index[key]
	if row == nil || row.user == nil {
		return User{}, ErrNotFound
	}
	return row.user.Clone(), nil
}

// UpdateUser implements [UserStore].
func (m *memoryUsers) UpdateUser(ctx context.Context, u User) (User, error) {
	if err := ctx.Err(); err != nil {
		return User{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	row := m.byID[u.ID]
	if row == nil || row.user == nil {
		return User{}, ErrNotFound
	}
	if row.user.Version != u.Version {
		return User{}, ErrConflict
	}
	if err := m.taken(u, row); err != nil {
		return User{}, err
	}
	u = u.Clone()
	u.Version++
	u.Created = row.user.Created
	m.unindex(row)
	row.user = &u
	m.index(row)
	return u.Clone(), nil
}

// DeleteUser implements [UserStore].
func (m *memoryUsers) DeleteUser(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	row := m.byID[id]
	if row == nil || row.user == nil {
		return ErrNotFound
	}
	m.unindex(row)
	row.user = nil
	return nil
}

// ListUsers implements [UserLister], in the order of creation. The account
// q.After may have been deleted since; an id that never was is [ErrNotFound],
// and a limit out of range is [ErrInvalidInput].
func (m *memoryUsers) ListUsers(ctx context.Context, q UserQuery) ([]User, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	limit := cmp.Or(q.Limit, 100)
	if limit < 1 || limit > 1000 {
		return nil, ErrInvalidInput
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	rest := m.rows
	if q.After != "" {
		row := m.byID[q.After]
		if row == nil {
			return nil, ErrNotFound
		}
		rest = m.rows[row.place+1:]
	}
	var page []User
	for _, row := range rest {
		if len(page) == limit {
			break
		}
		if row.user != nil {
			page = append(page, row.user.Clone())
		}
	}
	return page, nil
}

// memoryCodes is the [CodeStore].
type memoryCodes struct {
	mu        sync.Mutex
	clock     *lastSeen
	codes     expiring[OneTimeCode]
	claims    expiring[time.Time]
	maxClaims int
}

func newMemoryCodes(clock *lastSeen) memoryCodes {
	return memoryCodes{clock: clock, codes: newExpiring[OneTimeCode](), claims: newExpiring[time.Time](), maxClaims: maxMemoryClaims}
}

// PutCode implements [CodeStore].
func (m *memoryCodes) PutCode(ctx context.Context, c OneTimeCode) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.Hash = slices.Clone(c.Hash)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.codes.sweep(m.clock.past())
	m.codes.put(c.Key, leavesAt(c.Expires), c)
	return nil
}

// ConsumeCode implements [CodeStore]. An empty hash is always wrong, so that a
// code that was stored without one can't be used.
func (m *memoryCodes) ConsumeCode(ctx context.Context, key string, hash []byte, now time.Time) (OneTimeCode, error) {
	if err := ctx.Err(); err != nil {
		return OneTimeCode{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clock.see(now)
	c := m.codes.get(key)
	if c == nil || c.Attempts < 1 || !c.Expires.After(now) {
		return OneTimeCode{}, ErrNotFound
	}
	// The attempt counts before its outcome is known: guesses that arrive
	// together must not share one.
	c.Attempts--
	right := len(hash) > 0 && subtle.ConstantTimeCompare(c.Hash, hash) == 1
	if right || c.Attempts == 0 {
		m.codes.delete(key)
	}
	if !right {
		return OneTimeCode{}, ErrConflict
	}
	return *c, nil
}

// ClaimOnce implements [CodeStore]. A claim that would be over at once is
// refused: it could not keep anybody else out.
func (m *memoryCodes) ClaimOnce(ctx context.Context, key string, now, until time.Time) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if !until.After(now) {
		return false, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clock.see(now)
	m.claims.sweep(m.clock.past())
	end := m.claims.get(key)
	if end != nil && end.After(now) {
		return false, nil
	}
	if end == nil && !m.claims.makeRoom(m.maxClaims, now) {
		return false, errMemoryFull
	}
	m.claims.put(key, leavesAt(until), until)
	return true, nil
}

// errMemoryFull is a fault like any other: the caller refuses.
var errMemoryFull = errors.New("memory store: full of entries that have not expired")

// memoryCounters is the [CounterStore].
type memoryCounters struct {
	mu     sync.Mutex
	clock  *lastSeen
	counts expiring[memoryCount]
	max    int
}

type memoryCount struct {
	n   int
	end time.Time
}

func newMemoryCounters(clock *lastSeen) memoryCounters {
	return memoryCounters{clock: clock, counts: newExpiring[memoryCount](), max: maxMemoryCounters}
}

// Hit implements [CounterStore]. A limit below 1 admits nobody. A window that
// is not positive is an error, since it would limit nothing.
func (m *memoryCounters) Hit(ctx context.Context, key string, limit int, window time.Duration, now time.Time) (Count, error) {
	if err := ctx.Err(); err != nil {
		return Count{}, err
	}
	if window <= 0 {
		return Count{}, errors.New("memory store: window of a counter is not positive")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clock.see(now)
	m.counts.sweep(m.clock.past())
	c, err := m.current(key, limit, window, now)
	switch {
	case err != nil:
		return Count{}, err
	case c.n >= limit:
		return Count{N: c.n, Reset: c.end}, nil
	}
	c.n++
	return Count{N: c.n, Admitted: true, Reset: c.end}, nil
}

// current returns the count of the window that now is in. A new window takes
// memory only if its first use will be admitted.
func (m *memoryCounters) current(key string, limit int, window time.Duration, now time.Time) (*memoryCount, error) {
	c := m.counts.get(key)
	if c != nil && c.end.After(now) {
		return c, nil
	}
	fresh := memoryCount{end: now.Add(window)}
	if limit < 1 {
		return &fresh, nil
	}
	if c == nil && !m.counts.makeRoom(m.max, now) {
		return nil, errMemoryFull
	}
	return m.counts.put(key, leavesAt(fresh.end), fresh), nil
}

// Refund implements [CounterStore]. A count that comes back to zero is
// forgotten, so what always succeeds takes no memory.
func (m *memoryCounters) Refund(ctx context.Context, key string, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.counts.get(key)
	if c == nil || !c.end.After(now) {
		return nil
	}
	if c.n--; c.n <= 0 {
		m.counts.delete(key)
	}
	return nil
}

// Reset implements [CounterStore].
func (m *memoryCounters) Reset(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts.delete(key)
	return nil
}
