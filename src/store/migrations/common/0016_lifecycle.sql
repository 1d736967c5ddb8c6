-- The brake on mass deletion, and rows whose object is gone.

-- One row, locked by whoever weighs a deletion or confirms a brake: one at a time.
CREATE TABLE brake_gate (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    passed BIGINT NOT NULL
);
INSERT INTO brake_gate (id, passed) VALUES (1, 0);

-- The deletions of the last minute.
CREATE TABLE brake_deletion (
    owner_kind TEXT NOT NULL,
    owner_namespace TEXT NOT NULL,
    owner_name TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX brake_deletion_at ON brake_deletion (at);

-- What is open: of one namespace, or of all ('').
CREATE TABLE brake (
    id TEXT NOT NULL PRIMARY KEY,
    namespace TEXT NOT NULL UNIQUE,
    opened_at BIGINT NOT NULL
);

-- Deletions that wait; `released_at` is set when their brake was confirmed.
CREATE TABLE brake_hold (
    owner_kind TEXT NOT NULL,
    owner_namespace TEXT NOT NULL,
    owner_name TEXT NOT NULL,
    brake_id TEXT NOT NULL,
    held_at BIGINT NOT NULL,
    released_at BIGINT,
    PRIMARY KEY (owner_kind, owner_namespace, owner_name)
);

-- Rows in force whose object was not there when everything was listed.
CREATE TABLE orphan (
    owner_kind TEXT NOT NULL,
    owner_namespace TEXT NOT NULL,
    owner_name TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    looks BIGINT NOT NULL,
    suspended_at BIGINT,
    PRIMARY KEY (owner_kind, owner_namespace, owner_name)
);
