package webhook

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/go-jwtauth/jwtauth"
)

// EndpointStatus is how an endpoint is doing.
type EndpointStatus = jwtauth.WebhookStatus

// Backlog returns, for each endpoint that was ever seen, how many events come
// after the last one it is done with: those that have a place in the trail
// already.
func (d *Dispatcher) Backlog(ctx context.Context) (map[string]int64, error) {
	backlog := make(map[string]int64, len(d.senders))
	end, at, err := d.places(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range d.senders {
		if sequence, ok := at[cursorName(s.Name)]; ok {
			backlog[s.Name] = max(end-sequence, 0)
		}
	}
	return backlog, nil
}

// places returns the end of the trail and where each cursor is.
func (d *Dispatcher) places(ctx context.Context) (end int64, at map[string]int64, err error) {
	cursors, err := d.cfg.Cursors.Cursors(ctx)
	if err != nil {
		return 0, nil, fmt.Errorf("webhook: cursors not read: %w", err)
	}
	if end, err = d.auth.TrailEnd(ctx); err != nil {
		return 0, nil, err
	}
	at = make(map[string]int64, len(cursors))
	for _, c := range cursors {
		at[c.Name] = c.Sequence
	}
	return end, at, nil
}

// Status returns how each endpoint is doing, in the order of the configuration.
func (d *Dispatcher) Status(ctx context.Context) ([]EndpointStatus, error) {
	end, at, err := d.places(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]EndpointStatus, len(d.senders))
	for i, s := range d.senders {
		dead, err := d.DeadLetters(ctx, s.Name, 0, 1000)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		list[i] = s.status
		s.mu.Unlock()
		list[i].Dead = len(dead)
		if sequence, ok := at[cursorName(s.Name)]; ok {
			list[i].Sequence, list[i].Backlog = sequence, max(end-sequence, 0)
		}
	}
	return list, nil
}

// DeadLetters returns up to limit events that an endpoint was not given, with a
// Sequence above after, in its order. They stay until [Dispatcher.Redeliver].
// [jwtauth.ErrNotFound] if there is no such endpoint.
func (d *Dispatcher) DeadLetters(ctx context.Context, endpoint string, after int64, limit int) ([]jwtauth.DeadLetter, error) {
	s, err := d.sender(endpoint)
	if err != nil {
		return nil, err
	}
	list, err := d.cfg.Cursors.DeadLetters(ctx, cursorName(s.Name), after, limit)
	for i := range list {
		list[i].Cursor = s.Name
	}
	return list, err
}

func (d *Dispatcher) sender(endpoint string) (*sender, error) {
	for _, s := range d.senders {
		if s.Name == endpoint {
			return s, nil
		}
	}
	return nil, jwtauth.ErrNotFound
}

// Redeliver sends one event again, once and out of turn, and drops its dead
// letter if the receiver takes it. It waits for the receiver, for
// [Endpoint.Timeout] at most, so a handler that calls it does too. It makes no
// dead letter and does not move the endpoint's place. [jwtauth.ErrNotFound] if
// there is no such endpoint or the event was purged.
func (d *Dispatcher) Redeliver(ctx context.Context, endpoint string, sequence int64) error {
	s, err := d.sender(endpoint)
	if err != nil {
		return err
	}
	events, err := d.auth.Follow(ctx, sequence-1, 1)
	if err != nil {
		return err
	}
	if len(events) == 0 || events[0].Sequence != sequence {
		return jwtauth.ErrNotFound
	}
	if err := s.post(ctx, events[0]); err != nil {
		return fmt.Errorf("webhook: event %d not delivered: %w", sequence, err)
	}
	err = d.cfg.Cursors.DropDeadLetter(ctx, cursorName(s.Name), sequence)
	if errors.Is(err, jwtauth.ErrNotFound) {
		return nil
	}
	return err
}

// Replay makes an endpoint begin again with an event, or go on after what is
// skipped: the next one that is sent is the first with a Sequence of at least
// from. It takes the cursor away from whoever sends at the moment, here or in
// another process, so that an attempt under way can't undo it; sending goes on
// within a minute or two.
func (d *Dispatcher) Replay(ctx context.Context, endpoint string, from int64) error {
	s, err := d.sender(endpoint)
	if err != nil {
		return err
	}
	if from < 1 {
		return errors.New("webhook: the trail begins with event 1")
	}
	holder, name := rand.Text(), cursorName(s.Name)
	if err := d.take(ctx, name, holder); err != nil {
		return fmt.Errorf("webhook: replay: %w", err)
	}
	err = d.cfg.Cursors.MoveCursor(ctx, name, holder, from-1, d.cfg.Now())
	err = errors.Join(err, d.cfg.Cursors.ReleaseCursor(context.WithoutCancel(ctx), name, holder))
	s.unhold()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return err
}

// take makes holder the holder of a cursor, whoever that is now.
func (d *Dispatcher) take(ctx context.Context, name, holder string) error {
	const tries = 10
	var err error
	for range tries {
		now := d.cfg.Now()
		_, err = d.cfg.Cursors.HoldCursor(ctx, name, holder, 0, now, now.Add(holdMargin))
		if !errors.Is(err, jwtauth.ErrConflict) {
			return err
		}
		cursors, listErr := d.cfg.Cursors.Cursors(ctx)
		if listErr != nil {
			return listErr
		}
		for _, c := range cursors {
			if c.Name == name {
				err = errors.Join(err, d.cfg.Cursors.ReleaseCursor(ctx, name, c.Holder))
			}
		}
	}
	return err
}
