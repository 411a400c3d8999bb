package sqlstore

import (
	"context"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

var (
	putCode = statement{
		any: insertCode + ` ON CONFLICT (name) DO UPDATE SET digest = excluded.digest, version = excluded.version,
			attempts = excluded.attempts, expires = excluded.expires`,
		mysql: insertCode + ` ON DUPLICATE KEY UPDATE digest = VALUES(digest), version = VALUES(version),
			attempts = VALUES(attempts), expires = VALUES(expires)`,
	}

	// tryCode takes an attempt and, if the digest fits, uses the code up. All
	// of it is one update of one row, so no two callers share an attempt or a
	// success. MySQL flags the right one.
	tryCode = statement{
		any: `UPDATE jwtauth_codes SET attempts = attempts - 1,
			digest = CASE WHEN digest = ? THEN ? ELSE digest END ` + usableCode + `
			RETURNING LENGTH(digest) = 0, version, attempts, expires`,
		mysql: `UPDATE jwtauth_codes SET attempts = attempts - 1,
			digest = IF(digest = ?, IF(LAST_INSERT_ID(1) = 1, ?, ''), IF(LAST_INSERT_ID(2) = 2, digest, digest)) ` + usableCode,
	}

	usedCode = statement{any: `SELECT version, attempts, expires FROM jwtauth_codes WHERE name = ? AND LENGTH(digest) = 0`}

	// claim replaces a claim that is over. MySQL flags one that is not.
	claim = statement{
		any: insertClaim + ` ON CONFLICT (name) DO UPDATE SET expires = excluded.expires WHERE c.expires <= ?`,
		mysql: `INSERT INTO jwtauth_claims (name, expires) VALUES (?, ?) ON DUPLICATE KEY UPDATE
			expires = IF(expires <= ?, VALUES(expires), IF(LAST_INSERT_ID(1) = 1, expires, expires))`,
	}

	codeStatements = []*statement{&putCode, &tryCode, &usedCode, &claim}
)

const (
	insertCode  = `INSERT INTO jwtauth_codes (name, digest, version, attempts, expires) VALUES (?, ?, ?, ?, ?)`
	usableCode  = `WHERE name = ? AND attempts > 0 AND expires > ? AND LENGTH(digest) > 0`
	insertClaim = `INSERT INTO jwtauth_claims AS c (name, expires) VALUES (?, ?)`
)

// digest blinds a hash for a comparison in the database, which takes more or less
// time by how much fits: nobody can choose how a digest begins. Nothing fits no
// hash at all.
func digest(hash []byte) []byte {
	if len(hash) == 0 {
		return []byte{}
	}
	sum := sha256.Sum256(hash)
	return sum[:]
}

// PutCode implements [jwtauth.CodeStore].
func (s *Store) PutCode(ctx context.Context, c jwtauth.OneTimeCode) error {
	return s.write(ctx, func(ctx context.Context, r run) error {
		_, err := r.exec(ctx, &putCode, name(c.Key), digest(c.Hash), c.Version, c.Attempts, micros(c.Expires))
		return err
	})
}

// ConsumeCode implements [jwtauth.CodeStore]. The attempt and the use are one
// update; a code that is used up stays, without its digest, until it is purged.
func (s *Store) ConsumeCode(ctx context.Context, key string, hash []byte, now time.Time) (jwtauth.OneTimeCode, error) {
	c := jwtauth.OneTimeCode{Key: key, Hash: slices.Clone(hash)}
	err := s.write(ctx, func(ctx context.Context, r run) error {
		right, expires, err := r.tryCode(ctx, &c, now)
		switch {
		case err != nil:
			return err
		case !right:
			return jwtauth.ErrConflict
		}
		c.Expires = moment(expires)
		return nil
	})
	if err != nil {
		return jwtauth.OneTimeCode{}, err
	}
	return c, nil
}

func (r run) tryCode(ctx context.Context, c *jwtauth.OneTimeCode, now time.Time) (right bool, expires int64, err error) {
	args := []any{digest(c.Hash), []byte{}, name(c.Key), micros(now)}
	found := true
	switch {
	case r.flavour != MySQL:
		found, err = r.row(ctx, &tryCode, []any{&right, &c.Version, &c.Attempts, &expires}, args...)
	default:
		var flag int64
		flag, err = r.flagged(ctx, &tryCode, args...)
		right = flag == 1
		if found = flag != 0; right && err == nil {
			// Gone if a new code has taken its place since.
			found, err = r.row(ctx, &usedCode, []any{&c.Version, &c.Attempts, &expires}, name(c.Key))
		}
	}
	if err == nil && !found {
		err = jwtauth.ErrNotFound
	}
	return right, expires, err
}

// ClaimOnce implements [jwtauth.CodeStore]. A claim that would be over at once is
// refused: it could not keep anybody else out.
func (s *Store) ClaimOnce(ctx context.Context, key string, now, until time.Time) (first bool, err error) {
	if !until.After(now) {
		return false, ctx.Err()
	}
	err = s.write(ctx, func(ctx context.Context, r run) (err error) {
		first, err = r.inserted(ctx, &claim, name(key), micros(until), micros(now))
		return err
	})
	return first && err == nil, err
}
