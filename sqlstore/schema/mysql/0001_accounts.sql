-- Accounts, sessions, revocations, one-time secrets and counters, for MySQL 8
-- and MariaDB 10.6 or later.
--
-- All text is binary: it is compared byte by byte, trailing spaces count, and
-- the character set of a connection changes nothing. Times are microseconds
-- since 1970 in UTC, written by the program. The server ends a transaction at
-- each statement here, so each can be repeated after one that was cut off.

CREATE TABLE IF NOT EXISTS jwtauth_sequence (
	id    TINYINT NOT NULL PRIMARY KEY,
	value BIGINT  NOT NULL
) ENGINE = InnoDB;
INSERT INTO jwtauth_sequence (id, value) VALUES (1, 0) ON DUPLICATE KEY UPDATE value = value;

-- A deleted account keeps its row without content, so that its id never comes back.
CREATE TABLE IF NOT EXISTS jwtauth_users (
	place              BIGINT         NOT NULL PRIMARY KEY,
	id                 VARBINARY(255) NOT NULL,
	live               BOOLEAN        NOT NULL,
	version            BIGINT         NOT NULL,
	credential_version BIGINT         NOT NULL,
	login              BLOB           NOT NULL,
	email              BLOB           NOT NULL,
	login_key          BLOB           NOT NULL,
	email_key          BLOB           NOT NULL,
	display_name       BLOB           NOT NULL,
	password_hash      BLOB           NOT NULL,
	roles              BLOB           NOT NULL,
	identities         BLOB           NOT NULL,
	meta               MEDIUMBLOB     NOT NULL,
	disabled           BOOLEAN        NOT NULL,
	email_verified     BOOLEAN        NOT NULL,
	created            BIGINT         NOT NULL,
	UNIQUE KEY jwtauth_users_id (id)
) ENGINE = InnoDB;

-- One name space for names, addresses and identities: this primary key keeps
-- them unique.
CREATE TABLE IF NOT EXISTS jwtauth_keys (
	name  VARBINARY(255) NOT NULL PRIMARY KEY,
	place BIGINT         NOT NULL,
	KEY jwtauth_keys_place (place)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS jwtauth_sessions (
	id                 VARBINARY(255) NOT NULL PRIMARY KEY,
	user_id            VARBINARY(255) NOT NULL,
	credential_version BIGINT         NOT NULL,
	generation         BIGINT         NOT NULL,
	secret_id          VARBINARY(255) NOT NULL,
	created            BIGINT         NOT NULL,
	moved              BIGINT         NOT NULL,
	expires            BIGINT         NOT NULL,
	address            VARBINARY(255) NOT NULL,
	user_agent         BLOB           NOT NULL,
	device_id          VARBINARY(255) NOT NULL,
	KEY jwtauth_sessions_user (user_id, created),
	KEY jwtauth_sessions_expires (expires),
	KEY jwtauth_sessions_created (created, id)
) ENGINE = InnoDB;

-- Who makes a session under a limit holds the row of its user meanwhile.
CREATE TABLE IF NOT EXISTS jwtauth_turns (
	user_id VARBINARY(255) NOT NULL PRIMARY KEY,
	turn    BIGINT         NOT NULL
) ENGINE = InnoDB;

-- kind 1: a token. kind 2: the generations of a session below mark, from
-- from_at on. kind 3: the credential versions of a user below mark.
CREATE TABLE IF NOT EXISTS jwtauth_revocations (
	kind    TINYINT        NOT NULL,
	id      VARBINARY(255) NOT NULL,
	mark    BIGINT         NOT NULL,
	from_at BIGINT         NOT NULL,
	expires BIGINT         NOT NULL,
	PRIMARY KEY (kind, id, mark),
	KEY jwtauth_revocations_expires (expires)
) ENGINE = InnoDB;

-- digest is a hash of the keyed hash of the secret, and empty once it was used.
CREATE TABLE IF NOT EXISTS jwtauth_codes (
	name     VARBINARY(255) NOT NULL PRIMARY KEY,
	digest   VARBINARY(32)  NOT NULL,
	version  BIGINT         NOT NULL,
	attempts BIGINT         NOT NULL,
	expires  BIGINT         NOT NULL,
	KEY jwtauth_codes_expires (expires)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS jwtauth_claims (
	name    VARBINARY(255) NOT NULL PRIMARY KEY,
	expires BIGINT         NOT NULL,
	KEY jwtauth_claims_expires (expires)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS jwtauth_counters (
	name    VARBINARY(255) NOT NULL PRIMARY KEY,
	n       BIGINT         NOT NULL,
	expires BIGINT         NOT NULL,
	KEY jwtauth_counters_expires (expires)
) ENGINE = InnoDB;
