-- The audit trail and the places of those who follow it.

-- sequence and hash are NULL until the record is sealed. Only address_key ever
-- changes besides.
CREATE TABLE jwtauth_records (
	id          TEXT    NOT NULL PRIMARY KEY,
	at          INTEGER NOT NULL,
	name        TEXT    NOT NULL,
	result      TEXT    NOT NULL,
	reason      TEXT    NOT NULL,
	n           INTEGER NOT NULL,
	subject     TEXT    NOT NULL,
	address_key TEXT    NOT NULL,
	personal    BLOB    NOT NULL,
	sequence    INTEGER UNIQUE,
	hash        BLOB
) STRICT;
CREATE INDEX jwtauth_records_unsealed ON jwtauth_records (id) WHERE sequence IS NULL;
CREATE INDEX jwtauth_records_at ON jwtauth_records (at);
CREATE INDEX jwtauth_records_name ON jwtauth_records (name, id);
CREATE INDEX jwtauth_records_subject ON jwtauth_records (subject, id);
CREATE INDEX jwtauth_records_address ON jwtauth_records (address_key, id);

-- One row each. turn counts the changes.
CREATE TABLE jwtauth_audit_head (
	sequence INTEGER NOT NULL,
	hash     BLOB    NOT NULL,
	proof    BLOB    NOT NULL,
	turn     INTEGER NOT NULL
) STRICT;
INSERT INTO jwtauth_audit_head (sequence, hash, proof, turn) VALUES (0, x'', x'', 0);
CREATE TABLE jwtauth_audit_anchor (
	sequence INTEGER NOT NULL,
	hash     BLOB    NOT NULL,
	proof    BLOB    NOT NULL,
	turn     INTEGER NOT NULL
) STRICT;
INSERT INTO jwtauth_audit_anchor (sequence, hash, proof, turn) VALUES (0, x'', x'', 0);

-- subject and secret are NULL once the key was destroyed. The row stays, so that
-- there never is another one.
CREATE TABLE jwtauth_audit_keys (
	user_id TEXT    NOT NULL PRIMARY KEY,
	subject TEXT,
	secret  BLOB,
	turn    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX jwtauth_audit_keys_subject ON jwtauth_audit_keys (subject);

-- holder may move the cursor until until_at.
CREATE TABLE jwtauth_cursors (
	name     TEXT    NOT NULL PRIMARY KEY,
	sequence INTEGER NOT NULL,
	moved    INTEGER NOT NULL,
	holder   TEXT    NOT NULL,
	until_at INTEGER NOT NULL,
	turn     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE jwtauth_dead_letters (
	consumer TEXT    NOT NULL,
	sequence INTEGER NOT NULL,
	event_id TEXT    NOT NULL,
	reason   TEXT    NOT NULL,
	at       INTEGER NOT NULL,
	PRIMARY KEY (consumer, sequence)
) STRICT, WITHOUT ROWID;
