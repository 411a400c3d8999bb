-- The audit trail and the places of those who follow it.

-- sequence and hash are NULL until the record is sealed. Only address_key ever
-- changes besides.
CREATE TABLE jwtauth_records (
	id          TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
	at          BIGINT NOT NULL,
	name        TEXT   COLLATE "C" NOT NULL,
	result      TEXT   COLLATE "C" NOT NULL,
	reason      TEXT   NOT NULL,
	n           BIGINT NOT NULL,
	subject     TEXT   COLLATE "C" NOT NULL,
	address_key TEXT   COLLATE "C" NOT NULL,
	personal    BYTEA  NOT NULL,
	sequence    BIGINT UNIQUE,
	hash        BYTEA
) WITH (fillfactor = 90);
CREATE INDEX jwtauth_records_unsealed ON jwtauth_records (id) WHERE sequence IS NULL;
CREATE INDEX jwtauth_records_at ON jwtauth_records (at);
CREATE INDEX jwtauth_records_name ON jwtauth_records (name, id);
CREATE INDEX jwtauth_records_subject ON jwtauth_records (subject, id) WHERE subject <> '';
CREATE INDEX jwtauth_records_address ON jwtauth_records (address_key, id) WHERE address_key <> '';

-- One row each. turn counts the changes.
CREATE TABLE jwtauth_audit_head (
	sequence BIGINT NOT NULL,
	hash     BYTEA  NOT NULL,
	proof    BYTEA  NOT NULL,
	turn     BIGINT NOT NULL
);
INSERT INTO jwtauth_audit_head (sequence, hash, proof, turn) VALUES (0, '', '', 0);
CREATE TABLE jwtauth_audit_anchor (
	sequence BIGINT NOT NULL,
	hash     BYTEA  NOT NULL,
	proof    BYTEA  NOT NULL,
	turn     BIGINT NOT NULL
);
INSERT INTO jwtauth_audit_anchor (sequence, hash, proof, turn) VALUES (0, '', '', 0);

-- subject and secret are NULL once the key was destroyed. The row stays, so that
-- there never is another one.
CREATE TABLE jwtauth_audit_keys (
	user_id TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
	subject TEXT   COLLATE "C",
	secret  BYTEA,
	turn    BIGINT NOT NULL
);
CREATE INDEX jwtauth_audit_keys_subject ON jwtauth_audit_keys (subject);

-- holder may move the cursor until until_at.
CREATE TABLE jwtauth_cursors (
	name     TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
	sequence BIGINT NOT NULL,
	moved    BIGINT NOT NULL,
	holder   TEXT   COLLATE "C" NOT NULL,
	until_at BIGINT NOT NULL,
	turn     BIGINT NOT NULL
) WITH (fillfactor = 80);

CREATE TABLE jwtauth_dead_letters (
	consumer TEXT   COLLATE "C" NOT NULL,
	sequence BIGINT NOT NULL,
	event_id TEXT   NOT NULL,
	reason   TEXT   NOT NULL,
	at       BIGINT NOT NULL,
	PRIMARY KEY (consumer, sequence)
);
