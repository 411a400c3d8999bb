package jwtauth

import (
	"context"
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
// A lock whose record is gone from the trail is not found: keep
// [AuditConfig.Retention] above the longest tier, and mind that a [MemoryStore]
// keeps 10,000 records. [Auth.LockOf] does not depend on records.
func (a *Auth) Locks(ctx context.Context, q LockQuery) (locks []Lock, next string, err error) {
	if q.Limit < 0 || q.Limit > 200 {
		return nil, "", ErrInvalidInput.saying("A page has 1 to 200 locks.", "limit")
	}
	defaultTo(&q.Limit, 50)
	if a.cfg.Lockout.Disabled {
		return nil, "", nil
	}
	events, err := a.Events(ctx, EventFilter{Name: EventLock, From: a.now().Add(-a.longestLock()), Before: q.Before, Limit: q.Limit})
	if err != nil {
		return nil, "", err
	}
	seen := map[string]bool{"": true} // the lock of a name that nobody has
	for _, e := range events {
		if seen[e.UserID] {
			continue
		}
		seen[e.UserID] = true
		lock, locked, err := a.LockOf(ctx, e.UserID)
		if err != nil {
			return nil, "", err
		}
		if locked {
			lock.Since, lock.Address = e.Time, e.Address
			locks = append(locks, lock)
		}
	}
	if len(events) == q.Limit {
		next = events[len(events)-1].ID
	}
	return locks, next, nil
}

// longestLock is how long ago a lock of the present can have begun.
func (a *Auth) longestLock() (longest time.Duration) {
	for _, tier := range a.cfg.Lockout.Account {
		longest = max(longest, tier.Per)
	}
	return longest
}
