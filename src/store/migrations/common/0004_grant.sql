-- What users granted, the codes and refresh tokens that came of it, and where an access token comes from.
-- Times are microseconds of UTC; of every handle there is the SHA-256 alone.

CREATE TABLE token_grant (
    id BLOB NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    client_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    resource_server_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    -- the login session that it began in
    session_id TEXT,
    auth_time BIGINT,
    -- RFC 7638 thumbprint of the key that its refresh tokens are bound to
    jkt TEXT,
    -- the grant that it was made from
    parent BLOB,
    created_at BIGINT NOT NULL,
    -- whatever is renewed meanwhile
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT,
    revocation_cause TEXT
);
CREATE INDEX token_grant_subject ON token_grant (subject, client_id);
CREATE INDEX token_grant_client ON token_grant (client_id);
CREATE INDEX token_grant_resource_server ON token_grant (resource_server_id);
CREATE INDEX token_grant_session ON token_grant (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX token_grant_parent ON token_grant (parent) WHERE parent IS NOT NULL;
CREATE INDEX token_grant_end ON token_grant (expires_at);

-- A family is a chain: each has one successor at most, and the last one is unused.
CREATE TABLE refresh_token (
    hash BLOB NOT NULL PRIMARY KEY,
    grant_id BLOB NOT NULL,
    issued_at BIGINT NOT NULL,
    idle_expires_at BIGINT NOT NULL,
    used_at BIGINT,
    successor BLOB
);
CREATE INDEX refresh_token_grant ON refresh_token (grant_id);

CREATE TABLE authorization_code (
    hash BLOB NOT NULL PRIMARY KEY,
    client_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    resource_server_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    -- as it was sent; null when it was not
    redirect_uri TEXT,
    code_challenge TEXT NOT NULL,
    jkt TEXT,
    session_id TEXT NOT NULL,
    auth_time BIGINT NOT NULL,
    issued_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    -- what was issued for it; null when it was ended in vain
    grant_id BLOB
);
CREATE INDEX authorization_code_end ON authorization_code (expires_at);

ALTER TABLE access_token ADD COLUMN grant_id BLOB;
-- the token that this one was exchanged for
ALTER TABLE access_token ADD COLUMN parent_jti BLOB;
ALTER TABLE access_token ADD COLUMN jkt TEXT;
ALTER TABLE access_token ADD COLUMN auth_time BIGINT;
-- RFC 8693 §4.1
ALTER TABLE access_token ADD COLUMN act TEXT;
ALTER TABLE access_token ADD COLUMN depth BIGINT;
CREATE INDEX access_token_grant ON access_token (grant_id) WHERE grant_id IS NOT NULL;
CREATE INDEX access_token_parent ON access_token (parent_jti) WHERE parent_jti IS NOT NULL;
