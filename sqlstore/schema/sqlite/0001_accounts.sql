-- Accounts, sessions, revocations, one-time secrets and counters.
--
-- Text is compared byte by byte, which is SQLite's default. Times are
-- microseconds since 1970 in UTC, written by the program.

CREATE TABLE jwtauth_sequence (
	value INTEGER NOT NULL
) STRICT;
INSERT INTO jwtauth_sequence (value) VALUES (0);

-- A deleted account keeps its row without content, so that its id never comes back.
CREATE TABLE jwtauth_users (
	place              INTEGER NOT NULL PRIMARY KEY,
	id                 TEXT    NOT NULL UNIQUE,
	live               INTEGER NOT NULL,
	version            INTEGER NOT NULL,
	credential_version INTEGER NOT NULL,
	login              TEXT    NOT NULL,
	email              TEXT    NOT NULL,
	login_key          TEXT    NOT NULL,
	email_key          TEXT    NOT NULL,
	display_name       TEXT    NOT NULL,
	password_hash      TEXT    NOT NULL,
	roles              TEXT    NOT NULL,
	identities         TEXT    NOT NULL,
	meta               TEXT    NOT NULL,
	disabled           INTEGER NOT NULL,
	email_verified     INTEGER NOT NULL,
	created            INTEGER NOT NULL
) STRICT;

-- One name space for names, addresses and identities: this primary key keeps
-- them unique.
CREATE TABLE jwtauth_keys (
	name  TEXT    NOT NULL PRIMARY KEY,
	place INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX jwtauth_keys_place ON jwtauth_keys (place);

CREATE TABLE jwtauth_sessions (
	id                 TEXT    NOT NULL PRIMARY KEY,
	user_id            TEXT    NOT NULL,
	credential_version INTEGER NOT NULL,
	generation         INTEGER NOT NULL,
	secret_id          TEXT    NOT NULL,
	created            INTEGER NOT NULL,
	moved              INTEGER NOT NULL,
	expires            INTEGER NOT NULL,
	address            TEXT    NOT NULL,
	user_agent         TEXT    NOT NULL,
	device_id          TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX jwtauth_sessions_user ON jwtauth_sessions (user_id, created);
CREATE INDEX jwtauth_sessions_expires ON jwtauth_sessions (expires);
CREATE INDEX jwtauth_sessions_created ON jwtauth_sessions (created DESC, id);

-- Who makes a session under a limit begins by writing the row of its user.
CREATE TABLE jwtauth_turns (
	user_id TEXT    NOT NULL PRIMARY KEY,
	turn    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- kind 1: a token. kind 2: the generations of a session below mark, from
-- from_at on. kind 3: the credential versions of a user below mark.
CREATE TABLE jwtauth_revocations (
	kind    INTEGER NOT NULL,
	id      TEXT    NOT NULL,
	mark    INTEGER NOT NULL,
	from_at INTEGER NOT NULL,
	expires INTEGER NOT NULL,
	PRIMARY KEY (kind, id, mark)
) STRICT, WITHOUT ROWID;
CREATE INDEX jwtauth_revocations_expires ON jwtauth_revocations (expires);

-- digest is a hash of the keyed hash of the secret, and empty once it was used.
CREATE TABLE jwtauth_codes (
	name     TEXT    NOT NULL PRIMARY KEY,
	digest   BLOB    NOT NULL,
	version  INTEGER NOT NULL,
	attempts INTEGER NOT NULL,
	expires  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX jwtauth_codes_expires ON jwtauth_codes (expires);

CREATE TABLE jwtauth_claims (
	name    TEXT    NOT NULL PRIMARY KEY,
	expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX jwtauth_claims_expires ON jwtauth_claims (expires);

CREATE TABLE jwtauth_counters (
	name    TEXT    NOT NULL PRIMARY KEY,
	n       INTEGER NOT NULL,
	expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX jwtauth_counters_expires ON jwtauth_counters (expires);
