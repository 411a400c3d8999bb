package jwtauth

import (
	"context"
	"maps"
	"slices"
	"time"
)

// User is an account as a [UserStore] keeps it.
type User struct {
	// ID is opaque, unique and never given to another account, even after
	// deletion. A decimal id is shown as a number in JSON.
	ID string
	// Login is the user name as it was registered.
	Login string
	// Email is the address as it was registered.
	Email string
	// LoginKey and EmailKey are the canonical forms of the two, made by
	// [CanonicalName] and [CanonicalEmail]. Stores compare these, byte by
	// byte, and nothing else.
	LoginKey, EmailKey string
	// DisplayName is for people.
	DisplayName string
	// Roles are what the host's rules are about, for example "subscriber".
	Roles []string
	// PasswordHash is a PHC string or another format that a configured
	// verifier knows. Empty: nobody can log in with a password.
	PasswordHash Secret
	// Version counts the changes of the row. UpdateUser compares it, so that
	// no two writers overwrite each other.
	Version int64
	// CredentialVersion counts the changes that end sessions: password,
	// roles, disabling. Tokens carry it; see [Revocation].
	CredentialVersion int64
	// Identities are the names of this account at connected sites, in the
	// form that package jwtauth gives them. They are unique like LoginKey and
	// EmailKey and share their name space; no name that a person can type
	// looks like one.
	Identities []string
	// Disabled accounts can't log in.
	Disabled bool
	// EmailVerified says that the owner of the address has confirmed it.
	EmailVerified bool
	// Meta holds further profile fields. It never carries rights.
	Meta map[string]string
	// Created is when the account was made.
	Created time.Time
}

// Clone returns a copy that shares nothing with u.
func (u User) Clone() User {
	u.Roles = slices.Clone(u.Roles)
	u.Identities = slices.Clone(u.Identities)
	u.Meta = maps.Clone(u.Meta)
	return u
}

// HasRole reports whether u has the role.
func (u User) HasRole(role string) bool { return slices.Contains(u.Roles, role) }

// Session is one login on one device, as a [SessionStore] keeps it.
type Session struct {
	// ID is 16 random bytes in base64url. It is not a secret: a refresh
	// token proves itself by its MAC.
	ID string
	// UserID is the owner.
	UserID string
	// CredentialVersion is the user's at login. A session whose user has a
	// higher one is over.
	CredentialVersion int64
	// Generation is the one that the current refresh token carries. It
	// starts at 1.
	Generation int64
	// SecretID names the secret that the current refresh token is derived
	// with, while a new secret takes over from an old one.
	SecretID string
	// Created is the login, Moved the last refresh, Expires the absolute end.
	Created, Moved, Expires time.Time
	// Address, UserAgent and DeviceID describe the device at login, for the
	// list that the user sees.
	Address, UserAgent, DeviceID string
}

// SessionLimit is how many live sessions a user may have.
type SessionLimit struct {
	// Max is the number; 0 means no limit.
	Max int
	// EvictOldest ends the session with the oldest login instead of refusing
	// the new one.
	EvictOldest bool
}

// SessionAdvance is one refresh: what has to be true, and what becomes true.
type SessionAdvance struct {
	// SessionID and From say which session is expected at which generation.
	SessionID string
	From      int64
	// Now is the time of the refresh. A session whose Expires is not after
	// it does not advance.
	Now time.Time
	// MovedAfter refuses a session that was idle too long: its Moved must be
	// after this time. Zero means no idle limit.
	MovedAfter time.Time
	// SecretID is kept with the new generation.
	SecretID string
}

// TokenRef is what a check for revocation needs to know of a token.
type TokenRef struct {
	TokenID    string
	SessionID  string // "" for a token without a session
	Generation int64
	UserID     string
	Version    int64 // the user's credential version in the token
	// Now is the time of the check; it decides watermarks that are set for
	// a moment in the future.
	Now time.Time
}

// Revocation refuses tokens. Each of its three parts applies when its id is
// set: one token; the generations of a session below Generation, from the time
// From on; the tokens of a user with a credential version below Version. It
// never revives anything: a later Revocation with lower numbers changes nothing.
type Revocation struct {
	TokenID string

	SessionID  string
	Generation int64
	From       time.Time // zero: at once

	UserID  string
	Version int64

	// Expires is when the last token concerned has expired anyway. The entry
	// may be dropped then, and not before. It is required.
	Expires time.Time
}

// AllGenerations and AllVersions, as a watermark, refuse every token of a
// session or of a user.
const (
	AllGenerations int64 = 1<<63 - 1
	AllVersions    int64 = 1<<63 - 1
)

// OneTimeCode is a one-time secret that waits to be used: a reset link, a one-time
// password. There is one at a time for each Key.
type OneTimeCode struct {
	// Key says what it is for and whose it is, for example "reset:42".
	Key string
	// Hash is the keyed hash of the secret.
	Hash []byte
	// Version is the user's credential version at the time of issue; the
	// code dies with it.
	Version int64
	// Attempts is how many tries are left.
	Attempts int
	// Expires is when it is no longer accepted.
	Expires time.Time
}

// Count is the state of a counter after a use of it.
type Count struct {
	// N is the number of uses in the window, the refused ones not among them.
	N int
	// Admitted says whether this use was within the limit.
	Admitted bool
	// Reset is when the window ends and the count is 0 again.
	Reset time.Time
}

// The stores below are what a host can replace, together or one by one. Their
// methods are verbs: each is atomic, alone and among any number of concurrent
// callers, on any number of nodes. Absence is [ErrNotFound], a lost
// comparison [ErrConflict]; every other error is a fault, and the caller
// refuses whatever was asked. Time comes from the arguments. A method whose
// context is cancelled has either done all of its work or none, and one that is
// called with a cancelled context does nothing and returns a fault. Package
// storetest checks all of this.

// UserStore keeps accounts.
type UserStore interface {
	// CreateUser stores a new account and returns it with Version and
	// CredentialVersion 1 and, where ID is empty, an id that was never used
	// before. An ID that the caller chose is kept; one that an account has or
	// had is [ErrConflict]. LoginKey, EmailKey and Identities share one name
	// space: if any of them is one of another account's, it stores nothing
	// and returns [ErrLoginTaken], [ErrEmailTaken] or [ErrIdentityTaken], by the
	// field of the new account that is concerned. A LoginKey that equals its
	// own EmailKey is no conflict, and an empty key is no key.
	CreateUser(ctx context.Context, u User) (User, error)
	// UserByID returns the account, or [ErrNotFound].
	UserByID(ctx context.Context, id string) (User, error)
	// UserByLogin returns the account one of whose keys equals key byte by
	// byte, or [ErrNotFound].
	UserByLogin(ctx context.Context, key string) (User, error)
	// UpdateUser replaces the account if its Version is still u.Version, and
	// returns it with the next one. Otherwise nothing changes:
	// [ErrConflict] if it moved on, [ErrNotFound] if it is gone,
	// [ErrLoginTaken], [ErrEmailTaken] or [ErrIdentityTaken] as in
	// CreateUser. Created is kept.
	UpdateUser(ctx context.Context, u User) (User, error)
	// DeleteUser removes the account and frees its keys, never its id.
	// [ErrNotFound] if there is none.
	DeleteUser(ctx context.Context, id string) error
}

// SessionStore keeps sessions.
type SessionStore interface {
	// CreateSession stores a session if the user then has at most limit.Max
	// that have not expired at s.Created. Otherwise it returns
	// [ErrTooManySessions] and stores nothing, or, with limit.EvictOldest,
	// ends as many of the oldest ones as it takes, never the new one, and
	// returns them. An id that is taken is [ErrConflict].
	CreateSession(ctx context.Context, s Session, limit SessionLimit) (evicted []Session, err error)
	// Session returns a session, or [ErrNotFound]. One that has expired may
	// be either.
	Session(ctx context.Context, id string) (Session, error)
	// AdvanceSession moves a session from generation adv.From to the next
	// one, sets Moved and SecretID, and returns it with moved true. If it is
	// at another generation, expired or idle too long, nothing changes and
	// it returns the session as it is with moved false. Of any number of
	// concurrent callers with the same From exactly one moves it.
	// [ErrNotFound] if there is no such session.
	AdvanceSession(ctx context.Context, adv SessionAdvance) (s Session, moved bool, err error)
	// EndSession removes a session. [ErrNotFound] if there is none.
	EndSession(ctx context.Context, id string) error
	// EndSessions removes the sessions of a user, but for the one with the
	// id except ("" for all), and returns the ids of those removed.
	EndSessions(ctx context.Context, userID, except string) (ended []string, err error)
	// Sessions returns the user's sessions that have not expired at now, the
	// latest login first. None is not an error.
	Sessions(ctx context.Context, userID string, now time.Time) ([]Session, error)
}

// RevocationStore remembers which tokens are refused before they expire.
type RevocationStore interface {
	// Revoke adds to what is refused. When it returns, every later Revoked,
	// on every node, knows it. Revoking twice is no error.
	Revoke(ctx context.Context, r Revocation) error
	// Revoked reports whether any Revocation applies to the token at ref.Now.
	// An unknown token is not revoked.
	Revoked(ctx context.Context, ref TokenRef) (bool, error)
}

// CodeStore keeps one-time secrets, hashed.
type CodeStore interface {
	// PutCode stores a code in place of any older one with the same key.
	PutCode(ctx context.Context, c OneTimeCode) error
	// ConsumeCode counts an attempt, then compares in constant time. With the
	// right hash it removes the code and returns it: of any number of
	// concurrent callers one succeeds. With a wrong hash it returns
	// [ErrConflict], and the last attempt removes the code. [ErrNotFound] if
	// there is none, or it expired at now.
	ConsumeCode(ctx context.Context, key string, hash []byte, now time.Time) (OneTimeCode, error)
	// ClaimOnce reports true to the first caller with that key and false to
	// every other before the time until, from which on the key is free again.
	// Claiming for a time that has passed is false.
	ClaimOnce(ctx context.Context, key string, now, until time.Time) (bool, error)
}

// CounterStore counts what is limited exactly and on all nodes together, such
// as failed logins. For limits on the rate of requests see [Limiter].
type CounterStore interface {
	// Hit counts one use of key if fewer than limit were counted in the
	// current window, which starts with the first use and lasts for window.
	// Of any number of concurrent callers at most limit are admitted; a limit
	// below 1 admits nobody.
	Hit(ctx context.Context, key string, limit int, window time.Duration, now time.Time) (Count, error)
	// Refund takes back one use that was admitted. Below zero it stays zero.
	Refund(ctx context.Context, key string, now time.Time) error
	// Reset forgets the count of a key. None is not an error.
	Reset(ctx context.Context, key string) error
}

// Store is all of them. [NewMemoryStore] makes the embedded one.
type Store interface {
	UserStore
	SessionStore
	RevocationStore
	CodeStore
	CounterStore
	AuditStore
	CursorStore
}

// UserQuery asks for one page of accounts.
type UserQuery struct {
	// After is the id of the last account of the page before; "" for the
	// first page.
	After string
	// Limit is the size of a page: 1 to 1,000; 0 means 100.
	Limit int
}

// UserLister is an optional part of a [UserStore]: all accounts, by creation.
// Without it [Auth.Users] returns an error that says so.
type UserLister interface {
	// ListUsers returns one page in a stable order. A page shorter than the
	// limit is the last one.
	ListUsers(ctx context.Context, q UserQuery) ([]User, error)
}

// SessionQuery asks for one page of the sessions of all users, or of one. The
// zero value of each field leaves out nothing.
type SessionQuery struct {
	// UserID is the owner.
	UserID string
	// CreatedFrom and CreatedBefore bound the login, the one inclusive and
	// the other not; ExpiresAfter and ExpiresUntil bound the absolute end, the
	// one exclusive and the other not. So a session is live at t if it expires
	// after t.
	CreatedFrom, CreatedBefore time.Time
	ExpiresAfter, ExpiresUntil time.Time
	// Offset is how many sessions to pass over, Limit the size of a page: 1 to
	// 1,000; 0 means 100.
	Offset, Limit int
}

// Matches reports whether s is among those that q asks for, on any page.
func (q SessionQuery) Matches(s Session) bool {
	return (q.UserID == "" || s.UserID == q.UserID) &&
		(q.CreatedFrom.IsZero() || !s.Created.Before(q.CreatedFrom)) &&
		(q.CreatedBefore.IsZero() || s.Created.Before(q.CreatedBefore)) &&
		(q.ExpiresAfter.IsZero() || s.Expires.After(q.ExpiresAfter)) &&
		(q.ExpiresUntil.IsZero() || !s.Expires.After(q.ExpiresUntil))
}

// SessionLister is an optional part of a [SessionStore]: the sessions of all
// users. Without it [Auth.AllSessions] returns an error that says so.
type SessionLister interface {
	// ListSessions returns one page of the sessions that q matches, the latest
	// login first, those of one moment by id, and how many it matches on all
	// pages together. A session that has expired may be left out.
	ListSessions(ctx context.Context, q SessionQuery) (page []Session, total int, err error)
}
