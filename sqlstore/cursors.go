package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

const cursorColumns = `name, sequence, moved, holder, until_at`

var (
	// holdCursor makes a cursor, or takes one that is free. In MySQL the flag
	// tells one that is not.
	holdCursor = statement{
		any: `INSERT INTO jwtauth_cursors AS c (` + cursorColumns + `, turn) VALUES (?, ?, ?, ?, ?, 0)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until_at = excluded.until_at
			WHERE c.holder = excluded.holder OR c.holder = '' OR c.until_at <= ?
			RETURNING ` + cursorColumns,
		mysql: `INSERT INTO jwtauth_cursors (` + cursorColumns + `, turn) VALUES (?, ?, ?, ?, ?, 0)
			ON DUPLICATE KEY UPDATE
			holder = IF(holder = VALUES(holder) OR holder = '' OR until_at <= ?, VALUES(holder), IF(LAST_INSERT_ID(1) = 1, holder, holder)),
			until_at = IF(holder = VALUES(holder), VALUES(until_at), until_at)`,
	}

	oneCursor = statement{any: `SELECT ` + cursorColumns + ` FROM jwtauth_cursors WHERE name = ?`}

	listCursors = statement{any: `SELECT ` + cursorColumns + ` FROM jwtauth_cursors ORDER BY name`}

	moveCursor = statement{any: `UPDATE jwtauth_cursors SET sequence = ?, moved = ?, turn = turn + 1
		WHERE name = ? AND holder = ? AND holder <> '' AND until_at > ?`}

	releaseCursor = statement{any: `UPDATE jwtauth_cursors SET holder = '', until_at = ? WHERE name = ? AND holder = ?`}

	putLetter = statement{
		any: insertLetter + ` ON CONFLICT (consumer, sequence) DO UPDATE SET
			event_id = excluded.event_id, reason = excluded.reason, at = excluded.at`,
		mysql: insertLetter + ` ON DUPLICATE KEY UPDATE event_id = VALUES(event_id), reason = VALUES(reason), at = VALUES(at)`,
	}

	listLetters = statement{any: `SELECT consumer, sequence, event_id, reason, at FROM jwtauth_dead_letters
		WHERE consumer = ? AND sequence > ? ORDER BY sequence LIMIT ?`}

	dropLetter = statement{any: `DELETE FROM jwtauth_dead_letters WHERE consumer = ? AND sequence = ?`}

	cursorStatements = []*statement{&holdCursor, &oneCursor, &listCursors, &moveCursor, &releaseCursor,
		&putLetter, &listLetters, &dropLetter}
)

const insertLetter = `INSERT INTO jwtauth_dead_letters (consumer, sequence, event_id, reason, at) VALUES (?, ?, ?, ?, ?)`

func (r run) cursors(ctx context.Context, q *statement, args ...any) (list []jwtauth.Cursor, err error) {
	err = r.rows(ctx, q, func(rows *sql.Rows) error {
		var c jwtauth.Cursor
		var moved, until int64
		err := rows.Scan(&c.Name, &c.Sequence, &moved, &c.Holder, &until)
		c.Moved, c.Until = moment(moved), moment(until)
		list = append(list, c)
		return err
	}, args...)
	return list, err
}

// HoldCursor implements [jwtauth.CursorStore]. A time that has passed is an error,
// since it would hold nothing.
func (s *Store) HoldCursor(ctx context.Context, cursor, holder string, start int64, now, until time.Time) (jwtauth.Cursor, error) {
	if holder == "" || !until.After(now) {
		return jwtauth.Cursor{}, errors.New("sqlstore: a cursor is held by nobody, or for no time")
	}
	if err := verbatim(cursor, holder); err != nil {
		return jwtauth.Cursor{}, err
	}
	var held []jwtauth.Cursor
	err := s.write(ctx, func(ctx context.Context, r run) (err error) {
		args := []any{cursor, start, micros(now), holder, micros(until), micros(now)}
		if r.flavour != MySQL {
			held, err = r.cursors(ctx, &holdCursor, args...)
			return err
		}
		flag, err := r.flagged(ctx, &holdCursor, args...)
		if err == nil && flag == 0 {
			held, err = r.cursors(ctx, &oneCursor, cursor)
		}
		return err
	})
	switch {
	case err != nil:
		return jwtauth.Cursor{}, err
	case len(held) == 0:
		return jwtauth.Cursor{}, jwtauth.ErrConflict
	}
	return held[0], nil
}

// MoveCursor implements [jwtauth.CursorStore].
func (s *Store) MoveCursor(ctx context.Context, cursor, holder string, to int64, now time.Time) error {
	return s.write(ctx, func(ctx context.Context, r run) error {
		n, err := r.changed(ctx, &moveCursor, to, micros(now), name(cursor), name(holder), micros(now))
		if err != nil || n == 1 {
			return err
		}
		there, err := r.cursors(ctx, &oneCursor, name(cursor))
		switch {
		case err != nil:
			return err
		case len(there) == 0:
			return jwtauth.ErrNotFound
		}
		return jwtauth.ErrConflict
	})
}

// ReleaseCursor implements [jwtauth.CursorStore].
func (s *Store) ReleaseCursor(ctx context.Context, cursor, holder string) error {
	return s.write(ctx, func(ctx context.Context, r run) error {
		_, err := r.exec(ctx, &releaseCursor, micros(time.Time{}), name(cursor), name(holder))
		return err
	})
}

// Cursors implements [jwtauth.CursorStore].
func (s *Store) Cursors(ctx context.Context) (list []jwtauth.Cursor, err error) {
	err = s.read(ctx, func(ctx context.Context, r run) (err error) {
		list, err = r.cursors(ctx, &listCursors)
		return err
	})
	return list, err
}

// PutDeadLetter implements [jwtauth.CursorStore].
func (s *Store) PutDeadLetter(ctx context.Context, d jwtauth.DeadLetter) error {
	if err := verbatim(d.Cursor, d.EventID); err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, r run) error {
		_, err := r.exec(ctx, &putLetter, d.Cursor, d.Sequence, d.EventID, d.Reason, micros(d.Time))
		return err
	})
}

// DeadLetters implements [jwtauth.CursorStore].
func (s *Store) DeadLetters(ctx context.Context, cursor string, after int64, limit int) (list []jwtauth.DeadLetter, err error) {
	err = s.read(ctx, func(ctx context.Context, r run) error {
		return r.rows(ctx, &listLetters, func(rows *sql.Rows) error {
			var d jwtauth.DeadLetter
			var at int64
			err := rows.Scan(&d.Cursor, &d.Sequence, &d.EventID, &d.Reason, &at)
			d.Time = moment(at)
			list = append(list, d)
			return err
		}, name(cursor), after, limit)
	})
	return list, err
}

// DropDeadLetter implements [jwtauth.CursorStore].
func (s *Store) DropDeadLetter(ctx context.Context, cursor string, sequence int64) error {
	return s.write(ctx, func(ctx context.Context, r run) error {
		n, err := r.changed(ctx, &dropLetter, name(cursor), sequence)
		if err == nil && n == 0 {
			err = jwtauth.ErrNotFound
		}
		return err
	})
}
