package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"math"
	"slices"
	"strings"

	"github.com/go-jwtauth/jwtauth"
)

var (
	addRecord = statement{
		any: insertRecord + ` ON CONFLICT (id) DO NOTHING`,
		mysql: insertRecord + ` ON DUPLICATE KEY UPDATE
			n = IF(LAST_INSERT_ID(1) = 1, n, n)`,
	}

	// A query has one statement for each index that can lead it; the rest of
	// what it asks for is compared row by row.
	recordsOfAll     = queryBy(``)
	recordsOfSubject = queryBy(`r.subject = ? AND r.subject <> '' AND `)
	recordsOfName    = queryBy(`r.name = ? AND `)
	recordsOfAddress = queryBy(`r.address_key IN (?, ?, ?, ?, ?, ?, ?, ?) AND r.address_key <> '' AND `)

	followRecords = statement{any: selectRecords + `WHERE r.sequence > ? ORDER BY r.sequence LIMIT ?`}

	unsealedRecords = statement{any: selectRecords + `WHERE r.sequence IS NULL ORDER BY r.id LIMIT ?`}

	auditMarks = statement{any: `SELECT a.sequence, a.hash, a.proof, h.sequence, h.hash, h.proof
		FROM jwtauth_audit_anchor a, jwtauth_audit_head h`}

	moveHead = statement{any: `UPDATE jwtauth_audit_head SET sequence = ?, hash = ?, proof = ?, turn = turn + 1 WHERE sequence = ?`}

	moveAnchor = statement{any: `UPDATE jwtauth_audit_anchor SET sequence = ?, hash = ?, proof = ?, turn = turn + 1
		WHERE sequence <= ? AND ? <= (SELECT h.sequence FROM jwtauth_audit_head h)`}

	// sealRecords gives places to sealRows records at once. Places that are
	// not needed name the record "", which is never there.
	sealRecords = statement{
		sqlite: `UPDATE jwtauth_records SET sequence = v.column2, hash = v.column3
			FROM (VALUES (?, ?, ?)` + strings.Repeat(`, (?, ?, ?)`, sealRows-1) + `) v
			WHERE id = v.column1 AND sequence IS NULL`,
		postgres: `UPDATE jwtauth_records r SET sequence = v.sequence, hash = v.hash
			FROM (VALUES (CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS BYTEA))` + strings.Repeat(`, (?, ?, ?)`, sealRows-1) + `) v (id, sequence, hash)
			WHERE r.id = v.id AND r.sequence IS NULL`,
		mysql: `UPDATE jwtauth_records r JOIN (SELECT CAST(? AS BINARY) AS id, ? AS sequence, CAST(? AS BINARY) AS hash` +
			strings.Repeat(` UNION ALL SELECT ?, ?, ?`, sealRows-1) + `) v ON r.id = v.id
			SET r.sequence = v.sequence, r.hash = v.hash WHERE r.sequence IS NULL`,
	}

	purgeRecords = statement{any: `DELETE FROM jwtauth_records WHERE sequence <= ?`}

	auditKey = statement{any: `SELECT subject, secret FROM jwtauth_audit_keys WHERE user_id = ?`}

	addAuditKey = statement{
		any: insertAuditKey + ` ON CONFLICT (user_id) DO NOTHING`,
		mysql: insertAuditKey + ` ON DUPLICATE KEY UPDATE
			turn = IF(LAST_INSERT_ID(1) = 1, turn, turn)`,
	}

	// holdAuditKey is the first step of destroying one: from here on nobody
	// makes one for the user.
	holdAuditKey = statement{
		any: `INSERT INTO jwtauth_audit_keys (user_id, turn) VALUES (?, 1)
			ON CONFLICT (user_id) DO UPDATE SET turn = jwtauth_audit_keys.turn + 1`,
		mysql: `INSERT INTO jwtauth_audit_keys (user_id, turn) VALUES (?, 1) ON DUPLICATE KEY UPDATE turn = turn + 1`,
	}

	eraseAddresses = statement{any: `UPDATE jwtauth_records SET address_key = ''
		WHERE subject = (SELECT k.subject FROM jwtauth_audit_keys k WHERE k.user_id = ?) AND subject <> '' AND address_key <> ''`}

	eraseAuditKey = statement{any: `UPDATE jwtauth_audit_keys SET subject = NULL, secret = NULL WHERE user_id = ?`}

	auditStatements = []*statement{&addRecord, &recordsOfAll, &recordsOfSubject, &recordsOfName, &recordsOfAddress,
		&followRecords, &unsealedRecords, &auditMarks, &moveHead, &moveAnchor, &sealRecords, &purgeRecords,
		&auditKey, &addAuditKey, &holdAuditKey, &eraseAddresses, &eraseAuditKey}
)

const (
	insertRecord = `INSERT INTO jwtauth_records (id, at, name, result, reason, n, subject, address_key, personal)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`

	selectRecords = `SELECT r.id, r.at, r.name, r.result, r.reason, r.n, r.subject, r.address_key, r.personal,
		COALESCE(r.sequence, 0), r.hash, k.secret
		FROM jwtauth_records r LEFT JOIN jwtauth_audit_keys k ON k.subject = r.subject `

	insertAuditKey = `INSERT INTO jwtauth_audit_keys (user_id, subject, secret, turn) VALUES (?, ?, ?, 0)`

	// maxAddresses is how many hashes one query asks for: an address has one
	// for each secret that is in use.
	maxAddresses = 8

	sealRows = 50
)

// queryBy is called with constants alone.
func queryBy(lead string) statement {
	return statement{any: selectRecords + `WHERE ` + lead + `r.id < ? AND r.at >= ? AND r.at < ?
		AND r.subject = COALESCE(?, r.subject) AND r.name = COALESCE(?, r.name) AND r.result = COALESCE(?, r.result)
		ORDER BY r.id DESC LIMIT ?`}
}

func scanRecord(rows *sql.Rows) (rec jwtauth.AuditRecord, err error) {
	var at int64
	err = rows.Scan(&rec.ID, &at, &rec.Name, &rec.Result, &rec.Reason, &rec.Count, &rec.Subject, &rec.AddressKey,
		&rec.Personal, &rec.Sequence, &rec.Hash, &rec.Key)
	rec.Time = moment(at)
	return rec, err
}

func (s *Store) records(ctx context.Context, q *statement, args ...any) (page []jwtauth.AuditRecord, err error) {
	err = s.read(ctx, func(ctx context.Context, r run) error {
		return r.rows(ctx, q, func(rows *sql.Rows) error {
			rec, err := scanRecord(rows)
			page = append(page, rec)
			return err
		}, args...)
	})
	return page, err
}

// Append implements [jwtauth.AuditStore].
func (s *Store) Append(ctx context.Context, rec jwtauth.AuditRecord) error {
	if err := verbatim(rec.ID, rec.Name, rec.Result, rec.Subject, rec.AddressKey); err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, r run) error {
		added, err := r.inserted(ctx, &addRecord, rec.ID, micros(rec.Time), rec.Name, rec.Result, rec.Reason, rec.Count,
			rec.Subject, rec.AddressKey, notNull(rec.Personal))
		if err == nil && !added {
			err = jwtauth.ErrConflict
		}
		return err
	})
}

func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Query implements [jwtauth.AuditStore]. It is led by the subject, else by the
// address, else by the name, each of which has an index.
func (s *Store) Query(ctx context.Context, q jwtauth.AuditQuery) ([]jwtauth.AuditRecord, error) {
	rest := []any{cmp.Or(q.Before, "\U0010ffff"), int64(math.MinInt64), int64(math.MaxInt64),
		orNull(q.Subject), orNull(q.Name), orNull(q.Result), q.Limit}
	if !q.From.IsZero() {
		rest[1] = micros(q.From)
	}
	if !q.To.IsZero() {
		rest[2] = micros(q.To)
	}
	switch {
	case len(q.AddressKeys) > 0:
		return s.queryAddresses(ctx, q, rest)
	case q.Subject != "":
		return s.records(ctx, &recordsOfSubject, append([]any{name(q.Subject)}, rest...)...)
	case q.Name != "":
		return s.records(ctx, &recordsOfName, append([]any{name(q.Name)}, rest...)...)
	}
	return s.records(ctx, &recordsOfAll, rest...)
}

// orNull asks for nothing where a filter is empty.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return name(s)
}

func (s *Store) queryAddresses(ctx context.Context, q jwtauth.AuditQuery, rest []any) ([]jwtauth.AuditRecord, error) {
	var page []jwtauth.AuditRecord
	for keys := range slices.Chunk(q.AddressKeys, maxAddresses) {
		args := make([]any, maxAddresses)
		for i := range args {
			args[i] = name(keys[min(i, len(keys)-1)])
		}
		more, err := s.records(ctx, &recordsOfAddress, append(args, rest...)...)
		if err != nil {
			return nil, err
		}
		page = append(page, more...)
	}
	slices.SortFunc(page, func(a, b jwtauth.AuditRecord) int { return cmp.Compare(b.ID, a.ID) })
	page = slices.CompactFunc(page, func(a, b jwtauth.AuditRecord) bool { return a.ID == b.ID })
	return page[:min(q.Limit, len(page))], nil
}

// Follow implements [jwtauth.AuditStore].
func (s *Store) Follow(ctx context.Context, after int64, limit int) ([]jwtauth.AuditRecord, error) {
	return s.records(ctx, &followRecords, after, limit)
}

// AuditMarks implements [jwtauth.AuditChain].
func (s *Store) AuditMarks(ctx context.Context) (anchor, head jwtauth.AuditMark, err error) {
	err = s.read(ctx, func(ctx context.Context, r run) error {
		_, err := r.row(ctx, &auditMarks, []any{&anchor.Sequence, &anchor.Hash, &anchor.Proof, &head.Sequence, &head.Hash, &head.Proof})
		return err
	})
	return anchor, head, err
}

// Unsealed implements [jwtauth.AuditChain].
func (s *Store) Unsealed(ctx context.Context, limit int) ([]jwtauth.AuditRecord, error) {
	return s.records(ctx, &unsealedRecords, limit)
}

// Seal implements [jwtauth.AuditChain]. Whoever moves the head holds it until all
// records have their places.
func (s *Store) Seal(ctx context.Context, from jwtauth.AuditMark, seals []jwtauth.AuditSeal, head jwtauth.AuditMark) error {
	return s.atomically(ctx, func(ctx context.Context, r run) error {
		n, err := r.changed(ctx, &moveHead, head.Sequence, notNull(head.Hash), notNull(head.Proof), from.Sequence)
		if err == nil && n != 1 {
			err = jwtauth.ErrConflict
		}
		if err != nil {
			return err
		}
		for some := range slices.Chunk(seals, sealRows) {
			if err := r.seal(ctx, some); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r run) seal(ctx context.Context, seals []jwtauth.AuditSeal) error {
	args := make([]any, 0, 3*sealRows)
	for i := range sealRows {
		var one jwtauth.AuditSeal
		if i < len(seals) {
			one = seals[i]
		}
		args = append(args, one.ID, one.Sequence, notNull(one.Hash))
	}
	n, err := r.changed(ctx, &sealRecords, args...)
	if err == nil && n != int64(len(seals)) {
		err = jwtauth.ErrConflict
	}
	return err
}

// PurgeAudit implements [jwtauth.AuditChain].
func (s *Store) PurgeAudit(ctx context.Context, anchor jwtauth.AuditMark) error {
	return s.atomically(ctx, func(ctx context.Context, r run) error {
		n, err := r.changed(ctx, &moveAnchor, anchor.Sequence, notNull(anchor.Hash), notNull(anchor.Proof), anchor.Sequence, anchor.Sequence)
		if err == nil && n != 1 {
			err = jwtauth.ErrConflict
		}
		if err == nil {
			_, err = r.exec(ctx, &purgeRecords, anchor.Sequence)
		}
		return err
	})
}

// AuditKey implements [jwtauth.AuditKeys]. Once the key is there it is one
// statement.
func (s *Store) AuditKey(ctx context.Context, userID string, candidate jwtauth.AuditKey) (jwtauth.AuditKey, error) {
	k, found, err := s.auditKey(ctx, userID)
	if err == nil && !found && candidate.Subject != "" {
		var added bool
		err = s.write(ctx, func(ctx context.Context, r run) (err error) {
			added, err = r.inserted(ctx, &addAuditKey, name(userID), candidate.Subject, candidate.Key)
			return err
		})
		if added && err == nil {
			return candidate, nil
		}
		if err == nil {
			k, _, err = s.auditKey(ctx, userID)
		}
	}
	if err == nil && k.Subject == "" {
		err = jwtauth.ErrNotFound
	}
	return k, err
}

// auditKey reads a key. One that was destroyed is found, and empty.
func (s *Store) auditKey(ctx context.Context, userID string) (k jwtauth.AuditKey, found bool, err error) {
	err = s.read(ctx, func(ctx context.Context, r run) (err error) {
		var subject sql.NullString
		found, err = r.row(ctx, &auditKey, []any{&subject, &k.Key}, name(userID))
		k.Subject = subject.String
		return err
	})
	return k, found, err
}

// EraseAuditKey implements [jwtauth.AuditKeys].
func (s *Store) EraseAuditKey(ctx context.Context, userID string) error {
	return s.atomically(ctx, func(ctx context.Context, r run) error {
		for _, q := range []*statement{&holdAuditKey, &eraseAddresses, &eraseAuditKey} {
			if _, err := r.exec(ctx, q, name(userID)); err != nil {
				return err
			}
		}
		return nil
	})
}
