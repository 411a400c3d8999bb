package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

var (
	// hit counts in the window that is open, or opens one. It leaves the row
	// alone and returns none if the window is full. In MySQL the flag tells: 0
	// for a row that is new, one of the two below, or else the count.
	hit = statement{
		any: `INSERT INTO jwtauth_counters AS c (name, n, expires) VALUES (?, 1, ?) ON CONFLICT (name) DO UPDATE SET
			n = CASE WHEN c.expires <= ? THEN 1 ELSE c.n + 1 END,
			expires = CASE WHEN c.expires <= ? THEN excluded.expires ELSE c.expires END
			WHERE c.expires <= ? OR c.n < ? RETURNING n, expires`,
		mysql: `INSERT INTO jwtauth_counters (name, n, expires) VALUES (?, 1, ?) ON DUPLICATE KEY UPDATE
			n = IF(expires <= ?, IF(LAST_INSERT_ID(2199023255552) > 0, 1, 1),
				IF(n < ?, LAST_INSERT_ID(n + 1), IF(LAST_INSERT_ID(1099511627776) > 0, n, n))),
			expires = IF(expires <= ?, VALUES(expires), expires)`,
	}

	counter = statement{any: `SELECT n, expires FROM jwtauth_counters WHERE name = ?`}

	refund = statement{any: `UPDATE jwtauth_counters SET n = n - 1 WHERE name = ? AND expires > ? AND n > 0`}

	resetCounter = statement{any: `DELETE FROM jwtauth_counters WHERE name = ?`}

	counterStatements = []*statement{&hit, &counter, &refund, &resetCounter}
)

// What the statement flags beside counts, as powers of two.
const (
	flagFull    = 1 << 40
	flagRenewed = 1 << 41
)

// Hit implements [jwtauth.CounterStore]. A window that is not positive is an
// error, since it would limit nothing.
func (s *Store) Hit(ctx context.Context, key string, limit int, window time.Duration, now time.Time) (jwtauth.Count, error) {
	if window <= 0 {
		return jwtauth.Count{}, errors.New("sqlstore: window of a counter is not positive")
	}
	h := hitting{key: name(key), limit: limit, now: micros(now), end: micros(now.Add(window))}
	if limit < 1 {
		return s.refused(ctx, h)
	}
	var c jwtauth.Count
	err := s.write(ctx, func(ctx context.Context, r run) (err error) {
		if r.flavour == MySQL {
			c, err = r.hitFlagged(ctx, h)
		} else {
			c, err = r.hit(ctx, h)
		}
		return err
	})
	if err != nil || c.Admitted {
		return c, err
	}
	return s.refused(ctx, h)
}

// hitting is one use of a counter: end is when the window ends that it opens.
type hitting struct {
	key      string
	limit    int
	now, end int64
}

func (r run) hit(ctx context.Context, h hitting) (c jwtauth.Count, err error) {
	var end int64
	c.Admitted, err = r.row(ctx, &hit, []any{&c.N, &end}, h.key, h.end, h.now, h.now, h.now, h.limit)
	c.Reset = moment(end)
	return c, err
}

// hitFlagged is for MySQL, whose updates return no rows. The count is exact; the
// end of a window that was open before is read afterwards.
func (r run) hitFlagged(ctx context.Context, h hitting) (jwtauth.Count, error) {
	flag, err := r.flagged(ctx, &hit, h.key, h.end, h.now, h.limit, h.now)
	switch {
	case err != nil, flag == flagFull:
		return jwtauth.Count{}, err
	case flag == 0, flag == flagRenewed:
		return jwtauth.Count{N: 1, Admitted: true, Reset: moment(h.end)}, nil
	}
	c, err := r.count(ctx, h)
	c.N, c.Admitted = int(flag), true
	return c, err
}

// count reads a counter. A window that is over counts nothing.
func (r run) count(ctx context.Context, h hitting) (jwtauth.Count, error) {
	var n int
	var end int64
	found, err := r.row(ctx, &counter, []any{&n, &end}, h.key)
	if !found || end <= h.now {
		return jwtauth.Count{Reset: moment(h.end)}, err
	}
	return jwtauth.Count{N: n, Reset: moment(end)}, err
}

// refused says how full the window is that let nobody in.
func (s *Store) refused(ctx context.Context, h hitting) (c jwtauth.Count, err error) {
	err = s.read(ctx, func(ctx context.Context, r run) (err error) {
		c, err = r.count(ctx, h)
		return err
	})
	return c, err
}

// Refund implements [jwtauth.CounterStore].
func (s *Store) Refund(ctx context.Context, key string, now time.Time) error {
	return s.write(ctx, func(ctx context.Context, r run) error {
		_, err := r.exec(ctx, &refund, name(key), micros(now))
		return err
	})
}

// Reset implements [jwtauth.CounterStore].
func (s *Store) Reset(ctx context.Context, key string) error {
	return s.write(ctx, func(ctx context.Context, r run) error {
		_, err := r.exec(ctx, &resetCounter, name(key))
		return err
	})
}
