package integration_test

import (
	"testing"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/internal/integration"
	"github.com/go-jwtauth/jwtauth/storetest"
)

// databases are the servers that every test of sqlstore runs on.
var databases = []struct {
	name  string
	empty func(t testing.TB) integration.Database
}{
	{"SQLite", integration.SQLite},
	{"PostgreSQL", integration.Postgres},
	{"MariaDB", integration.MySQL},
}

// onEach runs a test on each database.
func onEach(t *testing.T, run func(t *testing.T, empty func(t testing.TB) integration.Database)) {
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) { run(t, d.empty) })
	}
}

func TestStore(t *testing.T) {
	onEach(t, func(t *testing.T, empty func(t testing.TB) integration.Database) {
		d := empty(t)
		db := d.Open(t)
		s := integration.Migrated(t, db, d.Flavour)
		storetest.Run(t, func(t *testing.T) jwtauth.Store {
			integration.Clear(t, db, d.Flavour)
			return s
		})
	})
}

func TestStoreFaults(t *testing.T) {
	onEach(t, func(t *testing.T, empty func(t testing.TB) integration.Database) {
		storetest.RunFaults(t, func(t *testing.T) (jwtauth.Store, func()) {
			d := empty(t)
			db := d.Open(t)
			return integration.Migrated(t, db, d.Flavour), func() { db.Close() }
		})
	})
}
