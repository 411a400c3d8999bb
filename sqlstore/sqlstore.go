// Package sqlstore keeps everything that package jwtauth keeps in a SQL
// database: accounts, sessions, revocations, one-time secrets, counters and the
// audit trail, in SQLite, PostgreSQL, MySQL or MariaDB. It uses database/sql
// alone; the driver is the host's choice.
//
//	db, err := sql.Open("pgx", "postgres://localhost/app")
//	…
//	store, err := sqlstore.Open(db, sqlstore.Postgres)
//	…
//	if err := store.Migrate(ctx); err != nil { … }
//	auth, err := jwtauth.New(jwtauth.Config{Store: store, …})
//
// Its tables begin with jwtauth_ and live beside the host's own.
//
// # How it keeps its promises
//
// What must hold for any number of nodes (a name is taken once, a generation
// moves once, a secret is used once, a limit is exact) lives in unique keys and
// in updates with a condition, and the number of rows changed is the answer. No
// isolation level is relied on, so the default of the server, or a stricter one,
// will do. A verb is one statement, and so one round trip, wherever the database
// can say all of it in one; docs/operations.md has the numbers.
//
// Times come from the caller. What has expired no longer counts, whether or not
// it is still there; [Store.Purge] frees the space and is the host's to call now
// and then.
//
// # What each database needs
//
// SQLite (modernc.org/sqlite is the one that is tested): a busy timeout, without
// which a second process makes writes fail, and the write-ahead log, so that
// reading goes on beside a writer. All connections write one after another, which
// the store arranges itself inside a process:
//
//	sql.Open("sqlite", "file:auth.db?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
//
// Synchronous FULL is what keeps an acknowledged revocation through a power cut.
// A database in memory is one for each connection: SetMaxOpenConns(1).
//
// PostgreSQL 12 or later (github.com/jackc/pgx/v5/stdlib is tested). With
// synchronous_commit off, the last moment of acknowledged work is lost in a crash.
//
// MySQL 8 and MariaDB 10.6 or later (github.com/go-sql-driver/mysql is tested),
// with strict sql_mode, which is their default.
//
// Set limits on the pool: SetMaxOpenConns below what the server allows, divided
// by the number of nodes. A verb that takes longer than ten seconds, or waits that
// long for a connection, ends with an error whatever its context says: a server
// that does not answer must not collect requests.
package sqlstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/go-jwtauth/jwtauth"
)

// Flavour is the dialect of SQL that a database speaks.
type Flavour int

// The flavours. MySQL is for MariaDB too.
const (
	SQLite Flavour = iota + 1
	Postgres
	MySQL
)

// String returns the name of the flavour, which is also that of its folder of
// migrations.
func (f Flavour) String() string {
	switch f {
	case SQLite:
		return "sqlite"
	case Postgres:
		return "postgres"
	case MySQL:
		return "mysql"
	}
	return fmt.Sprintf("Flavour(%d)", int(f))
}

// Store is a [jwtauth.Store], with its optional parts [jwtauth.UserLister],
// [jwtauth.SessionLister] and [jwtauth.StoreClock], in a SQL database. It is
// safe for concurrent use, by any number of processes on one database. It has no
// goroutines and nothing to close but the database, which is the host's.
type Store struct {
	db      *sql.DB
	flavour Flavour
	// opening admits one caller to the check of the schema.
	opening gate
	// prepared is set once the schema has been found to be the right one.
	prepared atomic.Pointer[map[*statement]prepared]
	// writing admits one writer of this process to a SQLite database: its own
	// queue is fair and wakes at once, while SQLite's polls. Nil elsewhere.
	writing gate
}

var (
	_ jwtauth.Store         = (*Store)(nil)
	_ jwtauth.UserLister    = (*Store)(nil)
	_ jwtauth.SessionLister = (*Store)(nil)
	_ jwtauth.StoreClock    = (*Store)(nil)
)

// Open returns a store on db. It does not connect yet. The first use checks that
// the schema is exactly the one that this version was made for, and every verb
// returns an error that says so for as long as it is not: see [Store.Migrate].
func Open(db *sql.DB, flavour Flavour) (*Store, error) {
	if db == nil {
		return nil, errors.New("sqlstore: no database")
	}
	if flavour < SQLite || flavour > MySQL {
		return nil, fmt.Errorf("sqlstore: unknown flavour %d", int(flavour))
	}
	s := &Store{db: db, flavour: flavour, opening: newGate()}
	if flavour == SQLite {
		s.writing = newGate()
	}
	return s, nil
}

// gate admits one at a time. A nil gate is open.
type gate chan struct{}

func newGate() gate { return make(gate, 1) }

func (g gate) enter(ctx context.Context) error {
	if g == nil {
		return ctx.Err()
	}
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g gate) leave() {
	if g != nil {
		<-g
	}
}

// micros is how times are stored.
func micros(t time.Time) int64 { return t.UnixMicro() }

func moment(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// maxName is the longest text that is part of an index.
const maxName = 255

// plain reports whether every database keeps and compares s as it is.
func plain(s string) bool {
	return len(s) <= maxName && utf8.ValidString(s) && !strings.Contains(s, "\x00")
}

const hashedName = "sha256:"

// name is the form of a key or id in the database: itself, or its hash where it
// is too long or no text. Two keys have two names.
func name(key string) string {
	if plain(key) && !strings.HasPrefix(key, hashedName) {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return hashedName + hex.EncodeToString(sum[:])
}

// verbatim refuses ids that have to come back as they are and can't.
func verbatim(ids ...string) error {
	for _, id := range ids {
		if name(id) != id {
			return errors.New("sqlstore: an id is longer than 255 bytes or no text")
		}
	}
	return nil
}

// serverTime is by the clock of the server, or of this machine with SQLite.
var serverTime = statement{
	sqlite:   `SELECT CAST((julianday() - 2440587.5) * 86400000000 AS INTEGER)`,
	postgres: `SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)`,
	mysql:    `SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)`,
}

// ServerTime implements [jwtauth.StoreClock]. Nothing is judged by it.
func (s *Store) ServerTime(ctx context.Context) (t time.Time, err error) {
	err = s.read(ctx, func(ctx context.Context, r run) error {
		var us int64
		_, err := r.row(ctx, &serverTime, []any{&us})
		t = moment(us)
		return err
	})
	return t, err
}
