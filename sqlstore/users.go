package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/go-jwtauth/jwtauth"
)

const userColumns = `u.id, u.version, u.credential_version, u.login, u.email, u.login_key, u.email_key,
	u.display_name, u.password_hash, u.roles, u.identities, u.meta, u.disabled, u.email_verified, u.created`

var (
	// nextPlace numbers the accounts. It never gives a number twice that was
	// committed; SQLite and MySQL also hold the row, so that registrations
	// come one after another there.
	nextPlace = statement{
		sqlite:   `UPDATE jwtauth_sequence SET value = value + 1 RETURNING value`,
		postgres: `SELECT nextval('jwtauth_place')`,
		mysql:    `UPDATE jwtauth_sequence SET value = LAST_INSERT_ID(value + 1) WHERE id = 1`,
	}

	addUser = statement{
		any: insertUser + ` ON CONFLICT (id) DO NOTHING`,
		mysql: insertUser + ` ON DUPLICATE KEY UPDATE
			version = IF(LAST_INSERT_ID(1) = 1, version, version)`,
	}

	addKey = statement{
		any: `INSERT INTO jwtauth_keys (name, place) VALUES (?, ?) ON CONFLICT (name) DO NOTHING`,
		mysql: `INSERT INTO jwtauth_keys (name, place) VALUES (?, ?) ON DUPLICATE KEY UPDATE
			place = IF(LAST_INSERT_ID(1) = 1, place, place)`,
	}

	userByID = statement{any: `SELECT ` + userColumns + ` FROM jwtauth_users u WHERE u.id = ? AND u.live`}

	userByKey = statement{any: `SELECT ` + userColumns + ` FROM jwtauth_keys k JOIN jwtauth_users u ON u.place = k.place
		WHERE k.name = ? AND u.live`}

	// updateUser is for changes that leave the keys as they are: most.
	updateUser = statement{any: changeUser + ` WHERE id = ? AND version = ? AND live
		AND login_key = ? AND email_key = ? AND identities = ? AND created = ?`}

	// updateUserKeys is for the others. It holds the account while its keys
	// change.
	updateUserKeys = statement{any: changeUser + `, login_key = ?, email_key = ?, identities = ?
		WHERE id = ? AND version = ? AND live`}

	userPlace = statement{any: `SELECT place, created FROM jwtauth_users WHERE id = ? AND live`}

	usedPlace = statement{any: `SELECT place FROM jwtauth_users WHERE id = ?`}

	keysOfPlace = statement{any: `SELECT name FROM jwtauth_keys WHERE place = ?`}

	dropKey = statement{any: `DELETE FROM jwtauth_keys WHERE name = ? AND place = ?`}

	dropKeys = statement{any: `DELETE FROM jwtauth_keys WHERE place = ?`}

	// eraseUser leaves the id, which never comes back, and nothing else.
	eraseUser = statement{any: `UPDATE jwtauth_users SET live = FALSE, version = version + 1, login = '', email = '',
		login_key = '', email_key = '', display_name = '', password_hash = '', roles = '[]', identities = '[]', meta = '{}',
		disabled = TRUE, email_verified = FALSE WHERE id = ? AND live`}

	listUsers = statement{any: `SELECT ` + userColumns + ` FROM jwtauth_users u
		WHERE u.place > ? AND u.live ORDER BY u.place LIMIT ?`}

	userStatements = []*statement{&nextPlace, &addUser, &addKey, &userByID, &userByKey, &updateUser, &updateUserKeys,
		&userPlace, &usedPlace, &keysOfPlace, &dropKey, &dropKeys, &eraseUser, &listUsers}
)

const (
	insertUser = `INSERT INTO jwtauth_users (place, id, live, version, credential_version, login, email, display_name,
		password_hash, roles, meta, disabled, email_verified, login_key, email_key, identities, created)
		VALUES (?, ?, TRUE, 1, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	changeUser = `UPDATE jwtauth_users SET version = version + 1, credential_version = ?, login = ?, email = ?, display_name = ?,
		password_hash = ?, roles = ?, meta = ?, disabled = ?, email_verified = ?`
)

// userRow is how an account is written.
type userRow struct {
	content []any // as in insertUser and changeUser
	keys    []any // login_key, email_key, identities
}

func rowOf(u jwtauth.User) (userRow, error) {
	roles, err := list(u.Roles)
	if err != nil {
		return userRow{}, err
	}
	identities, err := list(u.Identities)
	if err != nil {
		return userRow{}, err
	}
	meta := []byte("{}")
	if len(u.Meta) > 0 {
		if meta, err = json.Marshal(u.Meta); err != nil {
			return userRow{}, err
		}
	}
	return userRow{
		content: []any{u.Login, u.Email, u.DisplayName, string(u.PasswordHash), roles, string(meta), u.Disabled, u.EmailVerified},
		keys:    []any{u.LoginKey, u.EmailKey, identities},
	}, nil
}

// list writes absent and empty alike.
func list(items []string) (string, error) {
	if len(items) == 0 {
		return "[]", nil
	}
	text, err := json.Marshal(items)
	return string(text), err
}

func scanUser(rows *sql.Rows) (u jwtauth.User, err error) {
	var hash string
	var roles, identities, meta []byte
	var created int64
	err = rows.Scan(&u.ID, &u.Version, &u.CredentialVersion, &u.Login, &u.Email, &u.LoginKey, &u.EmailKey,
		&u.DisplayName, &hash, &roles, &identities, &meta, &u.Disabled, &u.EmailVerified, &created)
	for _, part := range []struct {
		text []byte
		into any
	}{{roles, &u.Roles}, {identities, &u.Identities}, {meta, &u.Meta}} {
		if err == nil {
			err = json.Unmarshal(part.text, part.into)
		}
	}
	u.PasswordHash, u.Created = jwtauth.Secret(hash), moment(created)
	return u, err
}

// CreateUser implements [jwtauth.UserStore]. New ids are decimal numbers.
func (s *Store) CreateUser(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
	if err := verbatim(u.ID); err != nil {
		return jwtauth.User{}, err
	}
	row, err := rowOf(u)
	if err != nil {
		return jwtauth.User{}, fault(err)
	}
	u = u.Clone()
	chosen := u.ID
	u.Version, u.CredentialVersion = 1, 1
	err = s.atomically(ctx, func(ctx context.Context, r run) (err error) {
		var place int64
		if place, u.ID, err = r.addUser(ctx, chosen, row, micros(u.Created)); err != nil {
			return err
		}
		return r.addKeys(ctx, u, place, nil)
	})
	if err != nil {
		return jwtauth.User{}, err
	}
	return u, nil
}

// addUser stores the account under the chosen id or else under a new number,
// and skips numbers that hosts chose as ids.
func (r run) addUser(ctx context.Context, chosen string, row userRow, created int64) (place int64, id string, err error) {
	for {
		if place, err = r.nextPlace(ctx); err != nil {
			return 0, "", err
		}
		id = cmp.Or(chosen, strconv.FormatInt(place, 10))
		args := slices.Concat([]any{place, id}, row.content, row.keys, []any{created})
		added, err := r.inserted(ctx, &addUser, args...)
		switch {
		case err != nil:
			return 0, "", err
		case added:
			return place, id, nil
		case chosen != "":
			return 0, "", jwtauth.ErrConflict
		}
	}
}

func (r run) nextPlace(ctx context.Context) (place int64, err error) {
	if r.flavour == MySQL {
		return r.flagged(ctx, &nextPlace)
	}
	_, err = r.row(ctx, &nextPlace, []any{&place})
	return place, err
}

// keysOf returns the names of an account's keys, each once, in the order in
// which conflicts are reported, and what a conflict over each is.
func keysOf(u jwtauth.User) (names []string, taken map[string]error) {
	taken = make(map[string]error)
	add := func(key string, conflict error) {
		if n := name(key); key != "" && taken[n] == nil {
			names, taken[n] = append(names, n), conflict
		}
	}
	add(u.LoginKey, jwtauth.ErrLoginTaken)
	add(u.EmailKey, jwtauth.ErrEmailTaken)
	for _, key := range u.Identities {
		add(key, jwtauth.ErrIdentityTaken)
	}
	return names, taken
}

// addKeys stores the keys of an account but for those that it has already.
func (r run) addKeys(ctx context.Context, u jwtauth.User, place int64, has []string) error {
	names, taken := keysOf(u)
	for _, n := range names {
		if slices.Contains(has, n) {
			continue
		}
		added, err := r.inserted(ctx, &addKey, n, place)
		if err != nil {
			return err
		}
		if !added {
			return taken[n]
		}
	}
	return nil
}

// UserByID implements [jwtauth.UserStore].
func (s *Store) UserByID(ctx context.Context, id string) (jwtauth.User, error) {
	return s.oneUser(ctx, &userByID, name(id))
}

// UserByLogin implements [jwtauth.UserStore].
func (s *Store) UserByLogin(ctx context.Context, key string) (jwtauth.User, error) {
	return s.oneUser(ctx, &userByKey, name(key))
}

func (s *Store) oneUser(ctx context.Context, q *statement, by string) (jwtauth.User, error) {
	page, err := s.users(ctx, q, by)
	switch {
	case err != nil:
		return jwtauth.User{}, err
	case len(page) == 0:
		return jwtauth.User{}, jwtauth.ErrNotFound
	}
	return page[0], nil
}

func (s *Store) users(ctx context.Context, q *statement, args ...any) (page []jwtauth.User, err error) {
	err = s.read(ctx, func(ctx context.Context, r run) error {
		return r.rows(ctx, q, func(rows *sql.Rows) error {
			u, err := scanUser(rows)
			page = append(page, u)
			return err
		}, args...)
	})
	return page, err
}

// UpdateUser implements [jwtauth.UserStore]. A change that leaves the keys alone
// is one statement.
func (s *Store) UpdateUser(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
	row, err := rowOf(u)
	if err != nil {
		return jwtauth.User{}, fault(err)
	}
	u = u.Clone()
	content := append([]any{u.CredentialVersion}, row.content...)
	args := slices.Concat(content, []any{name(u.ID), u.Version}, row.keys, []any{micros(u.Created)})
	var n int64
	err = s.write(ctx, func(ctx context.Context, r run) (err error) {
		n, err = r.changed(ctx, &updateUser, args...)
		return err
	})
	if err == nil && n == 0 {
		err = s.atomically(ctx, func(ctx context.Context, r run) error { return r.updateKeys(ctx, &u, append(content, row.keys...)) })
	}
	if err != nil {
		return jwtauth.User{}, err
	}
	u.Version++
	return u, nil
}

// updateKeys replaces an account with its keys, and finds out why that can't be
// done. The row comes first: whoever holds it may change the keys.
func (r run) updateKeys(ctx context.Context, u *jwtauth.User, content []any) error {
	id := name(u.ID)
	n, err := r.changed(ctx, &updateUserKeys, append(content, id, u.Version)...)
	if err != nil {
		return err
	}
	var place, created int64
	found, err := r.row(ctx, &userPlace, []any{&place, &created}, id)
	switch {
	case err != nil:
		return err
	case !found:
		return jwtauth.ErrNotFound
	case n == 0:
		return jwtauth.ErrConflict
	}
	u.Created = moment(created)
	return r.replaceKeys(ctx, *u, place)
}

func (r run) replaceKeys(ctx context.Context, u jwtauth.User, place int64) error {
	var old []string
	err := r.rows(ctx, &keysOfPlace, func(rows *sql.Rows) error {
		var n string
		err := rows.Scan(&n)
		old = append(old, n)
		return err
	}, place)
	if err != nil {
		return err
	}
	names, _ := keysOf(u)
	for _, n := range old {
		if slices.Contains(names, n) {
			continue
		}
		if _, err := r.exec(ctx, &dropKey, n, place); err != nil {
			return err
		}
	}
	return r.addKeys(ctx, u, place, old)
}

// DeleteUser implements [jwtauth.UserStore]. The row stays, empty, so that the id
// does not come back.
func (s *Store) DeleteUser(ctx context.Context, id string) error {
	return s.atomically(ctx, func(ctx context.Context, r run) error {
		n, err := r.changed(ctx, &eraseUser, name(id))
		if err != nil {
			return err
		}
		if n == 0 {
			return jwtauth.ErrNotFound
		}
		var place int64
		if _, err := r.row(ctx, &usedPlace, []any{&place}, name(id)); err != nil {
			return err
		}
		_, err = r.exec(ctx, &dropKeys, place)
		return err
	})
}

// ListUsers implements [jwtauth.UserLister], in the order of creation. The account
// q.After may have been deleted since; an id that never was is
// [jwtauth.ErrNotFound], and a limit out of range is [jwtauth.ErrInvalidInput].
// An account that is being created while somebody lists may be missed.
func (s *Store) ListUsers(ctx context.Context, q jwtauth.UserQuery) ([]jwtauth.User, error) {
	limit := cmp.Or(q.Limit, 100)
	if limit < 1 || limit > 1000 {
		return nil, jwtauth.ErrInvalidInput
	}
	var after int64
	if q.After != "" {
		var found bool
		err := s.read(ctx, func(ctx context.Context, r run) (err error) {
			found, err = r.row(ctx, &usedPlace, []any{&after}, name(q.After))
			return err
		})
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, jwtauth.ErrNotFound
		}
	}
	return s.users(ctx, &listUsers, after, limit)
}
