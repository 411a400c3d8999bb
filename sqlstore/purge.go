package sqlstore

import (
	"context"
	"errors"
	"time"
)

// Each statement drops some of the entries of a table that have expired. In
// PostgreSQL it passes over rows that somebody holds; the index on expires finds
// the rows, so what has not expired is neither read nor locked.
var (
	purgeSessions    = purgeOf("jwtauth_sessions", "id")
	purgeRevocations = purgeOf("jwtauth_revocations", "kind, id, mark")
	purgeCodes       = purgeOf("jwtauth_codes", "name")
	purgeClaims      = purgeOf("jwtauth_claims", "name")
	purgeCounters    = purgeOf("jwtauth_counters", "name")

	purgeStatements = []*statement{&purgeSessions, &purgeRevocations, &purgeCodes, &purgeClaims, &purgeCounters}
)

// purgeOf is called with constants alone.
func purgeOf(table, key string) statement {
	del := `DELETE FROM ` + table + ` WHERE `
	chosen := `(` + key + `) IN (SELECT ` + key + ` FROM ` + table + ` WHERE expires < ? ORDER BY expires LIMIT ?`
	return statement{
		sqlite:   del + chosen + `)`,
		postgres: del + chosen + ` FOR UPDATE SKIP LOCKED)`,
		mysql:    del + `expires < ? ORDER BY expires LIMIT ?`,
	}
}

// purgeMargin is how long an entry stays after it expired: a node whose clock
// lags behind by less still finds what it has to.
const purgeMargin = 10 * time.Minute

// Purge drops sessions, revocations, one-time secrets and counters that expired
// ten minutes before now or earlier, at most batch of each, and returns how many.
// Call it every minute or so, again at once while it returns more than 0. Each
// batch is a statement of its own and holds locks for the moment that takes: 500
// is a good size. Forgetting to call it costs space and nothing else.
func (s *Store) Purge(ctx context.Context, now time.Time, batch int) (int, error) {
	if batch < 1 {
		return 0, errors.New("sqlstore: a batch has at least one row")
	}
	total := 0
	for _, q := range purgeStatements {
		err := s.write(ctx, func(ctx context.Context, r run) error {
			n, err := r.changed(ctx, q, micros(now.Add(-purgeMargin)), batch)
			total += int(n)
			return err
		})
		if err != nil {
			return total, err
		}
	}
	return total, nil
}
