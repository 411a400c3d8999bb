package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// statement is the text of one statement, with ? for its parameters: the same
// for all flavours, or one of its own where a flavour can't say it like that.
// Every statement of the package is in the list statements and constant: no text
// is ever put together from values.
type statement struct{ any, sqlite, postgres, mysql string }

// text returns the statement as the flavour's drivers expect it.
func (q *statement) text(f Flavour) string {
	own := map[Flavour]string{SQLite: q.sqlite, Postgres: q.postgres, MySQL: q.mysql}[f]
	if own == "" {
		own = q.any
	}
	if f == Postgres {
		own = numbered(own)
	}
	return own
}

// numbered replaces ? by $1, $2, … No statement has a ? of another meaning.
func numbered(text string) string {
	var b strings.Builder
	n := 0
	for part := range strings.SplitAfterSeq(text, "?") {
		before, found := strings.CutSuffix(part, "?")
		b.WriteString(before)
		if found {
			n++
			fmt.Fprintf(&b, "$%d", n)
		}
	}
	return b.String()
}

// statements are all there are.
func statements() []*statement {
	return slices.Concat(userStatements, sessionStatements, revocationStatements, codeStatements, counterStatements,
		auditStatements, cursorStatements, purgeStatements, []*statement{&serverTime})
}

// prepared is a statement that is ready. PostgreSQL's drivers keep the plans of
// what they ran themselves, and a pooler between may not like ours; the others
// would parse, or make two further round trips, each time.
type prepared struct {
	text string
	stmt *sql.Stmt // nil: send the text
}

// ready returns the prepared statements. The first time it checks the schema
// and what the flavour needs.
func (s *Store) ready(ctx context.Context) (map[*statement]prepared, error) {
	if p := s.prepared.Load(); p != nil {
		return *p, nil
	}
	if err := s.opening.enter(ctx); err != nil {
		return nil, err
	}
	defer s.opening.leave()
	if p := s.prepared.Load(); p != nil {
		return *p, nil
	}
	if err := s.Check(ctx); err != nil {
		return nil, err
	}
	all := make(map[*statement]prepared)
	for _, q := range statements() {
		p := prepared{text: q.text(s.flavour)}
		if s.flavour != Postgres {
			var err error
			if p.stmt, err = s.db.PrepareContext(ctx, p.text); err != nil {
				closeAll(all)
				return nil, fault(err)
			}
		}
		all[q] = p
	}
	s.prepared.Store(&all)
	return all, nil
}

func closeAll(all map[*statement]prepared) {
	for _, p := range all {
		if p.stmt != nil {
			p.stmt.Close()
		}
	}
}

// fault marks an error as one of the database. It is none of the sentinels, so
// the caller refuses.
func fault(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sqlstore: %w", err)
}

// run makes statements, in a transaction or each by itself.
type run struct {
	flavour  Flavour
	prepared map[*statement]prepared
	db       *sql.DB
	tx       *sql.Tx
}

// exec makes a statement that returns no rows.
func (r run) exec(ctx context.Context, q *statement, args ...any) (sql.Result, error) {
	p := r.prepared[q]
	if p.stmt == nil {
		return r.direct().ExecContext(ctx, p.text, args...)
	}
	return r.bound(ctx, p).ExecContext(ctx, args...)
}

func (r run) query(ctx context.Context, q *statement, args ...any) (*sql.Rows, error) {
	p := r.prepared[q]
	if p.stmt == nil {
		return r.direct().QueryContext(ctx, p.text, args...)
	}
	return r.bound(ctx, p).QueryContext(ctx, args...)
}

// bound is a prepared statement, in the transaction if there is one.
func (r run) bound(ctx context.Context, p prepared) *sql.Stmt {
	if r.tx != nil {
		return r.tx.StmtContext(ctx, p.stmt)
	}
	return p.stmt
}

// direct takes the text of a statement.
func (r run) direct() interface {
	ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
} {
	if r.tx != nil {
		return r.tx
	}
	return r.db
}

// changed makes a statement and returns how many rows it changed. Only
// statements that change what they find are asked like this: MySQL counts
// changed rows or found ones, as the connection is set.
func (r run) changed(ctx context.Context, q *statement, args ...any) (int64, error) {
	res, err := r.exec(ctx, q, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// flagged makes a statement and returns the number that it left in MySQL's
// LAST_INSERT_ID, which is the one value that comes back with an update there.
func (r run) flagged(ctx context.Context, q *statement, args ...any) (int64, error) {
	res, err := r.exec(ctx, q, args...)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// inserted makes an INSERT that does nothing if the row is there, and reports
// whether it was new. In MySQL the number of rows would not tell; such a
// statement flags a row that it found.
func (r run) inserted(ctx context.Context, q *statement, args ...any) (bool, error) {
	if r.flavour == MySQL {
		flag, err := r.flagged(ctx, q, args...)
		return flag == 0, err
	}
	n, err := r.changed(ctx, q, args...)
	return n == 1, err
}

// rows calls scan for each row. It reads to the end in any case: a statement
// that writes and returns rows has only then succeeded.
func (r run) rows(ctx context.Context, q *statement, scan func(*sql.Rows) error, args ...any) error {
	rows, err := r.query(ctx, q, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

// row reads the first row into dest, and reports whether there was one.
func (r run) row(ctx context.Context, q *statement, dest []any, args ...any) (found bool, err error) {
	err = r.rows(ctx, q, func(rows *sql.Rows) error {
		if found {
			return nil
		}
		found = true
		return rows.Scan(dest...)
	}, args...)
	return found && err == nil, err
}

// maxTries bounds how often a statement or transaction starts over that the
// database undid because it was in the way of another.
const maxTries = 20

// maxWait is how long a verb may take.
const maxWait = 10 * time.Second

// read makes statements that change nothing.
func (s *Store) read(ctx context.Context, f func(ctx context.Context, r run) error) error {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	all, err := s.ready(ctx)
	if err != nil {
		return err
	}
	return orFault(f(ctx, run{flavour: s.flavour, prepared: all, db: s.db}))
}

// write makes a statement that changes something, by itself; what follows it in
// f must only read.
func (s *Store) write(ctx context.Context, f func(ctx context.Context, r run) error) error {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	all, err := s.ready(ctx)
	if err != nil {
		return err
	}
	return s.retried(ctx, func() error { return f(ctx, run{flavour: s.flavour, prepared: all, db: s.db}) })
}

// atomically makes several statements in a transaction. The first of them must
// write: that is what makes SQLite take its lock at once, and it is the row that
// others wait for elsewhere. An error from f, a sentinel too, undoes everything.
func (s *Store) atomically(ctx context.Context, f func(ctx context.Context, r run) error) error {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	all, err := s.ready(ctx)
	if err != nil {
		return err
	}
	return s.retried(ctx, func() error {
		ctx, cancel := s.begun(ctx)
		defer cancel()
		conn, err := s.db.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		return inTx(ctx, conn, func(tx *sql.Tx) error {
			return f(ctx, run{flavour: s.flavour, prepared: all, db: s.db, tx: tx})
		})
	})
}

// begun is the context of a transaction that is about to begin. In SQLite it is not
// cut off once it has: that would close the connection, and with it a database in
// memory. It is local and short.
func (s *Store) begun(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.flavour != SQLite || ctx.Err() != nil {
		return ctx, func() {}
	}
	return context.WithTimeout(context.WithoutCancel(ctx), maxWait)
}

// inTx calls f in a transaction. A connection on which that did not end for
// certain, one way or the other, is closed: the next user would be in it.
func inTx(ctx context.Context, conn *sql.Conn, f func(tx *sql.Tx) error) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		if end := tx.Rollback(); end != nil {
			discard(conn)
		}
		return err
	}
	if err := tx.Commit(); err != nil {
		discard(conn)
		return err
	}
	return nil
}

func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // which is what closes it
}

func (s *Store) retried(ctx context.Context, f func() error) error {
	if err := s.writing.enter(ctx); err != nil {
		return fault(err)
	}
	defer s.writing.leave()
	err := f()
	for try := 1; try < maxTries && err != nil && ctx.Err() == nil && s.flavour.undone(err); try++ {
		err = f()
	}
	return orFault(err)
}

// orFault lets the sentinels pass.
func orFault(err error) error {
	var known *jwtauth.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return fault(err)
}

// undone reports whether the database says that it undid all of the statement
// or transaction, because of a deadlock for example, and that trying again may
// succeed. Nothing else is decided by what a driver's error says: unknown errors
// are faults. The driver for MySQL offers no method to ask, so its text has to
// do; if it ever changes, deadlocks become faults.
func (f Flavour) undone(err error) bool {
	switch f {
	case Postgres:
		var state interface{ SQLState() string }
		return errors.As(err, &state) && (state.SQLState() == "40P01" || state.SQLState() == "40001")
	case MySQL:
		return strings.Contains(err.Error(), "Error 1213")
	}
	return false
}
