package jwtauth

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Lock says that an account takes no password from strangers at present: a tier
// of [LockoutConfig.Account] is used up. Devices and addresses that the account
// knows still have their own budget.
type Lock struct {
	// UserID is the account.
	UserID string
	// Since is when the last wrong password was counted that locked it, and
	// Address where that came from. Both are empty from [Auth.LockOf].
	Since   time.Time
	Address string
	// Failures and Per are the tier that is used up; of several, the one that
	// lasts longest.
	Failures int
	Per      time.Duration
	// Until is when the next password is taken.
	Until time.Time
}

// LockOf returns the lock of an account; false if it has none at present. It
// reads the counters of one account and counts nothing.
func (a *Auth) LockOf(ctx context.Context, userID string) (lock Lock, locked bool, err error) {
	if a.cfg.Lockout.Disabled {
		return Lock{}, false, nil
	}
	budget := counted{accountTries(userID), a.cfg.Lockout.Account}
	now := a.now()
	for i, tier := range budget.tiers {
		// A limit of 0 admits nobody: the counter is read.
		got, err := a.counters.Hit(ctx, budget.tier(i), 0, tier.Per, now)
		if err != nil {
			return Lock{}, false, storeFault(err)
		}
		if got.N >= tier.Failures && got.Reset.After(lock.Until) {
			lock, locked = Lock{UserID: userID, Failures: tier.Failures, Per: tier.Per, Until: got.Reset}, true
		}
	}
	return lock, locked, nil
}

// LockQuery asks for one page of locks.
type LockQuery struct {
	// Before is the next of the page before; "" for the first page.
	Before string
	// Limit is how many records of locks are looked at: 1 to 200; 0 means 50.
	// The page has at most as many accounts.
	Limit int
}

// Locks returns accounts that are locked at present, the latest lock first, each
// once a page. next asks for the page after; "" if this was the last one. A page
// may be empty and not be the last.
//
// Each lock leaves an [EventLock]. Locks looks at those that the longest tier
// reaches back to, and asks the counters of each account, so that a lock that
// has ended, or was lifted, is not among them. It costs one page of the trail and
// a read for each tier of each account on it, however many accounts there are.
// A lock whose record was purged is not found: keep [AuditConfig.Retention] above
// the longest tier. A [MemoryStore] keeps few records, so with one the Auth
// remembers its newest 10,000 locks by itself. [Auth.LockOf] depends on neither.
func (a *Auth) Locks(ctx context.Context, q LockQuery) (locks []Lock, next string, err error) {
	if q.Limit < 0 || q.Limit > 200 {
		return nil, "", ErrInvalidInput.saying("A page has 1 to 200 locks.", "limit")
	}
	defaultTo(&q.Limit, 50)
	if a.cfg.Lockout.Disabled {
		return nil, "", nil
	}
	find := a.lockRecords
	if a.locks != nil {
		find = a.locks.page
	}
	found, next, err := find(ctx, q)
	if err == nil {
		locks, err = a.stillLocked(ctx, found)
	}
	if err != nil {
		return nil, "", err
	}
	return locks, next, nil
}

// lockRecords reads one page of what the trail says about locks.
func (a *Auth) lockRecords(ctx context.Context, q LockQuery) (found []Lock, next string, err error) {
	events, err := a.Events(ctx, EventFilter{Name: EventLock, From: a.now().Add(-a.longestLock()), Before: q.Before, Limit: q.Limit})
	if err != nil {
		return nil, "", err
	}
	for _, e := range events {
		found = append(found, Lock{UserID: e.UserID, Since: e.Time, Address: e.Address})
	}
	if len(events) == q.Limit {
		next = events[len(events)-1].ID
	}
	return found, next, nil
}

// stillLocked asks about each account once.
func (a *Auth) stillLocked(ctx context.Context, found []Lock) (locks []Lock, err error) {
	seen := map[string]bool{"": true} // the lock of a name that nobody has
	for _, c := range found {
		if seen[c.UserID] {
			continue
		}
		seen[c.UserID] = true
		lock, locked, err := a.LockOf(ctx, c.UserID)
		if err != nil {
			return nil, err
		}
		if locked {
			lock.Since, lock.Address = c.Since, c.Address
			locks = append(locks, lock)
		}
	}
	return locks, nil
}

// longestLock is how long ago a lock of the present can have begun.
func (a *Auth) longestLock() (longest time.Duration) {
	for _, tier := range a.cfg.Lockout.Account {
		longest = max(longest, tier.Per)
	}
	return longest
}

// maxRememberedLocks bounds what [lockMemory] holds.
const maxRememberedLocks = 10_000

// lockMemory remembers locks where the trail is one that drops records while they
// are new: such a trail is in memory, so this process is the only one there is. A
// nil one remembers nothing.
type lockMemory struct {
	mu    sync.Mutex
	locks map[string]Lock // by user
}

// newLockMemory returns nil where the trail can be relied on.
func newLockMemory(trail AuditStore) *lockMemory {
	if _, _, bounded := partOf[auditBounded](trail); !bounded {
		return nil
	}
	return &lockMemory{locks: make(map[string]Lock)}
}

// note remembers a lock. If there are too many, the oldest tenth makes way.
func (m *lockMemory) note(l Lock) {
	if m == nil || l.UserID == "" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.locks[l.UserID] = l
	if len(m.locks) > maxRememberedLocks {
		for _, old := range m.sorted()[maxRememberedLocks*9/10:] {
			delete(m.locks, old.UserID)
		}
	}
}

func (m *lockMemory) forget(userID string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.locks, userID)
}

// page has the latest locks first. Its places are times and users, so that a page
// is right whatever came or went since the one before.
func (m *lockMemory) page(_ context.Context, q LockQuery) (page []Lock, next string, err error) {
	var last Lock
	if q.Before != "" {
		at, user, _ := strings.Cut(q.Before, " ")
		last.UserID = user
		if last.Since, err = time.Parse(time.RFC3339Nano, at); err != nil {
			return nil, "", ErrInvalidInput.saying("This is not the end of a page.", "before")
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.sorted() {
		if q.Before != "" && latestLock(l, last) <= 0 {
			continue
		}
		page = append(page, l)
		if len(page) == q.Limit {
			return page, l.Since.Format(time.RFC3339Nano) + " " + l.UserID, nil
		}
	}
	return page, "", nil
}

// sorted has the latest lock first. It needs mu.
func (m *lockMemory) sorted() []Lock { return slices.SortedFunc(maps.Values(m.locks), latestLock) }

func latestLock(x, y Lock) int {
	return cmp.Or(y.Since.Compare(x.Since), cmp.Compare(x.UserID, y.UserID))
}
