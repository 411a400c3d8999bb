package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// The schema, a folder for each flavour. Files are numbered from 1 without gaps,
// and never change once released: what comes later is a new file. A line that
// ends in a semicolon ends a statement.
//
//go:embed schema
var schema embed.FS

// migrations returns the files of a flavour in their order.
func migrations(f Flavour) ([]string, error) {
	dir := path.Join("schema", f.String())
	entries, err := fs.ReadDir(schema, dir) // sorted by name
	if err != nil {
		return nil, err
	}
	var texts []string
	for i, e := range entries {
		number, _, _ := strings.Cut(e.Name(), "_")
		if n, err := strconv.Atoi(number); err != nil || n != i+1 {
			return nil, fmt.Errorf("sqlstore: %s is not number %d", e.Name(), i+1)
		}
		text, err := fs.ReadFile(schema, path.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		texts = append(texts, string(text))
	}
	return texts, nil
}

// split returns the statements of a file.
func split(text string) []string {
	var all []string
	for part := range strings.SplitSeq(text, ";\n") {
		if strings.TrimSpace(part) != "" {
			all = append(all, part)
		}
	}
	return all
}

// Migrate brings the schema to the version that this package was made for, or
// does nothing if it is there. Any number of nodes may call it at once: one
// works, the others wait. It only goes forward, and refuses a schema that is
// newer than it knows with [ErrNewerSchema].
//
// The account of the database needs the right to create tables, which a host may
// prefer not to give to a server: call Migrate from a program of its own then,
// and [Store.Check] at the start of the server.
func (s *Store) Migrate(ctx context.Context) error {
	return s.onConn(ctx, func(conn *sql.Conn, texts []string) error {
		err := s.locked(ctx, conn, func() error { return s.migrate(ctx, conn, texts) })
		if err == nil || errors.Is(err, ErrNewerSchema) {
			return err
		}
		return fmt.Errorf("sqlstore: migration: %w", err)
	})
}

// onConn calls f with a connection of its own and the files of the schema.
func (s *Store) onConn(ctx context.Context, f func(conn *sql.Conn, texts []string) error) error {
	texts, err := migrations(s.flavour)
	if err != nil {
		return err
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return fault(err)
	}
	defer conn.Close()
	return f(conn, texts)
}

// lockName is the same for every node. MySQL's locks are the server's and not
// the database's, so there its name is added.
const lockName = "jwtauth migration"

// locked calls f while no other node does. On SQLite and PostgreSQL all of f is
// one transaction as well; MySQL ends a transaction at each change of a table.
func (s *Store) locked(ctx context.Context, conn *sql.Conn, f func() error) error {
	begin := "BEGIN IMMEDIATE"
	switch s.flavour {
	case Postgres:
		begin = "BEGIN"
	case MySQL:
		return lockedByName(ctx, conn, f)
	}
	if _, err := conn.ExecContext(ctx, begin); err != nil {
		discard(conn) // It may have begun when ctx ended.
		return err
	}
	finish := func(how string) error {
		_, err := conn.ExecContext(context.WithoutCancel(ctx), how)
		if err != nil {
			discard(conn)
		}
		return err
	}
	if s.flavour == Postgres {
		if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_xact_lock(hashtext($1))", lockName); err != nil {
			return errors.Join(err, finish("ROLLBACK"))
		}
	}
	if err := f(); err != nil {
		return errors.Join(err, finish("ROLLBACK"))
	}
	return finish("COMMIT")
}

// lockWait is how long a node waits for another one's migration, in seconds.
const lockWait = 600

func lockedByName(ctx context.Context, conn *sql.Conn, f func() error) error {
	var got sql.NullInt64
	err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(CONCAT(?, ' ', MD5(DATABASE())), ?)", lockName, lockWait).Scan(&got)
	if err != nil {
		return err
	}
	if got.Int64 != 1 {
		return errors.New("another node has held the lock for too long")
	}
	err = f()
	_, free := conn.ExecContext(context.WithoutCancel(ctx), "DO RELEASE_LOCK(CONCAT(?, ' ', MD5(DATABASE())))", lockName)
	if free != nil {
		discard(conn) // and the lock goes with it
	}
	return errors.Join(err, free)
}

func (s *Store) migrate(ctx context.Context, conn *sql.Conn, texts []string) error {
	if _, err := conn.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS jwtauth_schema (version INTEGER NOT NULL PRIMARY KEY)"); err != nil {
		return err
	}
	version, err := schemaVersion(ctx, conn)
	if err != nil {
		return err
	}
	if version > len(texts) {
		return fmt.Errorf("%w: %d, and this program knows %d", ErrNewerSchema, version, len(texts))
	}
	for i, text := range texts[version:] {
		for _, one := range split(text) {
			if _, err := conn.ExecContext(ctx, one); err != nil {
				return fmt.Errorf("to version %d: %w", version+i+1, err)
			}
		}
		if _, err := conn.ExecContext(ctx, addVersion.text(s.flavour), version+i+1); err != nil {
			return err
		}
	}
	return nil
}

var addVersion = statement{any: "INSERT INTO jwtauth_schema (version) VALUES (?)"}

func schemaVersion(ctx context.Context, conn *sql.Conn) (version int, err error) {
	err = conn.QueryRowContext(ctx, "SELECT COALESCE(MAX(version), 0) FROM jwtauth_schema").Scan(&version)
	return version, err
}

// The two ways in which a schema is not the one that this package was made for.
var (
	// ErrNewerSchema means that a newer version of this package has migrated
	// the database, and this one would not know what it does.
	ErrNewerSchema = errors.New("sqlstore: the schema is newer than this program")
	// ErrNotMigrated means that [Store.Migrate] has to be called first.
	ErrNotMigrated = errors.New("sqlstore: the schema has to be migrated first")
)

// Check says why the database is not fit to be used: [ErrNotMigrated],
// [ErrNewerSchema], a setting that the package documentation asks for, or a
// fault. Every verb checks once before its first use; a host calls it to know at
// the start.
func (s *Store) Check(ctx context.Context) error {
	return s.onConn(ctx, func(conn *sql.Conn, texts []string) error {
		if err := s.checkSettings(ctx, conn); err != nil {
			return err
		}
		version, err := schemaVersion(ctx, conn)
		switch {
		case ctx.Err() != nil:
			return fault(ctx.Err())
		case err != nil: // most likely the table is missing; a database that is down says so in the text
			return fmt.Errorf("%w (%w)", ErrNotMigrated, err)
		case version < len(texts):
			return fmt.Errorf("%w: version %d, want %d", ErrNotMigrated, version, len(texts))
		case version > len(texts):
			return fmt.Errorf("%w: %d, and this program knows %d", ErrNewerSchema, version, len(texts))
		}
		return nil
	})
}

// checkSettings refuses what would fail later, under load, or cut text short.
func (s *Store) checkSettings(ctx context.Context, conn *sql.Conn) error {
	switch s.flavour {
	case SQLite:
		return s.checkSQLite(ctx, conn)
	case MySQL:
		var strict bool
		err := conn.QueryRowContext(ctx, "SELECT CONCAT(',', @@sql_mode, ',') REGEXP ',(STRICT_TRANS_TABLES|STRICT_ALL_TABLES|TRADITIONAL),'").Scan(&strict)
		if err == nil && !strict {
			err = errors.New("sql_mode has to be strict, or the server cuts what does not fit")
		}
		return fault(err)
	}
	return nil
}

func (s *Store) checkSQLite(ctx context.Context, conn *sql.Conn) error {
	var timeout int
	if err := conn.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&timeout); err != nil {
		return fault(err)
	}
	if timeout <= 0 {
		return errors.New("sqlstore: SQLite needs a busy timeout on every connection: _pragma=busy_timeout(5000)")
	}
	var file string
	if err := conn.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&file); err != nil {
		return fault(err)
	}
	if file == "" && s.db.Stats().MaxOpenConnections != 1 {
		return errors.New("sqlstore: a SQLite database in memory needs SetMaxOpenConns(1): each connection would have its own")
	}
	return nil
}
