package sqlstore_test

import (
	"context"
	"database/sql"
	"log"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/sqlstore"
)

// Everything in one file. A program imports the driver as well:
//
//	import _ "modernc.org/sqlite"
func Example() {
	db, err := sql.Open("sqlite", "file:auth.db?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		log.Fatal(err)
	}
	store, err := sqlstore.Open(db, sqlstore.SQLite)
	if err != nil {
		log.Fatal(err)
	}
	if err := store.Migrate(context.Background()); err != nil {
		log.Fatal(err)
	}
	keys, err := jwtauth.OpenKeys("keys", "ES256")
	if err != nil {
		log.Fatal(err)
	}
	secret, err := jwtauth.OpenSecret("keys")
	if err != nil {
		log.Fatal(err)
	}
	auth, err := jwtauth.New(jwtauth.Config{Issuer: "https://auth.example.com", Keys: keys, Secret: secret, Store: store})
	if err != nil {
		log.Fatal(err)
	}
	_ = auth.Handler() // to be mounted
}

// What has expired is purged now and then, in batches.
func ExampleStore_Purge() {
	var store *sqlstore.Store // as above
	for now := range time.Tick(time.Minute) {
		n, err := store.Purge(context.Background(), now, 500)
		for err == nil && n > 0 {
			n, err = store.Purge(context.Background(), now, 500)
		}
		if err != nil {
			log.Print(err) // the next minute is another try
		}
	}
}

// Accounts that a host keeps in tables of its own, and all the rest in these.
func ExampleOpen_ownAccounts() {
	var db *sql.DB
	var own jwtauth.UserStore // the host's
	store, err := sqlstore.Open(db, sqlstore.Postgres)
	if err != nil {
		log.Fatal(err)
	}
	cfg := jwtauth.Config{Store: store, Users: own} // and what else is required
	_ = cfg
}
