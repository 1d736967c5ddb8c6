-- Clients that nobody applied: what is special about them, beside their rows in `client`. Times are microseconds of UTC.

-- Registered by themselves (RFC 7591). `hash` is the SHA-256 of the registration access token (RFC 7592).
CREATE TABLE registration (
    client_id TEXT NOT NULL PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    -- what is told back, as JSON
    metadata TEXT NOT NULL,
    issued_at BIGINT NOT NULL,
    -- of the last token, to the hour
    used_at BIGINT
);
CREATE INDEX registration_age ON registration (used_at, issued_at);

-- Described by a document at the URL that is their id.
CREATE TABLE client_document (
    client_id TEXT NOT NULL PRIMARY KEY,
    metadata TEXT NOT NULL,
    first_seen_at BIGINT NOT NULL,
    fetched_at BIGINT NOT NULL,
    fresh_until BIGINT NOT NULL,
    used_at BIGINT
);
CREATE INDEX client_document_age ON client_document (used_at, first_seen_at);

-- What makes a registration welcome where others are not (RFC 7591 §1.2, initial access token).
CREATE TABLE invitation (
    hash BLOB NOT NULL PRIMARY KEY,
    actor TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    uses_left BIGINT NOT NULL
);

-- What is switched while the server runs.
CREATE TABLE setting (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL,
    actor TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);
