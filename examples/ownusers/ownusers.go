// Package ownusers keeps the accounts of jwtauth in a table that a program had
// before: users.go is the store, and adopt.go takes the rows over that are there.
// docs/guides/own-users-table.md explains it.
package ownusers

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"

	"github.com/go-jwtauth/jwtauth"
)

// Schema is what the table people needs beside what it has.
//
//go:embed schema.sql
var Schema string

// Adopt makes accounts of the people who have none yet, and joins an error for each
// whose name or address can't be one: those can't log in until that is settled. It
// may be called again.
func Adopt(ctx context.Context, db *sql.DB) error {
	people, err := unadopted(ctx, db)
	errs := []error{err}
	for _, u := range people {
		if err := adopt(ctx, Users{db}, u); err != nil {
			errs = append(errs, fmt.Errorf("person %s: %w", u.ID, err))
		}
	}
	return errors.Join(errs...)
}

func unadopted(ctx context.Context, db *sql.DB) (people []jwtauth.User, err error) {
	rows, err := db.QueryContext(ctx, `SELECT id, login, email, full_name, pw_hash FROM people WHERE rest IS NULL AND login <> ''`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var u jwtauth.User
		if err := rows.Scan(&u.ID, &u.Login, &u.Email, &u.DisplayName, &u.PasswordHash); err != nil {
			return nil, err
		}
		people = append(people, u)
	}
	return people, rows.Err()
}

// adopt gives u what the table did not have. Hashes of bcrypt and argon2id stay as
// they are: the first login replaces them.
func adopt(ctx context.Context, users Users, u jwtauth.User) (err error) {
	var err1, err2 error
	u.LoginKey, err1 = jwtauth.CanonicalName(u.Login)
	u.EmailKey, err2 = jwtauth.CanonicalEmail(u.Email)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	u.Roles, u.CredentialVersion = []string{"subscriber"}, 1
	_, err = users.write(ctx, u, jwtauth.ErrConflict, `UPDATE people SET rest = :rest WHERE id = :id AND rest IS NULL`)
	return err
}
