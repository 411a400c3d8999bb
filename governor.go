package jwtauth

import (
	"context"
	"sync"
	"time"
)

// governor bounds the hashes in flight. Hashing is the one thing here that is
// made to be slow: unbounded, a few hundred logins at once take all memory and
// starve every other request of the process. The few that run take a slot, a
// few more wait in a short queue, first come first served, and everybody else
// is told at once to come back.
//
// Strangers pass a gate of their own first, which leaves a slot free, or where
// there is only one, the place right behind it. So devices that have logged in
// before get through a flood of strangers. An account has one hash at a time
// that comes before strangers: whoever shares the token of their own device with
// a thousand machines gets no further by it.
type governor struct {
	slots     turnstile
	strangers turnstile
	maxWait   time.Duration // for both together

	mu    sync.Mutex
	ahead map[string]bool // the accounts that have a hash before strangers
}

func newGovernor(concurrent, queue int, maxWait time.Duration) *governor {
	return &governor{
		slots:     newTurnstile(concurrent, queue),
		strangers: newTurnstile(max(1, concurrent-1), queue),
		maxWait:   maxWait,
		ahead:     make(map[string]bool),
	}
}

// acquire takes a slot and returns how to give it back, or returns an error and
// holds nothing. account is the one that a known device belongs to, "" for
// strangers.
func (g *governor) acquire(ctx context.Context, account string) (release func(), err error) {
	timeout := time.NewTimer(g.maxWait)
	defer timeout.Stop()
	if !g.claim(account) {
		return g.acquireAsStranger(ctx, timeout.C)
	}
	if err := g.slots.enter(ctx, timeout.C); err != nil {
		g.unclaim(account)
		return nil, err
	}
	return func() { g.slots.leave(); g.unclaim(account) }, nil
}

func (g *governor) acquireAsStranger(ctx context.Context, timeout <-chan time.Time) (release func(), err error) {
	if err := g.strangers.enter(ctx, timeout); err != nil {
		return nil, err
	}
	if err := g.slots.enter(ctx, timeout); err != nil {
		g.strangers.leave()
		return nil, err
	}
	return func() { g.slots.leave(); g.strangers.leave() }, nil
}

// claim reports whether a hash for the account comes before strangers.
func (g *governor) claim(account string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if account == "" || g.ahead[account] {
		return false
	}
	g.ahead[account] = true
	return true
}

func (g *governor) unclaim(account string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.ahead, account)
}

// busy is how many slots are in use.
func (g *governor) busy() int { return len(g.slots.inside) }

// turnstile lets a number of callers in, and a number of others wait.
type turnstile struct {
	inside chan struct{}
	queue  chan struct{}
}

func newTurnstile(inside, queue int) turnstile {
	return turnstile{inside: make(chan struct{}, inside), queue: make(chan struct{}, queue)}
}

// enter waits until there is room, ctx ends or timeout has something.
func (t turnstile) enter(ctx context.Context, timeout <-chan time.Time) error {
	if ctx.Err() != nil {
		return ErrUnavailable.because(context.Cause(ctx))
	}
	select {
	case t.inside <- struct{}{}: // never ahead of the queue: who waits is already sending
		return nil
	default:
	}
	select {
	case t.queue <- struct{}{}:
		defer func() { <-t.queue }()
	default:
		return ErrOverloaded
	}
	select {
	case t.inside <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ErrUnavailable.because(context.Cause(ctx))
	case <-timeout:
		return ErrOverloaded
	}
}

func (t turnstile) leave() { <-t.inside }
