-- What differs between the engines: the name of a string of bytes, keys that count by themselves, transaction ids.

CREATE DOMAIN blob AS bytea;

CREATE TABLE change (
    sequence BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at BIGINT NOT NULL,
    table_name TEXT NOT NULL,
    entity_kind TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    row_key TEXT NOT NULL,
    operation TEXT NOT NULL,
    old TEXT,
    new TEXT,
    actor TEXT NOT NULL,
    claim TEXT,
    application TEXT,
    address TEXT,
    incarnation TEXT,
    xid BIGINT NOT NULL
);
CREATE INDEX change_xid ON change (xid);
CREATE INDEX change_entity ON change (entity_kind, entity_id, sequence);

CREATE TABLE report (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner_kind TEXT NOT NULL,
    owner_namespace TEXT NOT NULL,
    owner_name TEXT NOT NULL,
    object_uid TEXT NOT NULL,
    reason TEXT NOT NULL,
    field_path TEXT NOT NULL,
    note TEXT NOT NULL,
    at BIGINT NOT NULL,
    reported_at BIGINT
);
CREATE INDEX report_unreported ON report (id) WHERE reported_at IS NULL;

-- The key is a UUIDv7: new rows go to the end of the one index that every issuance writes.
CREATE TABLE access_token (
    jti BLOB NOT NULL PRIMARY KEY,
    handle BLOB,
    client_id TEXT NOT NULL,
    resource_server_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    scope TEXT NOT NULL,
    issued_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT,
    revocation_cause TEXT
);
CREATE UNIQUE INDEX access_token_handle ON access_token (handle) WHERE handle IS NOT NULL;
