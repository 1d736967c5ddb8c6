-- What was used and may not be used again: SHA-256 over kind, principal and identifier.
CREATE TABLE used_proof (
    id BLOB NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- the request that used it
    used_by BLOB NOT NULL
);
CREATE INDEX used_proof_expiry ON used_proof (kind, expires_at);
