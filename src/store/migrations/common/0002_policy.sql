-- What is applied, compared and served. Lists and unions are JSON; times are microseconds of UTC.
-- `revision` is the sequence of the latest change row of the entity, so no two states ever share one.

CREATE TABLE client (
    id TEXT NOT NULL PRIMARY KEY,
    display_name TEXT NOT NULL,
    state TEXT NOT NULL,
    grant_types TEXT NOT NULL,
    redirect_uris TEXT NOT NULL,
    authentication_method TEXT NOT NULL,
    jwks TEXT,
    jwks_uri TEXT,
    workload_identity TEXT,
    agent TEXT,
    consent TEXT NOT NULL,
    refresh_lifetime_seconds BIGINT NOT NULL,
    refresh_idle_seconds BIGINT NOT NULL,
    sender_constraint TEXT NOT NULL,
    owner_namespace TEXT,
    owner_name TEXT,
    revision BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL DEFAULT 0,
    updated_at BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE client_resource (
    id TEXT NOT NULL PRIMARY KEY,
    client_id TEXT NOT NULL,
    name TEXT NOT NULL,
    resource_server_id TEXT NOT NULL,
    scopes TEXT NOT NULL,
    UNIQUE (client_id, name)
);

CREATE TABLE resource_server (
    id TEXT NOT NULL PRIMARY KEY,
    resource_uri TEXT NOT NULL,
    display_name TEXT NOT NULL,
    lifecycle TEXT NOT NULL,
    token_source TEXT,
    default_role TEXT,
    token_format TEXT NOT NULL,
    signing_algorithm TEXT NOT NULL,
    lifetime_seconds BIGINT NOT NULL,
    sender_constraint TEXT NOT NULL,
    allowed_namespaces TEXT,
    dynamic_clients TEXT NOT NULL,
    consent TEXT NOT NULL,
    exchange TEXT,
    runtime_clients TEXT NOT NULL,
    runtime_service_accounts TEXT,
    connect TEXT,
    fronting TEXT NOT NULL,
    owner_namespace TEXT,
    owner_name TEXT,
    revision BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL DEFAULT 0,
    updated_at BIGINT NOT NULL DEFAULT 0
);
-- https://h and https://h/ are one audience
CREATE UNIQUE INDEX resource_server_uri ON resource_server (rtrim(resource_uri, '/'));

CREATE TABLE scope (
    id TEXT NOT NULL PRIMARY KEY,
    resource_server_id TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    risk TEXT NOT NULL,
    upstream TEXT NOT NULL,
    UNIQUE (resource_server_id, name)
);

CREATE TABLE tool (
    id TEXT NOT NULL PRIMARY KEY,
    resource_server_id TEXT NOT NULL,
    name TEXT NOT NULL,
    access TEXT NOT NULL,
    scopes TEXT NOT NULL,
    matching TEXT NOT NULL,
    UNIQUE (resource_server_id, name)
);

CREATE TABLE role (
    id TEXT NOT NULL PRIMARY KEY,
    resource_server_id TEXT NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    UNIQUE (resource_server_id, name)
);

CREATE TABLE role_binding (
    id TEXT NOT NULL PRIMARY KEY,
    resource_server_id TEXT NOT NULL,
    name TEXT NOT NULL,
    members TEXT NOT NULL,
    UNIQUE (resource_server_id, name)
);

CREATE TABLE provider (
    id TEXT NOT NULL PRIMARY KEY,
    type TEXT NOT NULL,
    purposes TEXT NOT NULL,
    display_name TEXT NOT NULL,
    settings TEXT,
    client_id TEXT NOT NULL,
    client_secret_ref TEXT,
    scopes TEXT NOT NULL,
    subject_claim TEXT NOT NULL,
    claim_mappings TEXT,
    allowed_namespaces TEXT,
    owner_namespace TEXT,
    owner_name TEXT,
    revision BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL DEFAULT 0,
    updated_at BIGINT NOT NULL DEFAULT 0
);

-- `principal` is a client id, or the id of a resource server; `hash` is the SHA-256 of the secret.
CREATE TABLE credential (
    id TEXT NOT NULL PRIMARY KEY,
    principal TEXT NOT NULL,
    hash BLOB NOT NULL,
    state TEXT NOT NULL,
    issued_at BIGINT NOT NULL,
    retire_at BIGINT
);
CREATE INDEX credential_principal ON credential (principal);

-- Apart from `credential`, so that using a secret is no change of policy.
CREATE TABLE credential_use (
    credential_id TEXT NOT NULL PRIMARY KEY,
    last_used_at BIGINT NOT NULL
);

-- What was applied, apart from what is there.
CREATE TABLE managed (
    owner_kind TEXT NOT NULL,
    owner_namespace TEXT NOT NULL,
    owner_name TEXT NOT NULL,
    namespace_uid TEXT NOT NULL,
    object_uid TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    deletion TEXT NOT NULL,
    format BIGINT NOT NULL,
    last_applied TEXT,
    credentials TEXT NOT NULL,
    drift TEXT,
    correction TEXT,
    settled BIGINT NOT NULL,
    -- RFC 3339, because the value is compared with what was written, to the nanosecond
    revoked_before TEXT,
    revoked_before_seen TEXT,
    deleted_at BIGINT,
    PRIMARY KEY (owner_kind, owner_namespace, owner_name)
);
CREATE INDEX managed_entity ON managed (owner_kind, entity_id);

CREATE TABLE signing_key (
    kid TEXT NOT NULL PRIMARY KEY,
    algorithm TEXT NOT NULL,
    public_jwk TEXT NOT NULL,
    sealed_private BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    state TEXT NOT NULL
);

CREATE TABLE api_key (
    name TEXT NOT NULL PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    role TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);

-- One row: who may write for the controller. Every leader raises it.
CREATE TABLE leader_epoch (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    epoch BIGINT NOT NULL
);
INSERT INTO leader_epoch (id, epoch) VALUES (1, 0);

-- One row: whose database this is. `incarnation` tells a restored database from the one it was copied from.
CREATE TABLE installation (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    name TEXT,
    cluster TEXT,
    key_fingerprint TEXT,
    incarnation TEXT NOT NULL,
    system_identifier TEXT
);
