package redisstore

import (
	"context"
	"errors"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

var (
	hit    = newScript("hit")
	refund = newScript("refund")
)

// Hit implements [jwtauth.CounterStore] with one command. A window that is not
// positive is an error, since it would limit nothing.
func (s *Store) Hit(ctx context.Context, key string, limit int, window time.Duration, now time.Time) (jwtauth.Count, error) {
	if err := ctx.Err(); err != nil {
		return jwtauth.Count{}, err
	}
	if window <= 0 {
		return jwtauth.Count{}, fault("Hit", errors.New("window of a counter is not positive"))
	}
	reply, err := s.run(ctx, hit, []string{s.counterKey(key)},
		stamp(now), stamp(now.Add(window)), limit, keepFor(window).Milliseconds()).Slice()
	if err != nil {
		return jwtauth.Count{}, fault("Hit", err)
	}
	if len(reply) != 3 {
		return jwtauth.Count{}, fault("Hit", errCorrupt)
	}
	n, isNumber := reply[0].(int64)
	admitted, end, err := flagAndText(reply[1:])
	if err != nil || !isNumber {
		return jwtauth.Count{}, fault("Hit", errCorrupt)
	}
	reset, err := parseStamp(end)
	if err != nil {
		return jwtauth.Count{}, fault("Hit", err)
	}
	return jwtauth.Count{N: int(n), Admitted: admitted, Reset: reset}, nil
}

// Refund implements [jwtauth.CounterStore] with one command. A count that comes
// back to zero is forgotten, so what always succeeds takes no memory.
func (s *Store) Refund(ctx context.Context, key string, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return fault("Refund", s.run(ctx, refund, []string{s.counterKey(key)}, stamp(now)).Err())
}

// Reset implements [jwtauth.CounterStore] with one command.
func (s *Store) Reset(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return fault("Reset", s.client.Del(ctx, s.counterKey(key)).Err())
}
