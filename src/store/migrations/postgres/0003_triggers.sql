-- Every change of policy leaves a row in `change`, raises the entity's revision and notifies, whoever made it.
--
-- The functions run with the rights of the role that owns the schema, the server's own: a transaction of that role
-- may name itself in `holdfast.actor`, any other is `sql:<session_user>`. No secret and no hash is written to
-- `change`: of a hash only whether it changed.

INSERT INTO installation (id, incarnation, system_identifier)
VALUES (1, substr(replace(gen_random_uuid()::text, '-', ''), 1, 16),
        (SELECT system_identifier::text FROM pg_control_system()));

-- Arguments: a change row's table, entity kind, entity id, row key, operation, old, new. Returns its sequence.
CREATE FUNCTION holdfast_record(
    changed_table TEXT, kind TEXT, entity TEXT, key TEXT, operation TEXT, before JSONB, after JSONB
) RETURNS BIGINT LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    named TEXT := NULLIF(current_setting('holdfast.actor', true), '');
    recorded BIGINT;
BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new,
                        actor, claim, application, address, incarnation, xid)
    VALUES ((extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
            changed_table, kind, entity, key, operation, before::text, after::text,
            CASE WHEN named IS NOT NULL AND session_user = current_user THEN named ELSE 'sql:' || session_user END,
            named, current_setting('application_name', true), host(inet_client_addr()),
            (SELECT i.incarnation FROM installation i), pg_current_xact_id()::text::bigint)
    RETURNING sequence INTO recorded;
    PERFORM pg_notify('holdfast_change', left(changed_table || ':' || entity, 1000));
    RETURN recorded;
END $$;

-- Trigger arguments: entity kind ('' = by the row), the column with the entity's id, the entity's table ('' = none).
CREATE FUNCTION holdfast_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    unwatched CONSTANT TEXT[] := ARRAY['revision', 'created_at', 'updated_at'];
    unshown CONSTANT TEXT[] := unwatched || ARRAY['hash', 'credentials', 'last_applied'];
    before JSONB := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    after JSONB := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    told JSONB := after - unshown;
    side JSONB;
    kind TEXT;
    key TEXT;
    told_of TEXT;
    recorded BIGINT;
BEGIN
    IF before - unwatched = after - unwatched THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        FOREACH key IN ARRAY ARRAY['hash', 'credentials', 'last_applied'] LOOP
            IF before ? key THEN
                told := told || jsonb_build_object(key || '_changed', before -> key IS DISTINCT FROM after -> key);
            END IF;
        END LOOP;
    END IF;
    FOREACH side IN ARRAY ARRAY[before, after] LOOP
        -- an update that moves a row to another entity is a change of both
        CONTINUE WHEN side IS NULL OR side ->> TG_ARGV[1] = told_of;
        told_of := side ->> TG_ARGV[1];
        kind := CASE WHEN TG_ARGV[0] <> '' THEN TG_ARGV[0]
                     WHEN TG_TABLE_NAME = 'managed' THEN side ->> 'owner_kind'
                     WHEN left(told_of, 3) = 'rs_' THEN 'ResourceServer'
                     ELSE 'OAuthClient' END;
        key := coalesce(side ->> 'id', concat_ws('/', side ->> 'owner_kind', side ->> 'owner_namespace', side ->> 'owner_name'));
        recorded := holdfast_record(TG_TABLE_NAME, kind, told_of, key, TG_OP, before - unshown, told);
        IF TG_TABLE_NAME = 'credential' THEN
            UPDATE client SET revision = recorded WHERE id = told_of;
            UPDATE resource_server SET revision = recorded WHERE id = told_of;
        ELSIF TG_ARGV[2] <> '' THEN
            EXECUTE format('UPDATE %I SET revision = $1 WHERE id = $2', TG_ARGV[2]) USING recorded, told_of;
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

-- Row triggers do not see TRUNCATE; an empty entity id says that all of them changed.
CREATE FUNCTION holdfast_truncated() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM holdfast_record(TG_TABLE_NAME, TG_ARGV[0], '', '', 'TRUNCATE', NULL, NULL);
    RETURN NULL;
END $$;

DO $$
DECLARE
    watched TEXT[];
BEGIN
    -- whatever the caller's search path, the functions see the schema they were made in
    EXECUTE format('ALTER FUNCTION holdfast_record SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION holdfast_changed SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION holdfast_truncated SET search_path = %I, pg_temp', current_schema());
    REVOKE EXECUTE ON FUNCTION holdfast_record FROM PUBLIC;
    FOREACH watched SLICE 1 IN ARRAY ARRAY[
        ARRAY['client', 'OAuthClient', 'id', 'client'],
        ARRAY['client_resource', 'OAuthClient', 'client_id', 'client'],
        ARRAY['resource_server', 'ResourceServer', 'id', 'resource_server'],
        ARRAY['scope', 'ResourceServer', 'resource_server_id', 'resource_server'],
        ARRAY['tool', 'ResourceServer', 'resource_server_id', 'resource_server'],
        ARRAY['role', 'ResourceServer', 'resource_server_id', 'resource_server'],
        ARRAY['role_binding', 'ResourceServer', 'resource_server_id', 'resource_server'],
        ARRAY['provider', 'Provider', 'id', 'provider'],
        ARRAY['credential', '', 'principal', ''],
        ARRAY['managed', '', 'entity_id', '']
    ] LOOP
        EXECUTE format(
            'CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION holdfast_changed(%L, %L, %L)',
            watched[1], watched[2], watched[3], watched[4]);
        EXECUTE format(
            'CREATE TRIGGER truncated AFTER TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION holdfast_truncated(%L)',
            watched[1], watched[2]);
    END LOOP;
END $$;
