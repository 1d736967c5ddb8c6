-- Requests on their way to a code, by the SHA-256 of their handle: `pushed` by a client (RFC 9126), or begun in a
-- `browser`, whose binding cookie has the SHA-256 in `binding`. `pushed` names the request that a browser continues.
CREATE TABLE authorization_request (
    hash BLOB NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    client_id TEXT NOT NULL,
    parameters TEXT NOT NULL,
    jkt TEXT,
    binding BLOB,
    pushed BLOB,
    session_id TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);
CREATE INDEX authorization_request_expiry ON authorization_request (expires_at);
CREATE INDEX authorization_request_client ON authorization_request (client_id);

-- What a user agreed to. `scopes` is a JSON object: name → digest of what was said of the scope; `shown` is the digest
-- of what was said of the client.
CREATE TABLE consent (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL,
    client_id TEXT NOT NULL,
    resource_server_id TEXT NOT NULL,
    scopes TEXT NOT NULL,
    shown TEXT NOT NULL,
    granted_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (user_id, client_id, resource_server_id)
);
CREATE INDEX consent_client ON consent (client_id);
CREATE INDEX consent_resource_server ON consent (resource_server_id);
