-- What happened to live policies: a row for each change and resource server. It names what it is about by value, so
-- that it outlives it. `derived` says of a change row that all that follows from it is here.

CREATE TABLE activity (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    resource_server_id TEXT NOT NULL,
    resource_uri TEXT NOT NULL,
    owner TEXT,
    event_type TEXT NOT NULL,
    event_payload TEXT NOT NULL,
    occurred_at BIGINT NOT NULL,
    occurred_by TEXT NOT NULL,
    prior_policy_version BIGINT,
    policy_version BIGINT,
    tools_affected BIGINT NOT NULL,
    outside BIGINT NOT NULL,
    change_sequence BIGINT,
    dismissed_at BIGINT,
    dismissed_by TEXT
);
CREATE INDEX activity_list ON activity (resource_server_id, occurred_at, id);
CREATE INDEX activity_undismissed ON activity (resource_server_id) WHERE dismissed_at IS NULL;
CREATE INDEX activity_at ON activity (occurred_at);

-- A resource server that was live once, which is where its log begins. It stays when the resource server goes.
CREATE TABLE launch (
    resource_server_id TEXT NOT NULL PRIMARY KEY,
    resource_uri TEXT NOT NULL,
    owner TEXT,
    launched_at BIGINT NOT NULL,
    launched_by TEXT NOT NULL
);

-- Change rows from before this table are no part of any log.
ALTER TABLE change ADD COLUMN derived BIGINT NOT NULL DEFAULT 0;
UPDATE change SET derived = 1;
CREATE INDEX change_underived ON change (sequence) WHERE derived = 0;
