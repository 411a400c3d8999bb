package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"math"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

const sessionColumns = `id, user_id, credential_version, generation, secret_id, created, moved, expires, address, user_agent, device_id`

// liveSessions are those of a user that have not expired, the latest login
// first.
const liveSessions = ` FROM jwtauth_sessions WHERE user_id = ? AND expires > ? ORDER BY created DESC, id`

var (
	addSession = statement{
		any: insertSession + ` ON CONFLICT (id) DO NOTHING`,
		mysql: insertSession + ` ON DUPLICATE KEY UPDATE
			generation = IF(LAST_INSERT_ID(1) = 1, generation, generation)`,
	}

	// takeTurn holds the row of a user until the transaction ends, so that of
	// two logins the second counts the first.
	takeTurn = statement{
		any:   insertTurn + ` ON CONFLICT (user_id) DO UPDATE SET turn = jwtauth_turns.turn + 1`,
		mysql: insertTurn + ` ON DUPLICATE KEY UPDATE turn = turn + 1`,
	}

	countSessions = statement{any: `SELECT COUNT(*) FROM jwtauth_sessions WHERE user_id = ? AND expires > ?`}

	// surplusSessions are the oldest of a user's, all but so many.
	surplusSessions = statement{
		sqlite: `DELETE FROM jwtauth_sessions WHERE id IN (SELECT id` + liveSessions + ` LIMIT -1 OFFSET ?)
			RETURNING ` + sessionColumns,
		postgres: `DELETE FROM jwtauth_sessions WHERE id IN (SELECT id` + liveSessions + ` OFFSET ?)
			RETURNING ` + sessionColumns,
		mysql: `SELECT ` + sessionColumns + liveSessions + ` LIMIT 18446744073709551615 OFFSET ? FOR UPDATE`,
	}

	oneSession = statement{any: `SELECT ` + sessionColumns + ` FROM jwtauth_sessions WHERE id = ?`}

	listSessions = statement{any: `SELECT ` + sessionColumns + liveSessions}

	// The sessions of all users, or of one, that were made and end within
	// bounds.
	pageOfSessions = statement{any: `SELECT ` + sessionColumns + betweenSessions + ` ORDER BY created DESC, id LIMIT ? OFFSET ?`}
	pageOfUser     = statement{any: `SELECT ` + sessionColumns + betweenSessions + ` AND user_id = ? ORDER BY created DESC, id LIMIT ? OFFSET ?`}
	numberOfAll    = statement{any: `SELECT COUNT(*)` + betweenSessions}
	numberOfUser   = statement{any: `SELECT COUNT(*)` + betweenSessions + ` AND user_id = ?`}

	advanceSession = statement{
		any:   moveSession + ` RETURNING ` + sessionColumns,
		mysql: moveSession,
	}

	endSession = statement{any: `DELETE FROM jwtauth_sessions WHERE id = ?`}

	endSessions = statement{
		any:   `DELETE FROM jwtauth_sessions WHERE user_id = ? AND id <> ? RETURNING id`,
		mysql: `SELECT id FROM jwtauth_sessions WHERE user_id = ? AND id <> ? FOR UPDATE`,
	}

	sessionStatements = []*statement{&addSession, &takeTurn, &countSessions, &surplusSessions, &oneSession,
		&listSessions, &pageOfSessions, &pageOfUser, &numberOfAll, &numberOfUser, &advanceSession, &endSession, &endSessions}
)

const (
	betweenSessions = ` FROM jwtauth_sessions WHERE created >= ? AND created < ? AND expires > ? AND expires <= ?`

	insertSession = `INSERT INTO jwtauth_sessions (` + sessionColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	insertTurn    = `INSERT INTO jwtauth_turns (user_id, turn) VALUES (?, 1)`
	moveSession   = `UPDATE jwtauth_sessions SET generation = generation + 1, moved = ?, secret_id = ?
		WHERE id = ? AND generation = ? AND expires > ? AND moved > ?`
)

func scanSession(rows *sql.Rows) (x jwtauth.Session, err error) {
	var created, moved, expires int64
	err = rows.Scan(&x.ID, &x.UserID, &x.CredentialVersion, &x.Generation, &x.SecretID, &created, &moved, &expires,
		&x.Address, &x.UserAgent, &x.DeviceID)
	x.Created, x.Moved, x.Expires = moment(created), moment(moved), moment(expires)
	return x, err
}

// sessions reads all that a statement returns.
func (r run) sessions(ctx context.Context, q *statement, args ...any) (list []jwtauth.Session, err error) {
	err = r.rows(ctx, q, func(rows *sql.Rows) error {
		x, err := scanSession(rows)
		list = append(list, x)
		return err
	}, args...)
	return list, err
}

// CreateSession implements [jwtauth.SessionStore]. Without a limit it is one
// statement. With one, the logins of a user take turns, on all nodes together.
func (s *Store) CreateSession(ctx context.Context, x jwtauth.Session, limit jwtauth.SessionLimit) ([]jwtauth.Session, error) {
	if err := verbatim(x.ID, x.UserID); err != nil {
		return nil, err
	}
	if limit.Max <= 0 {
		return nil, s.write(ctx, func(ctx context.Context, r run) error { return r.addSession(ctx, x) })
	}
	var evicted []jwtauth.Session
	err := s.atomically(ctx, func(ctx context.Context, r run) (err error) {
		if _, err := r.exec(ctx, &takeTurn, x.UserID); err != nil {
			return err
		}
		if evicted, err = r.makeRoom(ctx, x, limit); err != nil {
			return err
		}
		return r.addSession(ctx, x)
	})
	if err != nil {
		return nil, err
	}
	return evicted, nil
}

func (r run) addSession(ctx context.Context, x jwtauth.Session) error {
	added, err := r.inserted(ctx, &addSession, x.ID, x.UserID, x.CredentialVersion, x.Generation, x.SecretID,
		micros(x.Created), micros(x.Moved), micros(x.Expires), x.Address, x.UserAgent, x.DeviceID)
	if err == nil && !added {
		err = jwtauth.ErrConflict
	}
	return err
}

// makeRoom ends the sessions that have to make way for x, or refuses it. One that
// expired takes no place: it would lock the user out of a device that is not in
// use.
func (r run) makeRoom(ctx context.Context, x jwtauth.Session, limit jwtauth.SessionLimit) ([]jwtauth.Session, error) {
	if !limit.EvictOldest {
		var n int
		_, err := r.row(ctx, &countSessions, []any{&n}, x.UserID, micros(x.Created))
		if err == nil && n >= limit.Max {
			err = jwtauth.ErrTooManySessions
		}
		return nil, err
	}
	evicted, err := r.sessions(ctx, &surplusSessions, x.UserID, micros(x.Created), limit.Max-1)
	if err != nil || r.flavour != MySQL {
		return evicted, err
	}
	for _, old := range evicted {
		if _, err := r.exec(ctx, &endSession, old.ID); err != nil {
			return nil, err
		}
	}
	return evicted, nil
}

// Session implements [jwtauth.SessionStore].
func (s *Store) Session(ctx context.Context, id string) (x jwtauth.Session, err error) {
	err = s.read(ctx, func(ctx context.Context, r run) (err error) {
		x, err = r.session(ctx, id)
		return err
	})
	return x, err
}

func (r run) session(ctx context.Context, id string) (jwtauth.Session, error) {
	list, err := r.sessions(ctx, &oneSession, name(id))
	switch {
	case err != nil:
		return jwtauth.Session{}, err
	case len(list) == 0:
		return jwtauth.Session{}, jwtauth.ErrNotFound
	}
	return list[0], nil
}

// AdvanceSession implements [jwtauth.SessionStore].
func (s *Store) AdvanceSession(ctx context.Context, adv jwtauth.SessionAdvance) (x jwtauth.Session, moved bool, err error) {
	err = s.write(ctx, func(ctx context.Context, r run) (err error) {
		x, moved, err = r.advance(ctx, adv)
		return err
	})
	if err != nil {
		return jwtauth.Session{}, false, err
	}
	return x, moved, nil
}

func (r run) advance(ctx context.Context, adv jwtauth.SessionAdvance) (jwtauth.Session, bool, error) {
	idle := int64(math.MinInt64)
	if !adv.MovedAfter.IsZero() {
		idle = micros(adv.MovedAfter)
	}
	now := micros(adv.Now)
	args := []any{now, adv.SecretID, name(adv.SessionID), adv.From, now, idle}
	if r.flavour == MySQL {
		return r.advanceThenRead(ctx, adv, args)
	}
	list, err := r.sessions(ctx, &advanceSession, args...)
	if err != nil {
		return jwtauth.Session{}, false, err
	}
	if len(list) > 0 {
		return list[0], true, nil
	}
	x, err := r.session(ctx, adv.SessionID)
	return x, false, err
}

// advanceThenRead is for MySQL, whose updates return no rows. What others do to
// the session before it is read again does not show in the result.
func (r run) advanceThenRead(ctx context.Context, adv jwtauth.SessionAdvance, args []any) (jwtauth.Session, bool, error) {
	n, err := r.changed(ctx, &advanceSession, args...)
	if err != nil {
		return jwtauth.Session{}, false, err
	}
	x, err := r.session(ctx, adv.SessionID)
	if err != nil || n == 0 {
		return x, false, err
	}
	x.Generation, x.Moved, x.SecretID = adv.From+1, moment(micros(adv.Now)), adv.SecretID
	return x, true, nil
}

// EndSession implements [jwtauth.SessionStore].
func (s *Store) EndSession(ctx context.Context, id string) error {
	return s.write(ctx, func(ctx context.Context, r run) error {
		n, err := r.changed(ctx, &endSession, name(id))
		if err == nil && n == 0 {
			err = jwtauth.ErrNotFound
		}
		return err
	})
}

// EndSessions implements [jwtauth.SessionStore].
func (s *Store) EndSessions(ctx context.Context, userID, except string) (ended []string, err error) {
	end := func(ctx context.Context, r run) (err error) {
		ended, err = r.endSessions(ctx, name(userID), name(except))
		return err
	}
	if s.flavour == MySQL {
		err = s.atomically(ctx, end)
	} else {
		err = s.write(ctx, end)
	}
	if err != nil {
		return nil, err
	}
	return ended, nil
}

// endSessions is one statement where a DELETE returns rows. MySQL locks what it
// is going to delete and then does.
func (r run) endSessions(ctx context.Context, userID, except string) (ended []string, err error) {
	err = r.rows(ctx, &endSessions, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		ended = append(ended, id)
		return err
	}, userID, except)
	if err != nil || r.flavour != MySQL {
		return ended, err
	}
	for _, id := range ended {
		if _, err := r.exec(ctx, &endSession, id); err != nil {
			return nil, err
		}
	}
	return ended, nil
}

// Sessions implements [jwtauth.SessionStore].
func (s *Store) Sessions(ctx context.Context, userID string, now time.Time) (list []jwtauth.Session, err error) {
	err = s.read(ctx, func(ctx context.Context, r run) (err error) {
		list, err = r.sessions(ctx, &listSessions, name(userID), micros(now))
		return err
	})
	return list, err
}

// ListSessions implements [jwtauth.SessionLister]. A page costs what comes before
// it, and the number on all pages costs one step for each of them.
func (s *Store) ListSessions(ctx context.Context, q jwtauth.SessionQuery) (page []jwtauth.Session, total int, err error) {
	limit := cmp.Or(q.Limit, 100)
	if limit < 1 || limit > 1000 || q.Offset < 0 {
		return nil, 0, jwtauth.ErrInvalidInput
	}
	list, number := &pageOfSessions, &numberOfAll
	args := []any{bound(q.CreatedFrom, math.MinInt64), bound(q.CreatedBefore, math.MaxInt64),
		bound(q.ExpiresAfter, math.MinInt64), bound(q.ExpiresUntil, math.MaxInt64)}
	if q.UserID != "" {
		list, number = &pageOfUser, &numberOfUser
		args = append(args, name(q.UserID))
	}
	err = s.read(ctx, func(ctx context.Context, r run) (err error) {
		if page, err = r.sessions(ctx, list, append(args[:len(args):len(args)], limit, q.Offset)...); err != nil {
			return err
		}
		_, err = r.row(ctx, number, []any{&total}, args...)
		return err
	})
	return page, total, err
}

// bound is a time, or where there is none everything up to there.
func bound(t time.Time, none int64) int64 {
	if t.IsZero() {
		return none
	}
	return micros(t)
}
