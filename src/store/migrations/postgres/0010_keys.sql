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
CREATE FUNCTION holdfast_key_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    before JSONB := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) - 'sealed_private' - 'public_jwk' END;
    after JSONB := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) - 'sealed_private' - 'public_jwk' END;
    key TEXT := coalesce(after ->> 'kid', before ->> 'kid', 'request');
BEGIN
    PERFORM holdfast_record(TG_TABLE_NAME, 'SigningKey', key, key, TG_OP, before, after);
    RETURN NULL;
END $$;

DO $$
DECLARE
    watched TEXT;
BEGIN
    EXECUTE format('ALTER FUNCTION holdfast_key_changed SET search_path = %I, pg_temp', current_schema());
    FOREACH watched IN ARRAY ARRAY['signing_key', 'signing_key_request'] LOOP
        EXECUTE format(
            'CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION holdfast_key_changed()',
            watched);
        EXECUTE format(
            'CREATE TRIGGER truncated AFTER TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION holdfast_truncated(%L)',
            watched, 'SigningKey');
    END LOOP;
END $$;
