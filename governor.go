package jwtauth

import (
	"context"
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
// before get through a flood of strangers.
type governor struct {
	slots     turnstile
	strangers turnstile
}

func newGovernor(concurrent, queue int, maxWait time.Duration) *governor {
	return &governor{
		slots:     newTurnstile(concurrent, queue, maxWait),
		strangers: newTurnstile(max(1, concurrent-1), queue, maxWait),
	}
}

// acquire takes a slot, or returns an error and holds nothing.
func (g *governor) acquire(ctx context.Context, known bool) error {
	if known {
		return g.slots.enter(ctx)
	}
	if err := g.strangers.enter(ctx); err != nil {
		return err
	}
	if err := g.slots.enter(ctx); err != nil {
		g.strangers.leave()
		return err
	}
	return nil
}

func (g *governor) release(known bool) {
	g.slots.leave()
	if !known {
		g.strangers.leave()
	}
}

// busy is how many slots are in use.
func (g *governor) busy() int { return len(g.slots.inside) }

// turnstile lets a number of callers in, and a number of others wait.
type turnstile struct {
	inside  chan struct{}
	queue   chan struct{}
	maxWait time.Duration
}

func newTurnstile(inside, queue int, maxWait time.Duration) turnstile {
	return turnstile{inside: make(chan struct{}, inside), queue: make(chan struct{}, queue), maxWait: maxWait}
}

func (t turnstile) enter(ctx context.Context) error {
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
	return t.wait(ctx)
}

func (t turnstile) wait(ctx context.Context) error {
	timeout := time.NewTimer(t.maxWait)
	defer timeout.Stop()
	select {
	case t.inside <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ErrUnavailable.because(context.Cause(ctx))
	case <-timeout.C:
		return ErrOverloaded
	}
}

func (t turnstile) leave() { <-t.inside }
