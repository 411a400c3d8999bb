package integration_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/internal/integration"
	"github.com/go-jwtauth/jwtauth/sqlstore"
)

// opened is a store on a database that nobody migrated.
func opened(t *testing.T, d integration.Database) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(d.Open(t), d.Flavour)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wantUnfit fails unless each kind of verb refuses, with that reason and no
// sentinel of jwtauth.
func wantUnfit(t *testing.T, s *sqlstore.Store, reason error) {
	t.Helper()
	_, read := s.UserByID(t.Context(), "1")
	one := s.Revoke(t.Context(), jwtauth.Revocation{TokenID: "t", Expires: time.Now()})
	_, many := s.CreateUser(t.Context(), jwtauth.User{LoginKey: "alice"})
	for _, err := range []error{s.Check(t.Context()), read, one, many} {
		var known *jwtauth.Error
		if !errors.Is(err, reason) || errors.As(err, &known) {
			t.Errorf("got %v, want %v", err, reason)
		}
	}
}

func TestSchemaOfAnotherVersionIsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, empty func(t testing.TB) integration.Database) {
		d := empty(t)
		s := opened(t, d)
		wantUnfit(t, s, sqlstore.ErrNotMigrated)
		integration.Migrated(t, d.Open(t), d.Flavour)
		if err := s.Check(t.Context()); err != nil {
			t.Errorf("Check after Migrate: %v", err)
		}
		if _, err := s.UserByID(t.Context(), "1"); !errors.Is(err, jwtauth.ErrNotFound) {
			t.Errorf("a store that was opened before the migration: %v", err)
		}
		db := d.Open(t)
		if _, err := db.ExecContext(t.Context(), "DELETE FROM jwtauth_schema WHERE version > 1"); err != nil {
			t.Fatal(err)
		}
		wantUnfit(t, opened(t, d), sqlstore.ErrNotMigrated)
		if _, err := db.ExecContext(t.Context(), "INSERT INTO jwtauth_schema (version) VALUES (1000)"); err != nil {
			t.Fatal(err)
		}
		newer := opened(t, d)
		wantUnfit(t, newer, sqlstore.ErrNewerSchema)
		if err := newer.Migrate(t.Context()); !errors.Is(err, sqlstore.ErrNewerSchema) {
			t.Errorf("Migrate of a newer schema: %v", err)
		}
	})
}

func TestManyNodesMigrateAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, empty func(t testing.TB) integration.Database) {
		d := empty(t)
		const nodes = 8
		stores, errs := make([]*sqlstore.Store, nodes), make([]error, nodes)
		for i := range stores {
			stores[i] = opened(t, d)
		}
		var all sync.WaitGroup
		for i, s := range stores {
			all.Go(func() { errs[i] = s.Migrate(t.Context()) })
		}
		all.Wait()
		for i, s := range stores {
			if err := errors.Join(errs[i], s.Check(t.Context()), s.Migrate(t.Context())); err != nil {
				t.Errorf("node %d: %v", i, err)
			}
		}
		if _, err := stores[0].CreateUser(t.Context(), jwtauth.User{LoginKey: "alice"}); err != nil {
			t.Error(err)
		}
	})
}

func TestMigrationThatWasCutOffGoesOn(t *testing.T) {
	onEach(t, func(t *testing.T, empty func(t testing.TB) integration.Database) {
		d := empty(t)
		for after := time.Millisecond; ; after += after / 3 {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			err := opened(t, d).Migrate(ctx)
			cancel()
			if err == nil {
				break
			}
		}
		s := opened(t, d)
		if _, err := s.CreateUser(t.Context(), jwtauth.User{LoginKey: "alice"}); err != nil {
			t.Errorf("CreateUser: %v", err)
		}
	})
}

// TestUnfitSettingsAreRefused has settings under which a store would fail later,
// or worse.
func TestUnfitSettingsAreRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "auth.db")
	for _, c := range []struct {
		name, want string
		database   func(t testing.TB) integration.Database
	}{
		{"SQLite without a busy timeout", "busy timeout", func(testing.TB) integration.Database {
			return integration.Database{Flavour: sqlstore.SQLite, Driver: "sqlite", DSN: "file:" + file}
		}},
		{"SQLite in memory, once for each connection", "SetMaxOpenConns", func(testing.TB) integration.Database {
			return integration.Database{Flavour: sqlstore.SQLite, Driver: "sqlite", DSN: "file::memory:?_pragma=busy_timeout(1000)"}
		}},
		{"MySQL that cuts what is too long", "sql_mode", func(t testing.TB) integration.Database {
			d := integration.MySQL(t)
			d.DSN += "?sql_mode=%27%27"
			return d
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := opened(t, c.database(t)).Check(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Check: %v, want one about %s", err, c.want)
			}
		})
	}
}

func TestOpenNeedsADatabaseAndAFlavour(t *testing.T) {
	if _, err := sqlstore.Open(nil, sqlstore.SQLite); err == nil {
		t.Error("Open without a database: no error")
	}
	for _, f := range []sqlstore.Flavour{0, -1, sqlstore.MySQL + 1} {
		if _, err := sqlstore.Open(integration.SQLite(t).Open(t), f); err == nil {
			t.Errorf("Open with %v: no error", f)
		}
	}
}
