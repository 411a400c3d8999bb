package integration_test

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/internal/integration"
)

var scale = flag.Int("scale.users", 0, "compare the cost of operations at 1,000 users with that at so many, on PostgreSQL")

// loading makes accounts, five sessions for each, one revoked token and four counters,
// as they would be after some time of use. $1 and $2 are the
// first and the last number, $3 is now, $4 the hash of the password.
var loading = []string{
	`INSERT INTO jwtauth_users (place, id, live, version, credential_version, login, email, login_key, email_key, display_name,
		password_hash, roles, identities, meta, disabled, email_verified, created)
		SELECT i, i::text, TRUE, 1, 1, 'user'||i, 'user'||i||'@example.com', 'user'||i, 'user'||i||'@example.com', 'User '||i,
		$4, '["subscriber"]', '[]', '{}', FALSE, TRUE, $3 FROM generate_series($1::bigint, $2::bigint) i`,
	`INSERT INTO jwtauth_keys (name, place) SELECT 'user'||i||s, i FROM generate_series($1::bigint, $2::bigint) i, (VALUES (''), ('@example.com')) v(s)`,
	`INSERT INTO jwtauth_sessions (id, user_id, credential_version, generation, secret_id, created, moved, expires, address, user_agent, device_id)
		SELECT md5(i||' '||s), i::text, 1, 1, 'secret', $3, $3, $3 + 2592000000000, '192.0.2.1', 'Mozilla/5.0 (X11; Linux x86_64)', ''
		FROM generate_series($1::bigint, $2::bigint) i, generate_series(1, 5) s`,
	`INSERT INTO jwtauth_revocations (kind, id, mark, from_at, expires)
		SELECT 1, md5('t'||i), 0, 0, $3 + 3600000000 FROM generate_series($1::bigint, $2::bigint) i`,
	`INSERT INTO jwtauth_counters (name, n, expires)
		SELECT 'try:account:'||i||':'||s, 1, $3 + 3600000000 FROM generate_series($1::bigint, $2::bigint) i, generate_series(3, 6) s`,
}

// TestCostStaysTheSameWithManyUsers is run by hand, with -scale.users: it takes
// minutes and gigabytes. Every operation must take at most twice as long.
func TestCostStaysTheSameWithManyUsers(t *testing.T) {
	if *scale == 0 {
		t.Skip("a measurement, by hand: -scale.users 1000000")
	}
	d := integration.Postgres(t)
	db := d.Open(t)
	store := integration.Migrated(t, db, d.Flavour)
	template, err := newAuth(t, store, nil).CreateUser(t.Context(), jwtauth.Registration{Username: "template", Email: "template@example.com", Password: passphrase})
	must(t, err)
	stored, err := store.UserByID(t.Context(), template.ID)
	must(t, err)
	const few, first = 1000, 100
	load(t, db, first, first+few-1, string(stored.PasswordHash))
	small := measure(t, store, first, few)
	load(t, db, first+few, first+*scale-1, string(stored.PasswordHash))
	large := measure(t, store, first, *scale)
	for _, op := range operations() {
		t.Logf("| %s | %v | %v | %.2f |", op.name, small[op.name], large[op.name], float64(large[op.name])/float64(small[op.name]))
		if large[op.name] > 2*small[op.name] {
			t.Errorf("%s takes more than twice as long with %d users", op.name, *scale)
		}
	}
}

// load makes the accounts with these numbers, and lets the server see to its
// statistics as it would in time.
func load(t *testing.T, db *sql.DB, from, to int, hash string) {
	t.Helper()
	const step = 50_000
	for ; from <= to; from += step {
		for _, text := range loading {
			args := []any{from, min(from+step-1, to), time.Now().UnixMicro()}
			if text == loading[0] {
				args = append(args, hash)
			} else if text == loading[1] {
				args = args[:2]
			}
			_, err := db.ExecContext(t.Context(), text, args...)
			must(t, err)
		}
	}
	for _, text := range []string{
		"SELECT setval('jwtauth_place', GREATEST(nextval('jwtauth_place'), 1000000000))", // out of the way
		"VACUUM ANALYZE", "CHECKPOINT",
	} {
		_, err := db.ExecContext(t.Context(), text)
		must(t, err)
	}
}

// measure returns the time of each operation that a tenth of its runs stay below,
// for accounts spread over all: what else the machine does shows least there.
func measure(t *testing.T, store jwtauth.Store, first, users int) map[string]time.Duration {
	t.Helper()
	ctx := caller(t.Context())
	quick := make(map[string]time.Duration)
	for _, op := range operations() {
		a := newAuth(t, store, op.change)
		const runs = 100
		took := make([]time.Duration, runs)
		for i := range took {
			took[i] = one(t, ctx, a, op, fmt.Sprintf("user%d", first+i*users/runs))
		}
		slices.Sort(took)
		quick[op.name] = took[runs/10].Round(time.Microsecond)
	}
	return quick
}

func one(t *testing.T, ctx context.Context, a *jwtauth.Auth, op operation, login string) time.Duration {
	t.Helper()
	run, err := op.prepare(ctx, a, login)
	must(t, err)
	start := time.Now()
	must(t, run())
	return time.Since(start)
}
