package ownusers_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/authtest"
	"github.com/go-jwtauth/jwtauth/examples/ownusers"
	"github.com/go-jwtauth/jwtauth/storetest"
	_ "modernc.org/sqlite"
)

// before is the table of a program that knows nothing of jwtauth.
const before = `CREATE TABLE people (
	id        INTEGER PRIMARY KEY,
	login     TEXT NOT NULL,
	email     TEXT,
	full_name TEXT NOT NULL DEFAULT '',
	pw_hash   TEXT NOT NULL,
	joined    TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP);
CREATE UNIQUE INDEX people_email ON people (email)`

// oldHash is bcrypt's of "the old pass phrase", cost 10.
const oldHash = "$2a$10$J3IEvvkfXs4DsGZJ6xy8V.xHfA3FbFyUgkGpdXHTRExFDhJjL.jQm"

// open returns a database with the old table, what statements put into it, and
// the columns that are added.
func open(t *testing.T, statements ...string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "app.db")+
		"?_pragma=busy_timeout(60000)&_pragma=journal_mode(WAL)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	for _, statement := range append(append([]string{before}, statements...), ownusers.Schema) {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

func TestStore(t *testing.T) {
	storetest.RunUsers(t, func(t *testing.T) jwtauth.UserStore { return ownusers.Users{DB: open(t)} })
}

func TestStoreFaults(t *testing.T) {
	storetest.RunFaults(t, func(t *testing.T) (jwtauth.UserStore, func()) {
		db := open(t)
		return ownusers.Users{DB: db}, func() { db.Close() }
	})
}

// Contract that the suite can't check for a store that drops its rows: an id that
// the host chose is not given again after deletion.
func TestChosenIDNeverComesBack(t *testing.T) {
	users := ownusers.Users{DB: open(t)}
	u := jwtauth.User{ID: "57", Login: "ada", LoginKey: "ada"}
	if _, err := users.CreateUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	if err := users.DeleteUser(t.Context(), "057"); !errors.Is(err, jwtauth.ErrNotFound) {
		t.Errorf("DeleteUser of another spelling of the id: %v", err)
	}
	if err := users.DeleteUser(t.Context(), "57"); err != nil {
		t.Fatal(err)
	}
	if _, err := users.CreateUser(t.Context(), u); !errors.Is(err, jwtauth.ErrConflict) {
		t.Errorf("CreateUser with the id of a deleted account: %v", err)
	}
}

// People who were there before log in with their old password, under their old id.
func TestOldPeopleLogIn(t *testing.T) {
	db := open(t, `INSERT INTO people (id, login, email, full_name, pw_hash) VALUES
		(7, 'Ada', 'Ada@Example.com', 'Ada Lovelace', '`+oldHash+`'),
		(8, 'ada', 'other@example.com', 'a namesake', '`+oldHash+`'),
		(9, 'no name at all', 'x@example.com', '', '`+oldHash+`')`)
	err := ownusers.Adopt(t.Context(), db)
	for _, want := range []string{"person 8: " + jwtauth.ErrLoginTaken.Error(), "person 9: jwtauth: " + jwtauth.ErrInvalidInput.Code} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Adopt says %v, want %q among it", err, want)
		}
	}
	users := ownusers.Users{DB: db}
	site := authtest.New(t, func(cfg *jwtauth.Config) { cfg.Users = users })
	grant, err := site.Auth.Login(t.Context(), jwtauth.Credentials{Login: "ADA", Password: "the old pass phrase"})
	if err != nil {
		t.Fatal(err)
	}
	if grant.User.ID != "7" || grant.User.DisplayName != "Ada Lovelace" {
		t.Errorf("logged in as %+v", grant.User)
	}
	u, err := users.UserByID(t.Context(), "7")
	if err != nil || !strings.HasPrefix(string(u.PasswordHash), "$argon2id$") {
		t.Errorf("the hash was not replaced: %v", err)
	}
	if err := site.Auth.SetRoles(t.Context(), "7", "administrator"); err != nil {
		t.Error(err)
	}
	if _, err := site.Auth.Verify(t.Context(), grant.AccessToken); !errors.Is(err, jwtauth.ErrInvalidToken) {
		t.Errorf("a token with the old roles: %v", err)
	}
}
