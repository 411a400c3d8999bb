package integration_test

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/internal/integration"
	"github.com/go-jwtauth/jwtauth/sqlstore"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// expiring stores n entries of each of the five kinds that expire, an hour
// apart from start on.
func expiring(t *testing.T, s *sqlstore.Store, n int, start time.Time) {
	t.Helper()
	for i := range n {
		id, end := fmt.Sprint(i), start.Add(time.Duration(i)*time.Hour)
		x := jwtauth.Session{ID: id, UserID: "1", Generation: 1, Created: start.Add(-time.Hour), Moved: start, Expires: end}
		_, err := s.CreateSession(t.Context(), x, jwtauth.SessionLimit{})
		must(t, err)
		must(t, s.Revoke(t.Context(), jwtauth.Revocation{SessionID: "s", Generation: int64(i + 2), Expires: end}))
		must(t, s.PutCode(t.Context(), jwtauth.OneTimeCode{Key: id, Hash: []byte("h"), Attempts: 1, Expires: end}))
		_, err = s.ClaimOnce(t.Context(), id, end.Add(-time.Hour), end)
		must(t, err)
		_, err = s.Hit(t.Context(), id, 1, time.Hour, end.Add(-time.Hour))
		must(t, err)
	}
}

func rowsLeft(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	must(t, db.QueryRowContext(t.Context(), `SELECT (SELECT COUNT(*) FROM jwtauth_sessions) + (SELECT COUNT(*) FROM jwtauth_revocations) +
		(SELECT COUNT(*) FROM jwtauth_codes) + (SELECT COUNT(*) FROM jwtauth_claims) + (SELECT COUNT(*) FROM jwtauth_counters)`).Scan(&n))
	return n
}

func TestPurgeDropsWhatExpiredAndNothingElse(t *testing.T) {
	onEach(t, func(t *testing.T, empty func(t testing.TB) integration.Database) {
		d := empty(t)
		db := d.Open(t)
		s := integration.Migrated(t, db, d.Flavour)
		start := time.Now().UTC().Truncate(time.Second)
		expiring(t, s, 4, start)
		for hour, left := range []int{20, 15, 10, 5} {
			now := start.Add(time.Duration(hour) * time.Hour)
			_, err := s.Purge(t.Context(), now, 100)
			must(t, err)
			if got := rowsLeft(t, db); got != left {
				t.Errorf("at the end of entry %d: %d rows are left, want %d", hour, got, left)
			}
			revoked, err := s.Revoked(t.Context(), jwtauth.TokenRef{SessionID: "s", Generation: int64(hour + 1), Now: now})
			must(t, err)
			if !revoked {
				t.Errorf("watermark %d is gone before its end", hour)
			}
		}
	})
}

func TestPurgeTakesOneBatchOfEach(t *testing.T) {
	onEach(t, func(t *testing.T, empty func(t testing.TB) integration.Database) {
		s := empty(t).Store(t)
		start := time.Now().UTC().Truncate(time.Second)
		expiring(t, s, 5, start)
		for _, want := range []int{10, 10, 5, 0} {
			got, err := s.Purge(t.Context(), start.Add(24*time.Hour), 2)
			must(t, err)
			if got != want {
				t.Errorf("Purge by twos dropped %d rows, want %d", got, want)
			}
		}
		if _, err := s.Purge(t.Context(), start, 0); err == nil {
			t.Error("Purge by nothing: no error")
		}
	})
}

// TestPurgeDoesNotWaitForALogin holds the row that is next to go.
func TestPurgeDoesNotWaitForALogin(t *testing.T) {
	d := integration.Postgres(t)
	db := d.Open(t)
	s := integration.Migrated(t, db, d.Flavour)
	start := time.Now().UTC().Truncate(time.Second)
	expiring(t, s, 2, start)
	tx, err := db.BeginTx(t.Context(), nil)
	must(t, err)
	defer tx.Rollback()
	_, err = tx.ExecContext(t.Context(), "SELECT 1 FROM jwtauth_sessions WHERE id = '0' FOR UPDATE")
	must(t, err)
	n, err := s.Purge(t.Context(), start.Add(24*time.Hour), 100)
	must(t, err)
	if n != 9 {
		t.Errorf("Purge beside a row that is held dropped %d rows, want the 9 others", n)
	}
}
