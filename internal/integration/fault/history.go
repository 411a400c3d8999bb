// Package fault is a laboratory: servers that are killed while clients use them,
// a log of what each client was told, and a checker that looks for a promise that
// was not kept. The checker is tested itself, on servers with planted bugs.
//
// A short run is part of the tests. A long one:
//
//	go test ./fault -run Kills -timeout 1h -fault.kills 200 -fault.seed 7
package fault

import (
	"fmt"
	"sync"
	"time"
)

// The operations of clients.
const (
	Register = "register"
	Login    = "login"
	Refresh  = "refresh"
	Validate = "validate"
	Revoke   = "revoke"
	List     = "list"
	Reset    = "reset"
)

// Operations are all of them.
var Operations = []string{Register, Login, Refresh, Validate, Revoke, List, Reset}

// Entry is one request and what the client was told. What does not concern an
// operation is empty.
type Entry struct {
	Op     string
	Client int
	// Node is the server that was asked.
	Node int
	// Start and End are moments of one clock for all clients.
	Start, End time.Duration
	// Status is that of the answer; 0 if none came, so that nobody knows what
	// was done.
	Status int

	// User is the name of the account, and its address without the domain.
	User string
	// Session is the one that was opened or used.
	Session string
	// TokenID is that of the access token that was issued, used or revoked.
	TokenID string
	// Secret is the refresh token or the one-time secret that was presented.
	Secret string
	// Count is the number of sessions that were listed.
	Count int
}

// acknowledged reports whether the client was told that it is done.
func (e Entry) acknowledged() bool { return e.Status == 200 }

func (e Entry) String() string {
	return fmt.Sprintf("client %d, node %d, %v–%v: %s %s (session %s, token %s): %d", e.Client, e.Node,
		e.Start.Round(time.Millisecond), e.End.Round(time.Millisecond), e.Op, e.User, e.Session, e.TokenID, e.Status)
}

// History is the log of all clients.
type History struct {
	begin   time.Time
	mu      sync.Mutex
	entries []Entry
}

// NewHistory starts a log and its clock.
func NewHistory() *History { return &History{begin: time.Now()} }

// now is the clock. It is monotonic.
func (h *History) now() time.Duration { return time.Since(h.begin) }

func (h *History) add(e Entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.entries = append(h.entries, e)
}

// Entries returns what is there.
func (h *History) Entries() []Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Entry(nil), h.entries...)
}

// complete reports whether every operation has succeeded at least once.
func (h *History) complete() bool {
	done := make(map[string]bool)
	for _, e := range h.Entries() {
		done[e.Op] = done[e.Op] || e.acknowledged()
	}
	for _, op := range Operations {
		if !done[op] {
			return false
		}
	}
	return true
}
