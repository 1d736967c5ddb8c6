-- Every security-relevant event but issuance, which the rows of access_token record. No secret and no hash is in it.

CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    client_id TEXT,
    user_id TEXT,
    resource TEXT,
    source TEXT,
    detail TEXT
);
CREATE INDEX audit_at ON audit (at);
