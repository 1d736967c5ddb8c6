-- Every security-relevant event but issuance, which the rows of access_token record. No secret and no hash is in it.

CREATE TABLE audit (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind TEXT NOT NULL,
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    client_id TEXT,
    user_id TEXT,
    resource TEXT,
    source TEXT,
    detail TEXT,
    -- a slow transaction commits late with a low id: what is settled is told by this
    xid BIGINT NOT NULL DEFAULT pg_current_xact_id()::text::bigint
);
CREATE INDEX audit_at ON audit (at);
