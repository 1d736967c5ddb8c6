-- What enforcement points and MCP servers say of themselves. None of it is policy: no change row, no revision. Times are
-- microseconds of UTC.

-- Which version of a policy each enforcement point runs, as it said last.
CREATE TABLE enforcement_point (
    resource_server_id TEXT NOT NULL,
    instance TEXT NOT NULL,
    version BIGINT NOT NULL,
    -- of the policy's text
    hash TEXT NOT NULL,
    reported_by TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (resource_server_id, instance)
);
CREATE INDEX enforcement_point_seen ON enforcement_point (seen_at);

-- The tools that a server publishes, with what it suggests for them.
CREATE TABLE tool_manifest (
    resource_server_id TEXT NOT NULL PRIMARY KEY,
    -- SHA-256 of the text, base64url
    digest TEXT NOT NULL,
    manifest TEXT NOT NULL,
    published_by TEXT NOT NULL,
    published_at BIGINT NOT NULL
);
