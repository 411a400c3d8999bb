// Package integration tests the stores against real servers: SQLite, PostgreSQL,
// MariaDB or MySQL. It is not released, and holds the drivers that the library
// itself does without.
//
// Where a server is does not matter, only that the tests may create databases
// there: JWTAUTH_TEST_POSTGRES and JWTAUTH_TEST_MYSQL name it, and the usual local
// port is the default. A server that does not answer is a reason to skip, and with
// CI=true a failure. compose.yaml starts all of them.
package integration

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/go-jwtauth/jwtauth/sqlstore"
)

// Database is an empty database of its own, which ends with the test.
type Database struct {
	Flavour sqlstore.Flavour
	Driver  string
	DSN     string
}

// Open connects. The connections end with the test.
func (d Database) Open(t testing.TB) *sql.DB {
	t.Helper()
	db, err := d.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// Connect is Open for who closes by itself.
func (d Database) Connect() (*sql.DB, error) {
	db, err := sql.Open(d.Driver, d.DSN)
	if err == nil {
		db.SetMaxOpenConns(16)
		db.SetMaxIdleConns(16)
	}
	return db, err
}

// Store returns a store on a database that was migrated.
func (d Database) Store(t testing.TB) *sqlstore.Store {
	t.Helper()
	return Migrated(t, d.Open(t), d.Flavour)
}

// Migrated returns a store on db once its schema is there.
func Migrated(t testing.TB, db *sql.DB, f sqlstore.Flavour) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(db, f)
	if err == nil {
		err = s.Migrate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// clearing forgets everything but the numbers that were given out.
var clearing = []string{
	"DELETE FROM jwtauth_users", "DELETE FROM jwtauth_keys", "DELETE FROM jwtauth_sessions", "DELETE FROM jwtauth_turns",
	"DELETE FROM jwtauth_revocations", "DELETE FROM jwtauth_codes", "DELETE FROM jwtauth_claims", "DELETE FROM jwtauth_counters",
	"DELETE FROM jwtauth_records", "DELETE FROM jwtauth_audit_keys", "DELETE FROM jwtauth_cursors", "DELETE FROM jwtauth_dead_letters",
	"UPDATE jwtauth_audit_head SET sequence = 0, hash = '', proof = ''", "UPDATE jwtauth_audit_anchor SET sequence = 0, hash = '', proof = ''",
}

// Clear empties a database that was migrated. That is quicker than a new one for
// each case.
func Clear(t testing.TB, db *sql.DB, f sqlstore.Flavour) {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	for _, text := range clearing {
		if f == sqlstore.SQLite {
			text = strings.ReplaceAll(text, "''", "x''")
		}
		if _, err := tx.ExecContext(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// SQLite makes a file.
func SQLite(t testing.TB) Database {
	t.Helper()
	return SQLiteFile(filepath.Join(t.TempDir(), "auth.db"))
}

// SQLiteFile names a file as the documentation of sqlstore advises.
func SQLiteFile(name string) Database {
	return Database{sqlstore.SQLite, "sqlite",
		"file:" + name + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"}
}

// Postgres makes a schema, in which everything is found that has no other.
func Postgres(t testing.TB) Database {
	t.Helper()
	admin := postgres.admin(t)
	name := newName()
	mustExec(t, admin, "CREATE SCHEMA "+name)
	t.Cleanup(func() { mustExec(t, admin, "DROP SCHEMA "+name+" CASCADE") })
	u, err := url.Parse(postgres.dsn())
	if err != nil {
		t.Fatalf("JWTAUTH_TEST_POSTGRES: %v", err)
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return Database{sqlstore.Postgres, "pgx", u.String()}
}

// MySQL makes a database.
func MySQL(t testing.TB) Database {
	t.Helper()
	admin := mariadb.admin(t)
	name := newName()
	mustExec(t, admin, "CREATE DATABASE "+name)
	t.Cleanup(func() { mustExec(t, admin, "DROP DATABASE "+name) })
	cfg, err := mysql.ParseDSN(mariadb.dsn())
	if err != nil {
		t.Fatalf("JWTAUTH_TEST_MYSQL: %v", err)
	}
	cfg.DBName = name
	return Database{sqlstore.MySQL, "mysql", cfg.FormatDSN()}
}

func newName() string { return "jwtauth_test_" + strings.ToLower(rand.Text()[:16]) }

func mustExec(t testing.TB, db *sql.DB, text string) {
	t.Helper()
	if _, err := db.ExecContext(context.WithoutCancel(t.Context()), text); err != nil {
		t.Errorf("%s: %v", text, err)
	}
}

// server is one that the tests find running.
type server struct {
	driver, env, usual, start string

	once sync.Once
	db   *sql.DB
	err  error
}

var (
	postgres = server{driver: "pgx", env: "JWTAUTH_TEST_POSTGRES", usual: "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable",
		start: "apt-get install postgresql, or docker compose -f internal/integration/compose.yaml up -d --wait"}
	mariadb = server{driver: "mysql", env: "JWTAUTH_TEST_MYSQL", usual: "root@tcp(127.0.0.1:3306)/",
		start: "apt-get install mariadb-server, or docker compose -f internal/integration/compose.yaml up -d --wait"}
)

func (s *server) dsn() string {
	if dsn := os.Getenv(s.env); dsn != "" {
		return dsn
	}
	return s.usual
}

// admin returns connections to the server, or skips.
func (s *server) admin(t testing.TB) *sql.DB {
	t.Helper()
	s.once.Do(func() {
		if s.db, s.err = sql.Open(s.driver, s.dsn()); s.err != nil {
			return
		}
		s.db.SetMaxIdleConns(1)
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		s.err = s.db.PingContext(ctx)
	})
	if s.err != nil {
		Absent(t, fmt.Sprintf("no server at %s (%v): %s, or set %s", s.usual, s.err, s.start, s.env))
	}
	return s.db
}

// Absent skips a test for want of a server. Where the servers are expected to be
// there, it fails.
func Absent(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}
