-- Calls that enforcement points decided about, as they report them. None of it is policy: no change row, no revision.
-- It names what it is about by value, so that it outlives it. Times are microseconds of UTC.

CREATE TABLE access_log (
    resource_server_id TEXT NOT NULL,
    -- of the reporter's choice: the same twice is the same decision
    id TEXT NOT NULL,
    at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    tool TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT,
    client_id TEXT,
    subject TEXT,
    -- space-separated
    scopes TEXT NOT NULL,
    policy_version BIGINT,
    -- microseconds
    duration BIGINT,
    jti TEXT,
    enforcement_point TEXT,
    reported_by TEXT NOT NULL,
    PRIMARY KEY (resource_server_id, id)
);
CREATE INDEX access_log_list ON access_log (resource_server_id, at, id);
CREATE INDEX access_log_client ON access_log (client_id, at);
CREATE INDEX access_log_at ON access_log (at);
