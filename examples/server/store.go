package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/sqlstore"
)

// openStore opens what -db names, and brings its schema up to date. The store is
// open until ctx ends and close is called.
func openStore(ctx context.Context, where string, log *slog.Logger) (store jwtauth.Store, close func() error, err error) {
	if where == "memory" {
		return jwtauth.NewMemoryStore(), func() error { return nil }, nil
	}
	db, flavour, err := openDatabase(where)
	if err != nil {
		return nil, nil, err
	}
	s, err := sqlstore.Open(db, flavour)
	if err == nil {
		err = s.Migrate(ctx)
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("-db: %w", err), db.Close())
	}
	go purge(ctx, s, log)
	return s, db.Close, nil
}

// openDatabase reads the flag -db. It does not repeat what it reads: there is a
// password in it.
func openDatabase(where string) (*sql.DB, sqlstore.Flavour, error) {
	switch kind, rest, _ := strings.Cut(where, ":"); {
	case kind == "sqlite" && rest != "":
		return openSQLite(rest)
	case kind == "postgres", kind == "postgresql":
		return connect("pgx", withTimeout(where), sqlstore.Postgres)
	case kind == "mysql":
		dsn, err := mysqlDSN(where)
		if err != nil {
			return nil, 0, err
		}
		return connect("mysql", dsn, sqlstore.MySQL)
	}
	return nil, 0, errors.New("-db must be memory, sqlite:FILE, postgres://… or mysql://…")
}

func connect(driver, dsn string, flavour sqlstore.Flavour) (*sql.DB, sqlstore.Flavour, error) {
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, 0, fmt.Errorf("-db: %w", err)
	}
	const connections = 20 // of the 100 or so that servers allow for all nodes
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db, flavour, nil
}

// openSQLite makes the file before SQLite does: for its owner alone, since it has
// password hashes in it. Other files that SQLite makes beside it follow.
func openSQLite(file string) (*sql.DB, sqlstore.Flavour, error) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, 0, fmt.Errorf("-db: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, 0, fmt.Errorf("-db: %w", err)
	}
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath(),
		RawQuery: "_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"}
	return connect("sqlite", u.String(), sqlstore.SQLite)
}

const connectTimeout = "5" // seconds

func withTimeout(postgres string) string {
	u, err := url.Parse(postgres)
	if err != nil {
		return postgres // the driver says what is wrong
	}
	if q := u.Query(); !q.Has("connect_timeout") {
		q.Set("connect_timeout", connectTimeout)
		u.RawQuery = q.Encode()
	}
	return u.String()
}

// mysqlDSN writes a URL as the driver wants it: user:password@tcp(host:port)/name.
func mysqlDSN(where string) (string, error) {
	u, err := url.Parse(where)
	if err != nil {
		return "", errors.New("-db: not a URL")
	}
	query := u.RawQuery
	if !u.Query().Has("timeout") {
		query = strings.TrimPrefix(query+"&timeout="+connectTimeout+"s", "&")
	}
	port := u.Port()
	if port == "" {
		port = "3306"
	}
	password, _ := u.User.Password()
	cfg := mysql.Config{User: u.User.Username(), Passwd: password, Net: "tcp", Addr: net.JoinHostPort(u.Hostname(), port),
		DBName: strings.TrimPrefix(u.Path, "/"), AllowNativePasswords: true, CheckConnLiveness: true}
	dsn := cfg.FormatDSN()
	dsn, _, _ = strings.Cut(dsn, "?") // what is left out is the default
	return dsn + "?" + query, nil
}

// purge frees the space of what has expired, until ctx ends.
func purge(ctx context.Context, s *sqlstore.Store, log *slog.Logger) {
	const batch = 500
	for tick := time.NewTicker(time.Minute); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case now := <-tick.C:
			n, err := s.Purge(ctx, now, batch)
			for err == nil && n > 0 {
				n, err = s.Purge(ctx, now, batch)
			}
			if err != nil && ctx.Err() == nil {
				log.Error("expired entries not purged, will be tried again", "error", err)
			}
		}
	}
}

// besideDatabase is where keys are kept if nobody says so: a store that lasts is
// worth little with sessions that don't, and its audit trail is sealed with the
// secret.
func besideDatabase(where string) string {
	if file, ok := strings.CutPrefix(where, "sqlite:"); ok && file != "" {
		return file + ".keys"
	}
	return ""
}
