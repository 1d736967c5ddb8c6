-- The life of signing keys: where the private half is, when a key begins to sign and when it leaves the key set.

ALTER TABLE signing_key ADD COLUMN keystore TEXT NOT NULL DEFAULT 'database';
ALTER TABLE signing_key ADD COLUMN reference TEXT NOT NULL DEFAULT '';
ALTER TABLE signing_key ADD COLUMN activate_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE signing_key ADD COLUMN retire_at BIGINT;
UPDATE signing_key SET activate_at = created_at;

-- Until when a leader holds the lease without a cluster, by this database's clock.
ALTER TABLE leader_epoch ADD COLUMN held_until BIGINT NOT NULL DEFAULT 0;

-- At most one row: somebody asked for new keys, and the leader did not hear of it yet.
CREATE TABLE signing_key_request (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    urgent BIGINT NOT NULL
);

-- No key, not even a sealed one, is written to `change`.

CREATE TRIGGER signing_key_inserted AFTER INSERT ON signing_key BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'signing_key', 'SigningKey', NEW.kid, NEW.kid, 'INSERT',
        NULL,
        json_object('kid', NEW.kid, 'algorithm', NEW.algorithm, 'created_at', NEW.created_at, 'state', NEW.state, 'keystore', NEW.keystore, 'reference', NEW.reference, 'activate_at', NEW.activate_at, 'retire_at', NEW.retire_at),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
END;

CREATE TRIGGER signing_key_updated AFTER UPDATE ON signing_key BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'signing_key', 'SigningKey', NEW.kid, NEW.kid, 'UPDATE',
        json_object('kid', OLD.kid, 'algorithm', OLD.algorithm, 'created_at', OLD.created_at, 'state', OLD.state, 'keystore', OLD.keystore, 'reference', OLD.reference, 'activate_at', OLD.activate_at, 'retire_at', OLD.retire_at),
        json_object('kid', NEW.kid, 'algorithm', NEW.algorithm, 'created_at', NEW.created_at, 'state', NEW.state, 'keystore', NEW.keystore, 'reference', NEW.reference, 'activate_at', NEW.activate_at, 'retire_at', NEW.retire_at),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
END;

CREATE TRIGGER signing_key_deleted AFTER DELETE ON signing_key BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'signing_key', 'SigningKey', OLD.kid, OLD.kid, 'DELETE',
        json_object('kid', OLD.kid, 'algorithm', OLD.algorithm, 'created_at', OLD.created_at, 'state', OLD.state, 'keystore', OLD.keystore, 'reference', OLD.reference, 'activate_at', OLD.activate_at, 'retire_at', OLD.retire_at),
        NULL,
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
END;

CREATE TRIGGER signing_key_request_inserted AFTER INSERT ON signing_key_request BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'signing_key_request', 'SigningKey', 'request', 'request', 'INSERT',
        NULL,
        json_object('id', NEW.id, 'at', NEW.at, 'who', NEW.who, 'urgent', NEW.urgent),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
END;

CREATE TRIGGER signing_key_request_updated AFTER UPDATE ON signing_key_request BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'signing_key_request', 'SigningKey', 'request', 'request', 'UPDATE',
        json_object('id', OLD.id, 'at', OLD.at, 'who', OLD.who, 'urgent', OLD.urgent),
        json_object('id', NEW.id, 'at', NEW.at, 'who', NEW.who, 'urgent', NEW.urgent),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
END;

CREATE TRIGGER signing_key_request_deleted AFTER DELETE ON signing_key_request BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'signing_key_request', 'SigningKey', 'request', 'request', 'DELETE',
        json_object('id', OLD.id, 'at', OLD.at, 'who', OLD.who, 'urgent', OLD.urgent),
        NULL,
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
END;
