package fault

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// Presence is what is left of an account at the end.
type Presence struct {
	ByName, ByEmail bool
	// ID is that of the account, "" without one.
	ID string
	// Sessions is the number of those that are live.
	Sessions int
}

// Final is the state of the store when everything is over.
type Final struct {
	// Accounts has each name that a client tried to register.
	Accounts map[string]Presence
	// Trail is the whole audit trail, and Chain what its verification said.
	Trail []jwtauth.Event
	Chain error
}

// Violation is a promise that was not kept.
type Violation struct {
	// Invariant is one of the constants below.
	Invariant string
	Detail    string
}

// The promises.
const (
	OneSuccessor   = "a refresh token is accepted once"
	RevokedIsOver  = "nothing is accepted after its revocation was acknowledged, on any node"
	NothingLost    = "an acknowledged registration is there, and none is half there"
	EveryRecord    = "an acknowledged action has its record"
	ChainHolds     = "the audit trail verifies"
	LimitHolds     = "there are never more sessions than the limit"
	OneTimeIsOnce  = "a one-time secret is accepted once"
	OldSessionsEnd = "a password that was reset ends the sessions before"
)

// Check looks for violations.
func Check(entries []Entry, final Final, limit int) []Violation {
	c := checker{entries: entries, final: final, limit: limit}
	c.onceEach(Refresh, OneSuccessor)
	c.onceEach(Reset, OneTimeIsOnce)
	c.revokedIsOver()
	c.resetEndsSessions()
	c.registrations()
	c.limits()
	c.records()
	if final.Chain != nil {
		c.found(ChainHolds, "%v", final.Chain)
	}
	return c.violations
}

type checker struct {
	entries    []Entry
	final      Final
	limit      int
	violations []Violation
}

func (c *checker) found(invariant, format string, args ...any) {
	c.violations = append(c.violations, Violation{invariant, fmt.Sprintf(format, args...)})
}

// onceEach wants at most one success for each secret that was presented.
func (c *checker) onceEach(op, invariant string) {
	first := make(map[string]Entry)
	for _, e := range c.entries {
		if e.Op != op || e.Secret == "" || !e.acknowledged() {
			continue
		}
		if other, twice := first[e.Secret]; twice {
			c.found(invariant, "%v, and %v", other, e)
		}
		first[e.Secret] = e
	}
}

// used reports whether an entry shows that a session was accepted.
func (e Entry) used() bool {
	return e.acknowledged() && (e.Op == Validate || e.Op == Refresh || e.Op == List)
}

func (c *checker) revokedIsOver() {
	over := make(map[string]Entry) // the first acknowledged revocation of each session
	for _, e := range c.entries {
		if known, ok := over[e.Session]; e.Op == Revoke && e.acknowledged() && (!ok || e.End < known.End) {
			over[e.Session] = e
		}
	}
	for _, e := range c.entries {
		if r, ok := over[e.Session]; ok && e.used() && e.Start > r.End {
			c.found(RevokedIsOver, "%v, and then %v", r, e)
		}
	}
}

func (c *checker) resetEndsSessions() {
	resets := make(map[string]Entry)
	opened := make(map[string]time.Duration) // when the login was answered
	for _, e := range c.entries {
		switch {
		case e.Op == Reset && e.acknowledged():
			resets[e.User] = e
		case (e.Op == Login || e.Op == Register) && e.acknowledged():
			opened[e.Session] = e.End
		}
	}
	for _, e := range c.entries {
		r, reset := resets[e.User]
		at, known := opened[e.Session]
		if reset && known && e.used() && at < r.Start && e.Start > r.End {
			c.found(OldSessionsEnd, "%v, and then %v", r, e)
		}
	}
}

func (c *checker) registrations() {
	acknowledged := make(map[string]Entry)
	for _, e := range c.entries {
		if e.Op == Register && e.acknowledged() {
			acknowledged[e.User] = e
		}
	}
	for _, user := range slices.Sorted(maps.Keys(c.final.Accounts)) {
		p := c.final.Accounts[user]
		if e, ok := acknowledged[user]; ok && !p.ByName && !p.ByEmail {
			c.found(NothingLost, "%v, and the account is not there", e)
		}
		if p.ByName != p.ByEmail {
			c.found(NothingLost, "%s is found by name: %t, by address: %t", user, p.ByName, p.ByEmail)
		}
	}
}

func (c *checker) limits() {
	for _, e := range c.entries {
		if e.Op == List && e.Count > c.limit {
			c.found(LimitHolds, "%v: %d sessions", e, e.Count)
		}
	}
	for user, p := range c.final.Accounts {
		if p.Sessions > c.limit {
			c.found(LimitHolds, "%s has %d sessions at the end", user, p.Sessions)
		}
	}
}

// eventOf is the name of the record that an operation leaves.
var eventOf = map[string]string{
	Register: jwtauth.EventRegister,
	Login:    jwtauth.EventLogin,
	Refresh:  jwtauth.EventRefresh,
	Revoke:   jwtauth.EventRevoke,
	Reset:    jwtauth.EventReset,
}

// records wants one for each acknowledged action: by the token that it issued or
// revoked, or by the account. A token may be revoked twice, by a client that got
// no answer the first time.
func (c *checker) records() {
	type key struct{ event, id string }
	count := make(map[key]int)
	for _, e := range c.final.Trail {
		if e.Result == jwtauth.ResultOK {
			count[key{e.Name, e.TokenID}]++
			count[key{e.Name, "user " + e.UserID}]++
		}
	}
	for _, e := range c.entries {
		event, recorded := eventOf[e.Op]
		if !recorded || !e.acknowledged() {
			continue
		}
		k := key{event, e.TokenID}
		if e.Op == Reset || e.Op == Register {
			k.id = "user " + c.final.Accounts[e.User].ID
		}
		if n := count[k]; n == 0 || n > 1 && e.Op != Revoke {
			c.found(EveryRecord, "%v: %d records", e, n)
		}
	}
}
