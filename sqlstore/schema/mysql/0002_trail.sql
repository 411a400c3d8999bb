-- The audit trail and the places of those who follow it.

-- sequence and hash are NULL until the record is sealed. Only address_key ever
-- changes besides.
CREATE TABLE IF NOT EXISTS jwtauth_records (
	id          VARBINARY(255) NOT NULL PRIMARY KEY,
	at          BIGINT         NOT NULL,
	name        VARBINARY(255) NOT NULL,
	result      VARBINARY(255) NOT NULL,
	reason      BLOB           NOT NULL,
	n           BIGINT         NOT NULL,
	subject     VARBINARY(255) NOT NULL,
	address_key VARBINARY(255) NOT NULL,
	personal    BLOB           NOT NULL,
	sequence    BIGINT         NULL,
	hash        VARBINARY(255) NULL,
	UNIQUE KEY jwtauth_records_sequence (sequence),
	KEY jwtauth_records_at (at),
	KEY jwtauth_records_name (name),
	KEY jwtauth_records_subject (subject),
	KEY jwtauth_records_address (address_key)
) ENGINE = InnoDB;

-- One row each. turn counts the changes.
CREATE TABLE IF NOT EXISTS jwtauth_audit_head (
	id       TINYINT        NOT NULL PRIMARY KEY,
	sequence BIGINT         NOT NULL,
	hash     VARBINARY(255) NOT NULL,
	proof    VARBINARY(255) NOT NULL,
	turn     BIGINT         NOT NULL
) ENGINE = InnoDB;
INSERT INTO jwtauth_audit_head (id, sequence, hash, proof, turn) VALUES (1, 0, '', '', 0) ON DUPLICATE KEY UPDATE turn = turn;
CREATE TABLE IF NOT EXISTS jwtauth_audit_anchor (
	id       TINYINT        NOT NULL PRIMARY KEY,
	sequence BIGINT         NOT NULL,
	hash     VARBINARY(255) NOT NULL,
	proof    VARBINARY(255) NOT NULL,
	turn     BIGINT         NOT NULL
) ENGINE = InnoDB;
INSERT INTO jwtauth_audit_anchor (id, sequence, hash, proof, turn) VALUES (1, 0, '', '', 0) ON DUPLICATE KEY UPDATE turn = turn;

-- subject and secret are NULL once the key was destroyed. The row stays, so that
-- there never is another one.
CREATE TABLE IF NOT EXISTS jwtauth_audit_keys (
	user_id VARBINARY(255) NOT NULL PRIMARY KEY,
	subject VARBINARY(255) NULL,
	secret  VARBINARY(255) NULL,
	turn    BIGINT         NOT NULL,
	KEY jwtauth_audit_keys_subject (subject)
) ENGINE = InnoDB;

-- holder may move the cursor until until_at.
CREATE TABLE IF NOT EXISTS jwtauth_cursors (
	name     VARBINARY(255) NOT NULL PRIMARY KEY,
	sequence BIGINT         NOT NULL,
	moved    BIGINT         NOT NULL,
	holder   VARBINARY(255) NOT NULL,
	until_at BIGINT         NOT NULL,
	turn     BIGINT         NOT NULL
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS jwtauth_dead_letters (
	consumer VARBINARY(255) NOT NULL,
	sequence BIGINT         NOT NULL,
	event_id VARBINARY(255) NOT NULL,
	reason   BLOB           NOT NULL,
	at       BIGINT         NOT NULL,
	PRIMARY KEY (consumer, sequence)
) ENGINE = InnoDB;
