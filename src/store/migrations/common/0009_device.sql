-- Device authorizations (RFC 8628): what a device waits for and a user decides. Times are microseconds of UTC.
CREATE TABLE device_authorization (
    -- SHA-256 of the device code
    hash BLOB NOT NULL PRIMARY KEY,
    -- keyed digest of the user code
    user_code BLOB NOT NULL UNIQUE,
    client_id TEXT NOT NULL,
    resource_server_id TEXT NOT NULL,
    -- what was asked for, and once it is approved what was granted
    scope TEXT NOT NULL,
    code_challenge TEXT,
    -- where the request came from, for the user to see
    source TEXT NOT NULL,
    state TEXT NOT NULL,
    -- who was shown it, and who decided
    session_id TEXT,
    subject TEXT,
    auth_time BIGINT,
    interval_seconds BIGINT NOT NULL,
    polled_at BIGINT,
    issued_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- of the grant that came of it
    grant_id BLOB
);
CREATE INDEX device_authorization_end ON device_authorization (expires_at);
