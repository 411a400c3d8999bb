-- people has id, login, email, full_name, pw_hash and joined. This is what is added:
-- a version to compare and swap, the rest of jwtauth.User as JSON (NULL: no account),
-- and one name space for names, addresses and identities instead of unique columns.
ALTER TABLE people ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE people ADD COLUMN rest TEXT;
CREATE TABLE people_keys (key TEXT PRIMARY KEY, person INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX people_keys_person ON people_keys (person);
DROP INDEX people_email;
