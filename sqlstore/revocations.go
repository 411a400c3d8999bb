package sqlstore

import (
	"context"
	"errors"
	"math"

	"github.com/go-jwtauth/jwtauth"
)

// What a row of jwtauth_revocations is about. Each watermark is a row of its
// own: a higher one for later must not put off a lower one for now.
const (
	ofToken = iota + 1
	ofSession
	ofUser
)

var (
	// addMarks store one to three rows at once. A row that is there begins as
	// early and stays as long as either asks for, so nothing is ever revived.
	addMarks = [3]statement{
		marksOf(`(?, ?, ?, ?, ?)`),
		marksOf(`(?, ?, ?, ?, ?), (?, ?, ?, ?, ?)`),
		marksOf(`(?, ?, ?, ?, ?), (?, ?, ?, ?, ?), (?, ?, ?, ?, ?)`),
	}

	anyMark = statement{any: `SELECT
		EXISTS (SELECT 1 FROM jwtauth_revocations WHERE kind = 1 AND id = ?) OR
		EXISTS (SELECT 1 FROM jwtauth_revocations WHERE kind = 2 AND id = ? AND mark > ? AND from_at <= ?) OR
		EXISTS (SELECT 1 FROM jwtauth_revocations WHERE kind = 3 AND id = ? AND mark > ?)`}

	revocationStatements = []*statement{&addMarks[0], &addMarks[1], &addMarks[2], &anyMark}
)

func marksOf(values string) statement {
	insert := `INSERT INTO jwtauth_revocations AS r (kind, id, mark, from_at, expires) VALUES ` + values +
		` ON CONFLICT (kind, id, mark) DO UPDATE SET `
	return statement{
		sqlite:   insert + `from_at = MIN(r.from_at, excluded.from_at), expires = MAX(r.expires, excluded.expires)`,
		postgres: insert + `from_at = LEAST(r.from_at, excluded.from_at), expires = GREATEST(r.expires, excluded.expires)`,
		mysql: `INSERT INTO jwtauth_revocations (kind, id, mark, from_at, expires) VALUES ` + values +
			` ON DUPLICATE KEY UPDATE from_at = LEAST(from_at, VALUES(from_at)), expires = GREATEST(expires, VALUES(expires))`,
	}
}

// Revoke implements [jwtauth.RevocationStore]: all three parts in one statement. A
// Revocation without Expires stays for good, and one that names nothing is an
// error: both would otherwise let pass what the caller believes to be revoked.
func (s *Store) Revoke(ctx context.Context, r jwtauth.Revocation) error {
	expires := int64(math.MaxInt64)
	if !r.Expires.IsZero() {
		expires = micros(r.Expires) + 1 // never a fraction too early
	}
	var args []any
	if r.TokenID != "" {
		args = append(args, ofToken, name(r.TokenID), 0, 0, expires)
	}
	if r.SessionID != "" {
		args = append(args, ofSession, name(r.SessionID), r.Generation, micros(r.From), expires)
	}
	if r.UserID != "" {
		args = append(args, ofUser, name(r.UserID), r.Version, 0, expires)
	}
	if len(args) == 0 {
		return errors.New("sqlstore: revocation names nothing")
	}
	return s.write(ctx, func(ctx context.Context, run run) error {
		_, err := run.exec(ctx, &addMarks[len(args)/5-1], args...)
		return err
	})
}

// Revoked implements [jwtauth.RevocationStore]. An entry that is still there
// counts, whether or not it has expired: then so have the tokens that it concerns.
func (s *Store) Revoked(ctx context.Context, ref jwtauth.TokenRef) (bool, error) {
	revoked := true
	err := s.read(ctx, func(ctx context.Context, r run) error {
		_, err := r.row(ctx, &anyMark, []any{&revoked}, name(ref.TokenID),
			name(ref.SessionID), ref.Generation, micros(ref.Now), name(ref.UserID), ref.Version)
		return err
	})
	return revoked || err != nil, err
}
