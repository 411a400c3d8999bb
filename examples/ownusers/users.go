package ownusers

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/go-jwtauth/jwtauth"
)

// Users is a jwtauth.UserStore over the table people, for Config.Users.
type Users struct{ DB *sql.DB }

// takeKey returns a row unless the key is another account's.
const takeKey = `INSERT INTO people_keys (key, person) VALUES (?, ?)
	ON CONFLICT (key) DO UPDATE SET person = person WHERE person = excluded.person RETURNING 1`

func (s Users) CreateUser(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
	u.CredentialVersion = 1
	return s.write(ctx, u, jwtauth.ErrConflict, `INSERT INTO people (id, login, email, full_name, pw_hash, rest, joined)
		VALUES (NULLIF(:id, ''), :login, NULLIF(:email, ''), :name, :hash, :rest, :joined) ON CONFLICT (id) DO NOTHING`)
}

func (s Users) UpdateUser(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
	_, err := s.UserByID(ctx, u.ID) // tells an account that is gone from one that moved on
	return s.write(ctx, u, cmp.Or[error](err, jwtauth.ErrConflict), `UPDATE people SET login = :login, email = NULLIF(:email, ''), full_name = :name,
		pw_hash = :hash, rest = :rest, version = version + 1 WHERE id = :id AND version = :version AND rest IS NOT NULL`)
}

// DeleteUser keeps the row, so that its id never comes back.
func (s Users) DeleteUser(ctx context.Context, id string) error {
	_, err := s.write(ctx, jwtauth.User{ID: id}, jwtauth.ErrNotFound, `UPDATE people SET login = '', email = NULL, full_name = '',
		pw_hash = '', rest = NULL WHERE id = :id AND CAST(id AS TEXT) = :id AND rest IS NOT NULL`)
	return err
}

// write stores u and the keys it goes by, or nothing; none is the error where no row fits.
func (s Users) write(ctx context.Context, u jwtauth.User, none error, query string) (jwtauth.User, error) {
	rest, _ := json.Marshal(map[string]any{"LoginKey": u.LoginKey, "EmailKey": u.EmailKey, "CredentialVersion": u.CredentialVersion, "Roles": u.Roles,
		"Identities": u.Identities, "Disabled": u.Disabled, "EmailVerified": u.EmailVerified, "Meta": u.Meta})
	tx, err := s.DB.BeginTx(ctx, nil)
	if err != nil {
		return jwtauth.User{}, err
	}
	defer tx.Rollback()
	_, err = tx.ExecContext(ctx, `DELETE FROM people_keys WHERE person = ?`, u.ID)
	err = cmp.Or(err, get(tx.QueryRowContext(ctx, query+` RETURNING id, version, joined`, sql.Named("id", u.ID), sql.Named("version", u.Version), sql.Named("login", u.Login),
		sql.Named("email", u.Email), sql.Named("name", u.DisplayName), sql.Named("hash", string(u.PasswordHash)), sql.Named("rest", rest),
		sql.Named("joined", u.Created)), none, &u.ID, &u.Version, &u.Created))
	taken := []error{jwtauth.ErrLoginTaken, jwtauth.ErrEmailTaken, jwtauth.ErrIdentityTaken}
	for i, key := range append([]string{u.LoginKey, u.EmailKey}, u.Identities...) {
		if err == nil && key != "" {
			err = get(tx.QueryRowContext(ctx, takeKey, key, u.ID), taken[min(i, 2)], new(int))
		}
	}
	if err != nil {
		return jwtauth.User{}, err
	}
	return u, tx.Commit()
}

// UserByID compares the text as well: "07" is not 7.
func (s Users) UserByID(ctx context.Context, id string) (jwtauth.User, error) {
	return s.find(ctx, `id = ?1 AND CAST(id AS TEXT) = ?1`, id)
}

func (s Users) UserByLogin(ctx context.Context, key string) (jwtauth.User, error) {
	return s.find(ctx, `id = (SELECT person FROM people_keys WHERE key = ?)`, key)
}

func (s Users) find(ctx context.Context, which, value string) (u jwtauth.User, err error) {
	var rest []byte
	err = get(s.DB.QueryRowContext(ctx, `SELECT id, login, COALESCE(email, ''), full_name, pw_hash, joined, version, rest FROM people
		WHERE rest IS NOT NULL AND `+which, value), jwtauth.ErrNotFound, &u.ID, &u.Login, &u.Email, &u.DisplayName, &u.PasswordHash, &u.Created, &u.Version, &rest)
	err = cmp.Or(err, json.Unmarshal(rest, &u))
	return u, err
}

// get reads one row; absent is the error if there is none.
func get(row *sql.Row, absent error, into ...any) error {
	if err := row.Scan(into...); !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return absent
}
