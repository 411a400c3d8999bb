package integration_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/internal/integration"
	"github.com/go-jwtauth/jwtauth/sqlstore"
)

// everyVerb uses each verb in each of the ways that have statements of their
// own. What they answer is for storetest to judge.
func everyVerb(ctx context.Context, s *sqlstore.Store) error {
	now := time.Now()
	u, errs := s.CreateUser(ctx, jwtauth.User{LoginKey: "alice", Identities: []string{"sso a 1"}, Created: now})
	add := func(err error) {
		var known *jwtauth.Error
		if !errors.As(err, &known) {
			errs = errors.Join(errs, err)
		}
	}
	_, err := s.UserByID(ctx, u.ID)
	add(err)
	_, err = s.UserByLogin(ctx, "alice")
	add(err)
	u.LoginKey = "alicia"
	_, err = s.UpdateUser(ctx, u)
	add(err)
	_, err = s.ListUsers(ctx, jwtauth.UserQuery{After: u.ID})
	add(err)
	for i, limit := range []jwtauth.SessionLimit{{}, {Max: 1}, {Max: 1, EvictOldest: true}} {
		_, err = s.CreateSession(ctx, jwtauth.Session{ID: fmt.Sprint(i), UserID: u.ID, Created: now, Expires: now.Add(time.Hour)}, limit)
		add(err)
	}
	_, _, err = s.AdvanceSession(ctx, jwtauth.SessionAdvance{SessionID: "none"})
	add(err)
	add(s.EndSession(ctx, "none"))
	_, err = s.EndSessions(ctx, u.ID, "")
	add(err)
	_, err = s.Sessions(ctx, u.ID, now)
	add(err)
	for _, q := range []jwtauth.SessionQuery{{}, {UserID: u.ID}} {
		_, _, err = s.ListSessions(ctx, q)
		add(err)
	}
	for _, r := range []jwtauth.Revocation{{TokenID: "t"}, {TokenID: "t", SessionID: "s"}, {TokenID: "t", SessionID: "s", UserID: "u"}} {
		add(s.Revoke(ctx, r))
	}
	_, err = s.Revoked(ctx, jwtauth.TokenRef{TokenID: "t"})
	add(err)
	add(s.PutCode(ctx, jwtauth.OneTimeCode{Key: "c", Hash: []byte("h"), Attempts: 1, Expires: now.Add(time.Hour)}))
	_, err = s.ConsumeCode(ctx, "c", []byte("h"), now)
	add(err)
	_, err = s.ClaimOnce(ctx, "c", now, now.Add(time.Hour))
	add(err)
	for range 2 {
		_, err = s.Hit(ctx, "k", 1, time.Hour, now)
		add(err)
	}
	add(s.Refund(ctx, "k", now))
	add(s.Reset(ctx, "k"))
	add(s.DeleteUser(ctx, u.ID))
	_, err = s.Purge(ctx, now, 1)
	add(err)
	return errors.Join(errs, everyTrailVerb(ctx, s, now))
}

func everyTrailVerb(ctx context.Context, s *sqlstore.Store, now time.Time) error {
	var errs error
	add := func(err error) {
		var known *jwtauth.Error
		if !errors.As(err, &known) {
			errs = errors.Join(errs, err)
		}
	}
	add(s.Append(ctx, jwtauth.AuditRecord{ID: "1", Time: now}))
	for _, q := range []jwtauth.AuditQuery{{}, {Subject: "s"}, {Name: "n"}, {AddressKeys: []string{"a"}}} {
		q.Limit = 1
		_, err := s.Query(ctx, q)
		add(err)
	}
	_, err := s.Follow(ctx, 0, 1)
	add(err)
	_, _, err = s.AuditMarks(ctx)
	add(err)
	_, err = s.Unsealed(ctx, 1)
	add(err)
	add(s.Seal(ctx, jwtauth.AuditMark{}, []jwtauth.AuditSeal{{ID: "1", Sequence: 1}}, jwtauth.AuditMark{Sequence: 1}))
	add(s.PurgeAudit(ctx, jwtauth.AuditMark{Sequence: 1}))
	_, err = s.AuditKey(ctx, "u", jwtauth.AuditKey{Subject: "s", Key: []byte("k")})
	add(err)
	add(s.EraseAuditKey(ctx, "u"))
	_, err = s.HoldCursor(ctx, "c", "h", 0, now, now.Add(time.Hour))
	add(err)
	add(s.MoveCursor(ctx, "c", "nobody", 1, now))
	add(s.ReleaseCursor(ctx, "c", "h"))
	_, err = s.Cursors(ctx)
	add(err)
	add(s.PutDeadLetter(ctx, jwtauth.DeadLetter{Cursor: "c", Sequence: 1}))
	_, err = s.DeadLetters(ctx, "c", 0, 1)
	add(err)
	add(s.DropDeadLetter(ctx, "c", 1))
	return errs
}

// small are tables with a row or a few: reading all of one is the best plan.
var small = []string{"jwtauth_schema", "jwtauth_sequence", "jwtauth_audit_head", "jwtauth_audit_anchor", "jwtauth_cursors"}

// TestStatementsFindTheirRowsByAnIndex asks the planners how they would run every
// statement where it must pay to avoid reading a whole table.
func TestStatementsFindTheirRowsByAnIndex(t *testing.T) {
	for name, c := range map[string]struct {
		empty func(t testing.TB) integration.Database
		plan  func(t *testing.T, db *sql.DB, text string) string
		scan  *regexp.Regexp
	}{
		"SQLite":     {integration.SQLite, planSQLite, regexp.MustCompile(`SCAN (\w+)\n`)},
		"PostgreSQL": {integration.Postgres, planPostgres, regexp.MustCompile(`Seq Scan on (\w+)`)},
	} {
		t.Run(name, func(t *testing.T) {
			d := c.empty(t)
			db, n := counted(t, d)
			s := integration.Migrated(t, db, d.Flavour)
			n.texts.Clear()
			must(t, everyVerb(t.Context(), s))
			planner := d.Open(t)
			explained := 0
			for text := range n.texts.Range {
				text := text.(string)
				if !strings.Contains(text, "jwtauth_") {
					continue
				}
				explained++
				plan := c.plan(t, planner, text)
				for _, found := range c.scan.FindAllStringSubmatch(plan, -1) {
					table := tableOf(text, found[1])
					if !slices.Contains(small, table) {
						t.Errorf("reads all of %s: %s\n%s", table, text, plan)
					}
				}
			}
			if explained < 50 {
				t.Errorf("only %d statements were explained", explained)
			}
		})
	}
}

// tableOf undoes an alias.
func tableOf(text, table string) string {
	alias := regexp.MustCompile(`(jwtauth_\w+) (?:AS )?` + table + `\b`).FindStringSubmatch(text)
	if alias != nil {
		return alias[1]
	}
	return table
}

func planSQLite(t *testing.T, db *sql.DB, text string) string {
	t.Helper()
	args := make([]any, strings.Count(text, "?"))
	rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, args...)
	must(t, err)
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var detail string
		must(t, rows.Scan(&id, &parent, &unused, &detail))
		plan.WriteString(detail + "\n")
	}
	must(t, rows.Err())
	return plan.String()
}

var parameter = regexp.MustCompile(`\$\d+`)

// planPostgres asks for the plan that serves all parameters.
func planPostgres(t *testing.T, db *sql.DB, text string) string {
	t.Helper()
	conn, err := db.Conn(t.Context())
	must(t, err)
	defer conn.Close()
	for _, setting := range []string{"SET plan_cache_mode = force_generic_plan", "SET enable_seqscan = off", "PREPARE q AS " + text} {
		_, err := conn.ExecContext(t.Context(), setting)
		must(t, err)
	}
	nulls := strings.TrimSuffix(strings.Repeat("NULL, ", len(parameter.FindAllString(text, -1))), ", ")
	if nulls != "" {
		nulls = "(" + nulls + ")"
	}
	rows, err := conn.QueryContext(t.Context(), "EXPLAIN EXECUTE q"+nulls)
	must(t, err)
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var line string
		must(t, rows.Scan(&line))
		plan.WriteString(line + "\n")
	}
	must(t, rows.Err())
	_, err = conn.ExecContext(t.Context(), "DEALLOCATE q")
	must(t, err)
	return plan.String()
}
