-- Accounts, sessions, revocations, one-time secrets and counters.
--
-- Keys and ids are compared byte by byte (COLLATE "C"). Times are microseconds
-- since 1970 in UTC, written by the program and never by the server.

CREATE SEQUENCE jwtauth_place;

-- A deleted account keeps its row without content, so that its id never comes back.
CREATE TABLE jwtauth_users (
	place              BIGINT  NOT NULL PRIMARY KEY,
	id                 TEXT    COLLATE "C" NOT NULL UNIQUE,
	live               BOOLEAN NOT NULL,
	version            BIGINT  NOT NULL,
	credential_version BIGINT  NOT NULL,
	login              TEXT    NOT NULL,
	email              TEXT    NOT NULL,
	login_key          TEXT    COLLATE "C" NOT NULL,
	email_key          TEXT    COLLATE "C" NOT NULL,
	display_name       TEXT    NOT NULL,
	password_hash      TEXT    NOT NULL,
	roles              TEXT    NOT NULL,
	identities         TEXT    COLLATE "C" NOT NULL,
	meta               TEXT    NOT NULL,
	disabled           BOOLEAN NOT NULL,
	email_verified     BOOLEAN NOT NULL,
	created            BIGINT  NOT NULL
);

-- One name space for names, addresses and identities: this primary key keeps
-- them unique.
CREATE TABLE jwtauth_keys (
	name  TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
	place BIGINT NOT NULL
);
CREATE INDEX jwtauth_keys_place ON jwtauth_keys (place);

CREATE TABLE jwtauth_sessions (
	id                 TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
	user_id            TEXT   COLLATE "C" NOT NULL,
	credential_version BIGINT NOT NULL,
	generation         BIGINT NOT NULL,
	secret_id          TEXT   NOT NULL,
	created            BIGINT NOT NULL,
	moved              BIGINT NOT NULL,
	expires            BIGINT NOT NULL,
	address            TEXT   NOT NULL,
	user_agent         TEXT   NOT NULL,
	device_id          TEXT   NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX jwtauth_sessions_user ON jwtauth_sessions (user_id, created);
CREATE INDEX jwtauth_sessions_expires ON jwtauth_sessions (expires);
CREATE INDEX jwtauth_sessions_created ON jwtauth_sessions (created DESC, id);

-- Who makes a session under a limit holds the row of its user meanwhile.
CREATE TABLE jwtauth_turns (
	user_id TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
	turn    BIGINT NOT NULL
) WITH (fillfactor = 80);

-- kind 1: a token. kind 2: the generations of a session below mark, from
-- from_at on. kind 3: the credential versions of a user below mark.
CREATE TABLE jwtauth_revocations (
	kind    SMALLINT NOT NULL,
	id      TEXT     COLLATE "C" NOT NULL,
	mark    BIGINT   NOT NULL,
	from_at BIGINT   NOT NULL,
	expires BIGINT   NOT NULL,
	PRIMARY KEY (kind, id, mark)
);
CREATE INDEX jwtauth_revocations_expires ON jwtauth_revocations (expires);

-- digest is a hash of the keyed hash of the secret, and empty once it was used.
CREATE TABLE jwtauth_codes (
	name     TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
	digest   BYTEA  NOT NULL,
	version  BIGINT NOT NULL,
	attempts BIGINT NOT NULL,
	expires  BIGINT NOT NULL
);
CREATE INDEX jwtauth_codes_expires ON jwtauth_codes (expires);

CREATE TABLE jwtauth_claims (
	name    TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
	expires BIGINT NOT NULL
);
CREATE INDEX jwtauth_claims_expires ON jwtauth_claims (expires);

CREATE TABLE jwtauth_counters (
	name    TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
	n       BIGINT NOT NULL,
	expires BIGINT NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX jwtauth_counters_expires ON jwtauth_counters (expires);
