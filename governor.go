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
type governor struct {
	slots   chan struct{} // holds one for each computation that runs
	queue   chan struct{} // holds one for each caller that waits
	maxWait time.Duration
}

func newGovernor(concurrent, queue int, maxWait time.Duration) *governor {
	return &governor{
		slots:   make(chan struct{}, concurrent),
		queue:   make(chan struct{}, queue),
		maxWait: maxWait,
	}
}

// acquire takes a slot, or returns an error and holds nothing. It is the single
// way to one, so that this is the place where some callers may come first.
func (g *governor) acquire(ctx context.Context) error {
	if ctx.Err() != nil {
		return ErrUnavailable.because(context.Cause(ctx))
	}
	select {
	case g.slots <- struct{}{}: // never ahead of the queue: who waits is already sending
		return nil
	default:
	}
	select {
	case g.queue <- struct{}{}:
		defer func() { <-g.queue }()
	default:
		return ErrOverloaded
	}
	return g.wait(ctx)
}

func (g *governor) wait(ctx context.Context) error {
	timeout := time.NewTimer(g.maxWait)
	defer timeout.Stop()
	select {
	case g.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ErrUnavailable.because(context.Cause(ctx))
	case <-timeout.C:
		return ErrOverloaded
	}
}

func (g *governor) release() { <-g.slots }
