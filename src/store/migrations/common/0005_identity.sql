-- People, their login sessions, failed logins, and the roles that people have at resource servers.

CREATE TABLE account (
    id TEXT NOT NULL PRIMARY KEY,
    -- in lower case: two spellings of an address are one person
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    -- local; where else people come from is added later
    source TEXT NOT NULL,
    -- PHC string
    password_hash TEXT,
    password_set_at BIGINT,
    created_at BIGINT NOT NULL,
    disabled_at BIGINT
);

-- `hash` is the SHA-256 of the cookie; it changes at every login, the id does not.
CREATE TABLE login_session (
    id TEXT NOT NULL PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    user_id TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    user_agent TEXT NOT NULL,
    -- the address of the last login, and its network (/24 or /64)
    address TEXT NOT NULL,
    network TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    authenticated_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at BIGINT,
    end_reason TEXT,
    -- 0 until a server has counted the end in sessions_ended_total
    counted BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX login_session_user ON login_session (user_id, network);
CREATE INDEX login_session_live ON login_session (last_seen_at) WHERE ended_at IS NULL;
CREATE INDEX login_session_uncounted ON login_session (ended_at) WHERE ended_at IS NOT NULL AND counted = 0;

-- `key` is the SHA-256 of what is counted: an address, a network, or both.
CREATE TABLE login_failure (
    kind TEXT NOT NULL,
    key BLOB NOT NULL,
    failures BIGINT NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (kind, key)
);
CREATE INDEX login_failure_since ON login_failure (since);

-- Roles given to one person, beside those that the policy binds; `origin` is default or admin.
CREATE TABLE role_assignment (
    user_id TEXT NOT NULL,
    resource_server_id TEXT NOT NULL,
    role TEXT NOT NULL,
    origin TEXT NOT NULL,
    assigned_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, resource_server_id, role)
);
CREATE INDEX role_assignment_resource ON role_assignment (resource_server_id);
