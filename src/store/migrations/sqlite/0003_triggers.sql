-- Every change of policy leaves a row in `change` and raises the entity's revision, whoever made it.
--
-- These triggers run inside the library of whatever process writes, so they use nothing newer than SQLite 3.38
-- and no function of ours. A transaction that does not name itself in `tx_actor` is `sql`.
-- No secret and no hash is written to `change`: of a hash only whether it changed.

INSERT INTO installation (id, incarnation) VALUES (1, lower(hex(randomblob(8))));

CREATE TRIGGER client_inserted AFTER INSERT ON client BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'client', 'OAuthClient', NEW.id, NEW.id, 'INSERT',
        NULL,
        json_object(
            'id', NEW.id, 'display_name', NEW.display_name, 'state', NEW.state,
            'grant_types', NEW.grant_types, 'redirect_uris', NEW.redirect_uris,
            'authentication_method', NEW.authentication_method, 'jwks', NEW.jwks, 'jwks_uri', NEW.jwks_uri,
            'workload_identity', NEW.workload_identity, 'agent', NEW.agent, 'consent', NEW.consent,
            'refresh_lifetime_seconds', NEW.refresh_lifetime_seconds,
            'refresh_idle_seconds', NEW.refresh_idle_seconds, 'sender_constraint', NEW.sender_constraint,
            'owner_namespace', NEW.owner_namespace, 'owner_name', NEW.owner_name),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
    UPDATE client SET revision = (SELECT max(sequence) FROM change) WHERE id = NEW.id;
END;

CREATE TRIGGER client_updated AFTER UPDATE ON client
WHEN (OLD.id, OLD.display_name, OLD.state, OLD.grant_types, OLD.redirect_uris, OLD.authentication_method,
    OLD.jwks, OLD.jwks_uri, OLD.workload_identity, OLD.agent, OLD.consent, OLD.refresh_lifetime_seconds,
    OLD.refresh_idle_seconds, OLD.sender_constraint, OLD.owner_namespace, OLD.owner_name)
    IS NOT
    (NEW.id, NEW.display_name, NEW.state, NEW.grant_types, NEW.redirect_uris, NEW.authentication_method,
    NEW.jwks, NEW.jwks_uri, NEW.workload_identity, NEW.agent, NEW.consent, NEW.refresh_lifetime_seconds,
    NEW.refresh_idle_seconds, NEW.sender_constraint, NEW.owner_namespace, NEW.owner_name)
BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'client', 'OAuthClient', OLD.id, OLD.id, 'UPDATE',
        json_object(
            'id', OLD.id, 'display_name', OLD.display_name, 'state', OLD.state,
            'grant_types', OLD.grant_types, 'redirect_uris', OLD.redirect_uris,
            'authentication_method', OLD.authentication_method, 'jwks', OLD.jwks, 'jwks_uri', OLD.jwks_uri,
            'workload_identity', OLD.workload_identity, 'agent', OLD.agent, 'consent', OLD.consent,
            'refresh_lifetime_seconds', OLD.refresh_lifetime_seconds,
            'refresh_idle_seconds', OLD.refresh_idle_seconds, 'sender_constraint', OLD.sender_constraint,
            'owner_namespace', OLD.owner_namespace, 'owner_name', OLD.owner_name),
        json_object(
            'id', NEW.id, 'display_name', NEW.display_name, 'state', NEW.state,
            'grant_types', NEW.grant_types, 'redirect_uris', NEW.redirect_uris,
            'authentication_method', NEW.authentication_method, 'jwks', NEW.jwks, 'jwks_uri', NEW.jwks_uri,
            'workload_identity', NEW.workload_identity, 'agent', NEW.agent, 'consent', NEW.consent,
            'refresh_lifetime_seconds', NEW.refresh_lifetime_seconds,
            'refresh_idle_seconds', NEW.refresh_idle_seconds, 'sender_constraint', NEW.sender_constraint,
            'owner_namespace', NEW.owner_namespace, 'owner_name', NEW.owner_name),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
    UPDATE client SET revision = (SELECT max(sequence) FROM change) WHERE id = OLD.id;
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'client', 'OAuthClient', NEW.id, NEW.id, 'UPDATE',
        json_object(
            'id', OLD.id, 'display_name', OLD.display_name, 'state', OLD.state,
            'grant_types', OLD.grant_types, 'redirect_uris', OLD.redirect_uris,
            'authentication_method', OLD.authentication_method, 'jwks', OLD.jwks, 'jwks_uri', OLD.jwks_uri,
            'workload_identity', OLD.workload_identity, 'agent', OLD.agent, 'consent', OLD.consent,
            'refresh_lifetime_seconds', OLD.refresh_lifetime_seconds,
            'refresh_idle_seconds', OLD.refresh_idle_seconds, 'sender_constraint', OLD.sender_constraint,
            'owner_namespace', OLD.owner_namespace, 'owner_name', OLD.owner_name),
        json_object(
            'id', NEW.id, 'display_name', NEW.display_name, 'state', NEW.state,
            'grant_types', NEW.grant_types, 'redirect_uris', NEW.redirect_uris,
            'authentication_method', NEW.authentication_method, 'jwks', NEW.jwks, 'jwks_uri', NEW.jwks_uri,
            'workload_identity', NEW.workload_identity, 'agent', NEW.agent, 'consent', NEW.consent,
            'refresh_lifetime_seconds', NEW.refresh_lifetime_seconds,
            'refresh_idle_seconds', NEW.refresh_idle_seconds, 'sender_constraint', NEW.sender_constraint,
            'owner_namespace', NEW.owner_namespace, 'owner_name', NEW.owner_name),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation)
    WHERE OLD.id IS NOT NEW.id;
    UPDATE client SET revision = (SELECT max(sequence) FROM change) WHERE id = NEW.id;
END;

CREATE TRIGGER client_deleted AFTER DELETE ON client BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'client', 'OAuthClient', OLD.id, OLD.id, 'DELETE',
        json_object(
            'id', OLD.id, 'display_name', OLD.display_name, 'state', OLD.state,
            'grant_types', OLD.grant_types, 'redirect_uris', OLD.redirect_uris,
            'authentication_method', OLD.authentication_method, 'jwks', OLD.jwks, 'jwks_uri', OLD.jwks_uri,
            'workload_identity', OLD.workload_identity, 'agent', OLD.agent, 'consent', OLD.consent,
            'refresh_lifetime_seconds', OLD.refresh_lifetime_seconds,
            'refresh_idle_seconds', OLD.refresh_idle_seconds, 'sender_constraint', OLD.sender_constraint,
            'owner_namespace', OLD.owner_namespace, 'owner_name', OLD.owner_name),
        NULL,
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
END;

CREATE TRIGGER client_resource_inserted AFTER INSERT ON client_resource BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'client_resource', 'OAuthClient', NEW.client_id, NEW.id, 'INSERT',
        NULL,
        json_object(
            'id', NEW.id, 'client_id', NEW.client_id, 'name', NEW.name,
            'resource_server_id', NEW.resource_server_id, 'scopes', NEW.scopes),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
    UPDATE client SET revision = (SELECT max(sequence) FROM change) WHERE id = NEW.client_id;
END;

CREATE TRIGGER client_resource_updated AFTER UPDATE ON client_resource
WHEN (OLD.id, OLD.client_id, OLD.name, OLD.resource_server_id, OLD.scopes)
    IS NOT
    (NEW.id, NEW.client_id, NEW.name, NEW.resource_server_id, NEW.scopes)
BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'client_resource', 'OAuthClient', OLD.client_id, OLD.id, 'UPDATE',
        json_object(
            'id', OLD.id, 'client_id', OLD.client_id, 'name', OLD.name,
            'resource_server_id', OLD.resource_server_id, 'scopes', OLD.scopes),
        json_object(
            'id', NEW.id, 'client_id', NEW.client_id, 'name', NEW.name,
            'resource_server_id', NEW.resource_server_id, 'scopes', NEW.scopes),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
    UPDATE client SET revision = (SELECT max(sequence) FROM change) WHERE id = OLD.client_id;
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'client_resource', 'OAuthClient', NEW.client_id, NEW.id, 'UPDATE',
        json_object(
            'id', OLD.id, 'client_id', OLD.client_id, 'name', OLD.name,
            'resource_server_id', OLD.resource_server_id, 'scopes', OLD.scopes),
        json_object(
            'id', NEW.id, 'client_id', NEW.client_id, 'name', NEW.name,
            'resource_server_id', NEW.resource_server_id, 'scopes', NEW.scopes),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation)
    WHERE OLD.client_id IS NOT NEW.client_id;
    UPDATE client SET revision = (SELECT max(sequence) FROM change) WHERE id = NEW.client_id;
END;

CREATE TRIGGER client_resource_deleted AFTER DELETE ON client_resource BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'client_resource', 'OAuthClient', OLD.client_id, OLD.id, 'DELETE',
        json_object(
            'id', OLD.id, 'client_id', OLD.client_id, 'name', OLD.name,
            'resource_server_id', OLD.resource_server_id, 'scopes', OLD.scopes),
        NULL,
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
    UPDATE client SET revision = (SELECT max(sequence) FROM change) WHERE id = OLD.client_id;
END;

CREATE TRIGGER resource_server_inserted AFTER INSERT ON resource_server BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'resource_server', 'ResourceServer', NEW.id, NEW.id, 'INSERT',
        NULL,
        json_object(
            'id', NEW.id, 'resource_uri', NEW.resource_uri, 'display_name', NEW.display_name,
            'lifecycle', NEW.lifecycle, 'token_source', NEW.token_source, 'default_role', NEW.default_role,
            'token_format', NEW.token_format, 'signing_algorithm', NEW.signing_algorithm,
            'lifetime_seconds', NEW.lifetime_seconds, 'sender_constraint', NEW.sender_constraint,
            'allowed_namespaces', NEW.allowed_namespaces, 'dynamic_clients', NEW.dynamic_clients,
            'consent', NEW.consent, 'exchange', NEW.exchange, 'runtime_clients', NEW.runtime_clients,
            'runtime_service_accounts', NEW.runtime_service_accounts, 'connect', NEW.connect,
            'fronting', NEW.fronting, 'owner_namespace', NEW.owner_namespace, 'owner_name', NEW.owner_name),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
    UPDATE resource_server SET revision = (SELECT max(sequence) FROM change) WHERE id = NEW.id;
END;

CREATE TRIGGER resource_server_updated AFTER UPDATE ON resource_server
WHEN (OLD.id, OLD.resource_uri, OLD.display_name, OLD.lifecycle, OLD.token_source, OLD.default_role,
    OLD.token_format, OLD.signing_algorithm, OLD.lifetime_seconds, OLD.sender_constraint,
    OLD.allowed_namespaces, OLD.dynamic_clients, OLD.consent, OLD.exchange, OLD.runtime_clients,
    OLD.runtime_service_accounts, OLD.connect, OLD.fronting, OLD.owner_namespace, OLD.owner_name)
    IS NOT
    (NEW.id, NEW.resource_uri, NEW.display_name, NEW.lifecycle, NEW.token_source, NEW.default_role,
    NEW.token_format, NEW.signing_algorithm, NEW.lifetime_seconds, NEW.sender_constraint,
    NEW.allowed_namespaces, NEW.dynamic_clients, NEW.consent, NEW.exchange, NEW.runtime_clients,
    NEW.runtime_service_accounts, NEW.connect, NEW.fronting, NEW.owner_namespace, NEW.owner_name)
BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'resource_server', 'ResourceServer', OLD.id, OLD.id, 'UPDATE',
        json_object(
            'id', OLD.id, 'resource_uri', OLD.resource_uri, 'display_name', OLD.display_name,
            'lifecycle', OLD.lifecycle, 'token_source', OLD.token_source, 'default_role', OLD.default_role,
            'token_format', OLD.token_format, 'signing_algorithm', OLD.signing_algorithm,
            'lifetime_seconds', OLD.lifetime_seconds, 'sender_constraint', OLD.sender_constraint,
            'allowed_namespaces', OLD.allowed_namespaces, 'dynamic_clients', OLD.dynamic_clients,
            'consent', OLD.consent, 'exchange', OLD.exchange, 'runtime_clients', OLD.runtime_clients,
            'runtime_service_accounts', OLD.runtime_service_accounts, 'connect', OLD.connect,
            'fronting', OLD.fronting, 'owner_namespace', OLD.owner_namespace, 'owner_name', OLD.owner_name),
        json_object(
            'id', NEW.id, 'resource_uri', NEW.resource_uri, 'display_name', NEW.display_name,
            'lifecycle', NEW.lifecycle, 'token_source', NEW.token_source, 'default_role', NEW.default_role,
            'token_format', NEW.token_format, 'signing_algorithm', NEW.signing_algorithm,
            'lifetime_seconds', NEW.lifetime_seconds, 'sender_constraint', NEW.sender_constraint,
            'allowed_namespaces', NEW.allowed_namespaces, 'dynamic_clients', NEW.dynamic_clients,
            'consent', NEW.consent, 'exchange', NEW.exchange, 'runtime_clients', NEW.runtime_clients,
            'runtime_service_accounts', NEW.runtime_service_accounts, 'connect', NEW.connect,
            'fronting', NEW.fronting, 'owner_namespace', NEW.owner_namespace, 'owner_name', NEW.owner_name),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
    UPDATE resource_server SET revision = (SELECT max(sequence) FROM change) WHERE id = OLD.id;
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'resource_server', 'ResourceServer', NEW.id, NEW.id, 'UPDATE',
        json_object(
            'id', OLD.id, 'resource_uri', OLD.resource_uri, 'display_name', OLD.display_name,
            'lifecycle', OLD.lifecycle, 'token_source', OLD.token_source, 'default_role', OLD.default_role,
            'token_format', OLD.token_format, 'signing_algorithm', OLD.signing_algorithm,
            'lifetime_seconds', OLD.lifetime_seconds, 'sender_constraint', OLD.sender_constraint,
            'allowed_namespaces', OLD.allowed_namespaces, 'dynamic_clients', OLD.dynamic_clients,
            'consent', OLD.consent, 'exchange', OLD.exchange, 'runtime_clients', OLD.runtime_clients,
            'runtime_service_accounts', OLD.runtime_service_accounts, 'connect', OLD.connect,
            'fronting', OLD.fronting, 'owner_namespace', OLD.owner_namespace, 'owner_name', OLD.owner_name),
        json_object(
            'id', NEW.id, 'resource_uri', NEW.resource_uri, 'display_name', NEW.display_name,
            'lifecycle', NEW.lifecycle, 'token_source', NEW.token_source, 'default_role', NEW.default_role,
            'token_format', NEW.token_format, 'signing_algorithm', NEW.signing_algorithm,
            'lifetime_seconds', NEW.lifetime_seconds, 'sender_constraint', NEW.sender_constraint,
            'allowed_namespaces', NEW.allowed_namespaces, 'dynamic_clients', NEW.dynamic_clients,
            'consent', NEW.consent, 'exchange', NEW.exchange, 'runtime_clients', NEW.runtime_clients,
            'runtime_service_accounts', NEW.runtime_service_accounts, 'connect', NEW.connect,
            'fronting', NEW.fronting, 'owner_namespace', NEW.owner_namespace, 'owner_name', NEW.owner_name),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation)
    WHERE OLD.id IS NOT NEW.id;
    UPDATE resource_server SET revision = (SELECT max(sequence) FROM change) WHERE id = NEW.id;
END;

CREATE TRIGGER resource_server_deleted AFTER DELETE ON resource_server BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'resource_server', 'ResourceServer', OLD.id, OLD.id, 'DELETE',
        json_object(
            'id', OLD.id, 'resource_uri', OLD.resource_uri, 'display_name', OLD.display_name,
            'lifecycle', OLD.lifecycle, 'token_source', OLD.token_source, 'default_role', OLD.default_role,
            'token_format', OLD.token_format, 'signing_algorithm', OLD.signing_algorithm,
            'lifetime_seconds', OLD.lifetime_seconds, 'sender_constraint', OLD.sender_constraint,
            'allowed_namespaces', OLD.allowed_namespaces, 'dynamic_clients', OLD.dynamic_clients,
            'consent', OLD.consent, 'exchange', OLD.exchange, 'runtime_clients', OLD.runtime_clients,
            'runtime_service_accounts', OLD.runtime_service_accounts, 'connect', OLD.connect,
            'fronting', OLD.fronting, 'owner_namespace', OLD.owner_namespace, 'owner_name', OLD.owner_name),
        NULL,
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
END;

CREATE TRIGGER scope_inserted AFTER INSERT ON scope BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'scope', 'ResourceServer', NEW.resource_server_id, NEW.id, 'INSERT',
        NULL,
        json_object(
            'id', NEW.id, 'resource_server_id', NEW.resource_server_id, 'name', NEW.name,
            'description', NEW.description, 'risk', NEW.risk, 'upstream', NEW.upstream),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
    UPDATE resource_server SET revision = (SELECT max(sequence) FROM change) WHERE id = NEW.resource_server_id;
END;

CREATE TRIGGER scope_updated AFTER UPDATE ON scope
WHEN (OLD.id, OLD.resource_server_id, OLD.name, OLD.description, OLD.risk, OLD.upstream)
    IS NOT
    (NEW.id, NEW.resource_server_id, NEW.name, NEW.description, NEW.risk, NEW.upstream)
BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'scope', 'ResourceServer', OLD.resource_server_id, OLD.id, 'UPDATE',
        json_object(
            'id', OLD.id, 'resource_server_id', OLD.resource_server_id, 'name', OLD.name,
            'description', OLD.description, 'risk', OLD.risk, 'upstream', OLD.upstream),
        json_object(
            'id', NEW.id, 'resource_server_id', NEW.resource_server_id, 'name', NEW.name,
            'description', NEW.description, 'risk', NEW.risk, 'upstream', NEW.upstream),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
    UPDATE resource_server SET revision = (SELECT max(sequence) FROM change) WHERE id = OLD.resource_server_id;
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'scope', 'ResourceServer', NEW.resource_server_id, NEW.id, 'UPDATE',
        json_object(
            'id', OLD.id, 'resource_server_id', OLD.resource_server_id, 'name', OLD.name,
            'description', OLD.description, 'risk', OLD.risk, 'upstream', OLD.upstream),
        json_object(
            'id', NEW.id, 'resource_server_id', NEW.resource_server_id, 'name', NEW.name,
            'description', NEW.description, 'risk', NEW.risk, 'upstream', NEW.upstream),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation)
    WHERE OLD.resource_server_id IS NOT NEW.resource_server_id;
    UPDATE resource_server SET revision = (SELECT max(sequence) FROM change) WHERE id = NEW.resource_server_id;
END;

CREATE TRIGGER scope_deleted AFTER DELETE ON scope BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'scope', 'ResourceServer', OLD.resource_server_id, OLD.id, 'DELETE',
        json_object(
            'id', OLD.id, 'resource_server_id', OLD.resource_server_id, 'name', OLD.name,
            'description', OLD.description, 'risk', OLD.risk, 'upstream', OLD.upstream),
        NULL,
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
    UPDATE resource_server SET revision = (SELECT max(sequence) FROM change) WHERE id = OLD.resource_server_id;
END;

CREATE TRIGGER tool_inserted AFTER INSERT ON tool BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'tool', 'ResourceServer', NEW.resource_server_id, NEW.id, 'INSERT',
        NULL,
        json_object(
            'id', NEW.id, 'resource_server_id', NEW.resource_server_id, 'name', NEW.name,
            'access', NEW.access, 'scopes', NEW.scopes, 'matching', NEW.matching),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
    UPDATE resource_server SET revision = (SELECT max(sequence) FROM change) WHERE id = NEW.resource_server_id;
END;

CREATE TRIGGER tool_updated AFTER UPDATE ON tool
WHEN (OLD.id, OLD.resource_server_id, OLD.name, OLD.access, OLD.scopes, OLD.matching)
    IS NOT
    (NEW.id, NEW.resource_server_id, NEW.name, NEW.access, NEW.scopes, NEW.matching)
BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'tool', 'ResourceServer', OLD.resource_server_id, OLD.id, 'UPDATE',
        json_object(
            'id', OLD.id, 'resource_server_id', OLD.resource_server_id, 'name', OLD.name,
            'access', OLD.access, 'scopes', OLD.scopes, 'matching', OLD.matching),
        json_object(
            'id', NEW.id, 'resource_server_id', NEW.resource_server_id, 'name', NEW.name,
            'access', NEW.access, 'scopes', NEW.scopes, 'matching', NEW.matching),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
    UPDATE resource_server SET revision = (SELECT max(sequence) FROM change) WHERE id = OLD.resource_server_id;
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'tool', 'ResourceServer', NEW.resource_server_id, NEW.id, 'UPDATE',
        json_object(
            'id', OLD.id, 'resource_server_id', OLD.resource_server_id, 'name', OLD.name,
            'access', OLD.access, 'scopes', OLD.scopes, 'matching', OLD.matching),
        json_object(
            'id', NEW.id, 'resource_server_id', NEW.resource_server_id, 'name', NEW.name,
            'access', NEW.access, 'scopes', NEW.scopes, 'matching', NEW.matching),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation)
    WHERE OLD.resource_server_id IS NOT NEW.resource_server_id;
    UPDATE resource_server SET revision = (SELECT max(sequence) FROM change) WHERE id = NEW.resource_server_id;
END;

CREATE TRIGGER tool_deleted AFTER DELETE ON tool BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'tool', 'ResourceServer', OLD.resource_server_id, OLD.id, 'DELETE',
        json_object(
            'id', OLD.id, 'resource_server_id', OLD.resource_server_id, 'name', OLD.name,
            'access', OLD.access, 'scopes', OLD.scopes, 'matching', OLD.matching),
        NULL,
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
    UPDATE resource_server SET revision = (SELECT max(sequence) FROM change) WHERE id = OLD.resource_server_id;
END;

CREATE TRIGGER role_inserted AFTER INSERT ON role BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'role', 'ResourceServer', NEW.resource_server_id, NEW.id, 'INSERT',
        NULL,
        json_object(
            'id', NEW.id, 'resource_server_id', NEW.resource_server_id, 'name', NEW.name,
            'scopes', NEW.scopes),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
    UPDATE resource_server SET revision = (SELECT max(sequence) FROM change) WHERE id = NEW.resource_server_id;
END;

CREATE TRIGGER role_updated AFTER UPDATE ON role
WHEN (OLD.id, OLD.resource_server_id, OLD.name, OLD.scopes)
    IS NOT
    (NEW.id, NEW.resource_server_id, NEW.name, NEW.scopes)
BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'role', 'ResourceServer', OLD.resource_server_id, OLD.id, 'UPDATE',
        json_object(
            'id', OLD.id, 'resource_server_id', OLD.resource_server_id, 'name', OLD.name,
            'scopes', OLD.scopes),
        json_object(
            'id', NEW.id, 'resource_server_id', NEW.resource_server_id, 'name', NEW.name,
            'scopes', NEW.scopes),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
    UPDATE resource_server SET revision = (SELECT max(sequence) FROM change) WHERE id = OLD.resource_server_id;
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'role', 'ResourceServer', NEW.resource_server_id, NEW.id, 'UPDATE',
        json_object(
            'id', OLD.id, 'resource_server_id', OLD.resource_server_id, 'name', OLD.name,
            'scopes', OLD.scopes),
        json_object(
            'id', NEW.id, 'resource_server_id', NEW.resource_server_id, 'name', NEW.name,
            'scopes', NEW.scopes),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation)
    WHERE OLD.resource_server_id IS NOT NEW.resource_server_id;
    UPDATE resource_server SET revision = (SELECT max(sequence) FROM change) WHERE id = NEW.resource_server_id;
END;

CREATE TRIGGER role_deleted AFTER DELETE ON role BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'role', 'ResourceServer', OLD.resource_server_id, OLD.id, 'DELETE',
        json_object(
            'id', OLD.id, 'resource_server_id', OLD.resource_server_id, 'name', OLD.name,
            'scopes', OLD.scopes),
        NULL,
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
    UPDATE resource_server SET revision = (SELECT max(sequence) FROM change) WHERE id = OLD.resource_server_id;
END;

CREATE TRIGGER role_binding_inserted AFTER INSERT ON role_binding BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'role_binding', 'ResourceServer', NEW.resource_server_id, NEW.id, 'INSERT',
        NULL,
        json_object(
            'id', NEW.id, 'resource_server_id', NEW.resource_server_id, 'name', NEW.name,
            'members', NEW.members),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
    UPDATE resource_server SET revision = (SELECT max(sequence) FROM change) WHERE id = NEW.resource_server_id;
END;

CREATE TRIGGER role_binding_updated AFTER UPDATE ON role_binding
WHEN (OLD.id, OLD.resource_server_id, OLD.name, OLD.members)
    IS NOT
    (NEW.id, NEW.resource_server_id, NEW.name, NEW.members)
BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'role_binding', 'ResourceServer', OLD.resource_server_id, OLD.id, 'UPDATE',
        json_object(
            'id', OLD.id, 'resource_server_id', OLD.resource_server_id, 'name', OLD.name,
            'members', OLD.members),
        json_object(
            'id', NEW.id, 'resource_server_id', NEW.resource_server_id, 'name', NEW.name,
            'members', NEW.members),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
    UPDATE resource_server SET revision = (SELECT max(sequence) FROM change) WHERE id = OLD.resource_server_id;
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'role_binding', 'ResourceServer', NEW.resource_server_id, NEW.id, 'UPDATE',
        json_object(
            'id', OLD.id, 'resource_server_id', OLD.resource_server_id, 'name', OLD.name,
            'members', OLD.members),
        json_object(
            'id', NEW.id, 'resource_server_id', NEW.resource_server_id, 'name', NEW.name,
            'members', NEW.members),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation)
    WHERE OLD.resource_server_id IS NOT NEW.resource_server_id;
    UPDATE resource_server SET revision = (SELECT max(sequence) FROM change) WHERE id = NEW.resource_server_id;
END;

CREATE TRIGGER role_binding_deleted AFTER DELETE ON role_binding BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'role_binding', 'ResourceServer', OLD.resource_server_id, OLD.id, 'DELETE',
        json_object(
            'id', OLD.id, 'resource_server_id', OLD.resource_server_id, 'name', OLD.name,
            'members', OLD.members),
        NULL,
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
    UPDATE resource_server SET revision = (SELECT max(sequence) FROM change) WHERE id = OLD.resource_server_id;
END;

CREATE TRIGGER provider_inserted AFTER INSERT ON provider BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'provider', 'Provider', NEW.id, NEW.id, 'INSERT',
        NULL,
        json_object(
            'id', NEW.id, 'type', NEW.type, 'purposes', NEW.purposes, 'display_name', NEW.display_name,
            'settings', NEW.settings, 'client_id', NEW.client_id, 'client_secret_ref', NEW.client_secret_ref,
            'scopes', NEW.scopes, 'subject_claim', NEW.subject_claim, 'claim_mappings', NEW.claim_mappings,
            'allowed_namespaces', NEW.allowed_namespaces, 'owner_namespace', NEW.owner_namespace,
            'owner_name', NEW.owner_name),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
    UPDATE provider SET revision = (SELECT max(sequence) FROM change) WHERE id = NEW.id;
END;

CREATE TRIGGER provider_updated AFTER UPDATE ON provider
WHEN (OLD.id, OLD.type, OLD.purposes, OLD.display_name, OLD.settings, OLD.client_id, OLD.client_secret_ref,
    OLD.scopes, OLD.subject_claim, OLD.claim_mappings, OLD.allowed_namespaces, OLD.owner_namespace,
    OLD.owner_name)
    IS NOT
    (NEW.id, NEW.type, NEW.purposes, NEW.display_name, NEW.settings, NEW.client_id, NEW.client_secret_ref,
    NEW.scopes, NEW.subject_claim, NEW.claim_mappings, NEW.allowed_namespaces, NEW.owner_namespace,
    NEW.owner_name)
BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'provider', 'Provider', OLD.id, OLD.id, 'UPDATE',
        json_object(
            'id', OLD.id, 'type', OLD.type, 'purposes', OLD.purposes, 'display_name', OLD.display_name,
            'settings', OLD.settings, 'client_id', OLD.client_id, 'client_secret_ref', OLD.client_secret_ref,
            'scopes', OLD.scopes, 'subject_claim', OLD.subject_claim, 'claim_mappings', OLD.claim_mappings,
            'allowed_namespaces', OLD.allowed_namespaces, 'owner_namespace', OLD.owner_namespace,
            'owner_name', OLD.owner_name),
        json_object(
            'id', NEW.id, 'type', NEW.type, 'purposes', NEW.purposes, 'display_name', NEW.display_name,
            'settings', NEW.settings, 'client_id', NEW.client_id, 'client_secret_ref', NEW.client_secret_ref,
            'scopes', NEW.scopes, 'subject_claim', NEW.subject_claim, 'claim_mappings', NEW.claim_mappings,
            'allowed_namespaces', NEW.allowed_namespaces, 'owner_namespace', NEW.owner_namespace,
            'owner_name', NEW.owner_name),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
    UPDATE provider SET revision = (SELECT max(sequence) FROM change) WHERE id = OLD.id;
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'provider', 'Provider', NEW.id, NEW.id, 'UPDATE',
        json_object(
            'id', OLD.id, 'type', OLD.type, 'purposes', OLD.purposes, 'display_name', OLD.display_name,
            'settings', OLD.settings, 'client_id', OLD.client_id, 'client_secret_ref', OLD.client_secret_ref,
            'scopes', OLD.scopes, 'subject_claim', OLD.subject_claim, 'claim_mappings', OLD.claim_mappings,
            'allowed_namespaces', OLD.allowed_namespaces, 'owner_namespace', OLD.owner_namespace,
            'owner_name', OLD.owner_name),
        json_object(
            'id', NEW.id, 'type', NEW.type, 'purposes', NEW.purposes, 'display_name', NEW.display_name,
            'settings', NEW.settings, 'client_id', NEW.client_id, 'client_secret_ref', NEW.client_secret_ref,
            'scopes', NEW.scopes, 'subject_claim', NEW.subject_claim, 'claim_mappings', NEW.claim_mappings,
            'allowed_namespaces', NEW.allowed_namespaces, 'owner_namespace', NEW.owner_namespace,
            'owner_name', NEW.owner_name),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation)
    WHERE OLD.id IS NOT NEW.id;
    UPDATE provider SET revision = (SELECT max(sequence) FROM change) WHERE id = NEW.id;
END;

CREATE TRIGGER provider_deleted AFTER DELETE ON provider BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'provider', 'Provider', OLD.id, OLD.id, 'DELETE',
        json_object(
            'id', OLD.id, 'type', OLD.type, 'purposes', OLD.purposes, 'display_name', OLD.display_name,
            'settings', OLD.settings, 'client_id', OLD.client_id, 'client_secret_ref', OLD.client_secret_ref,
            'scopes', OLD.scopes, 'subject_claim', OLD.subject_claim, 'claim_mappings', OLD.claim_mappings,
            'allowed_namespaces', OLD.allowed_namespaces, 'owner_namespace', OLD.owner_namespace,
            'owner_name', OLD.owner_name),
        NULL,
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
END;

CREATE TRIGGER credential_inserted AFTER INSERT ON credential BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'credential', CASE WHEN substr(NEW.principal, 1, 3) = 'rs_' THEN 'ResourceServer' ELSE 'OAuthClient' END, NEW.principal, NEW.id, 'INSERT',
        NULL,
        json_object(
            'id', NEW.id, 'principal', NEW.principal, 'state', NEW.state, 'issued_at', NEW.issued_at,
            'retire_at', NEW.retire_at),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
    UPDATE client SET revision = (SELECT max(sequence) FROM change) WHERE id = NEW.principal;
    UPDATE resource_server SET revision = (SELECT max(sequence) FROM change) WHERE id = NEW.principal;
END;

CREATE TRIGGER credential_updated AFTER UPDATE ON credential
WHEN (OLD.id, OLD.principal, OLD.hash, OLD.state, OLD.issued_at, OLD.retire_at)
    IS NOT
    (NEW.id, NEW.principal, NEW.hash, NEW.state, NEW.issued_at, NEW.retire_at)
BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'credential', CASE WHEN substr(OLD.principal, 1, 3) = 'rs_' THEN 'ResourceServer' ELSE 'OAuthClient' END, OLD.principal, OLD.id, 'UPDATE',
        json_object(
            'id', OLD.id, 'principal', OLD.principal, 'state', OLD.state, 'issued_at', OLD.issued_at,
            'retire_at', OLD.retire_at),
        json_object(
            'id', NEW.id, 'principal', NEW.principal, 'state', NEW.state, 'issued_at', NEW.issued_at,
            'retire_at', NEW.retire_at,
            'hash_changed', OLD.hash IS NOT NEW.hash),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
    UPDATE client SET revision = (SELECT max(sequence) FROM change) WHERE id = OLD.principal;
    UPDATE resource_server SET revision = (SELECT max(sequence) FROM change) WHERE id = OLD.principal;
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'credential', CASE WHEN substr(NEW.principal, 1, 3) = 'rs_' THEN 'ResourceServer' ELSE 'OAuthClient' END, NEW.principal, NEW.id, 'UPDATE',
        json_object(
            'id', OLD.id, 'principal', OLD.principal, 'state', OLD.state, 'issued_at', OLD.issued_at,
            'retire_at', OLD.retire_at),
        json_object(
            'id', NEW.id, 'principal', NEW.principal, 'state', NEW.state, 'issued_at', NEW.issued_at,
            'retire_at', NEW.retire_at,
            'hash_changed', OLD.hash IS NOT NEW.hash),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation)
    WHERE OLD.principal IS NOT NEW.principal;
    UPDATE client SET revision = (SELECT max(sequence) FROM change) WHERE id = NEW.principal;
    UPDATE resource_server SET revision = (SELECT max(sequence) FROM change) WHERE id = NEW.principal;
END;

CREATE TRIGGER credential_deleted AFTER DELETE ON credential BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'credential', CASE WHEN substr(OLD.principal, 1, 3) = 'rs_' THEN 'ResourceServer' ELSE 'OAuthClient' END, OLD.principal, OLD.id, 'DELETE',
        json_object(
            'id', OLD.id, 'principal', OLD.principal, 'state', OLD.state, 'issued_at', OLD.issued_at,
            'retire_at', OLD.retire_at),
        NULL,
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
    UPDATE client SET revision = (SELECT max(sequence) FROM change) WHERE id = OLD.principal;
    UPDATE resource_server SET revision = (SELECT max(sequence) FROM change) WHERE id = OLD.principal;
END;

CREATE TRIGGER managed_inserted AFTER INSERT ON managed BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'managed', NEW.owner_kind, NEW.entity_id, NEW.owner_kind || '/' || NEW.owner_namespace || '/' || NEW.owner_name, 'INSERT',
        NULL,
        json_object(
            'owner_kind', NEW.owner_kind, 'owner_namespace', NEW.owner_namespace,
            'owner_name', NEW.owner_name, 'namespace_uid', NEW.namespace_uid, 'object_uid', NEW.object_uid,
            'entity_id', NEW.entity_id, 'deletion', NEW.deletion, 'format', NEW.format, 'drift', NEW.drift,
            'correction', NEW.correction, 'settled', NEW.settled, 'revoked_before', NEW.revoked_before,
            'revoked_before_seen', NEW.revoked_before_seen, 'deleted_at', NEW.deleted_at),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
END;

CREATE TRIGGER managed_updated AFTER UPDATE ON managed
WHEN (OLD.owner_kind, OLD.owner_namespace, OLD.owner_name, OLD.namespace_uid, OLD.object_uid, OLD.entity_id,
    OLD.deletion, OLD.format, OLD.last_applied, OLD.credentials, OLD.drift, OLD.correction, OLD.settled,
    OLD.revoked_before, OLD.revoked_before_seen, OLD.deleted_at)
    IS NOT
    (NEW.owner_kind, NEW.owner_namespace, NEW.owner_name, NEW.namespace_uid, NEW.object_uid, NEW.entity_id,
    NEW.deletion, NEW.format, NEW.last_applied, NEW.credentials, NEW.drift, NEW.correction, NEW.settled,
    NEW.revoked_before, NEW.revoked_before_seen, NEW.deleted_at)
BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'managed', OLD.owner_kind, OLD.entity_id, OLD.owner_kind || '/' || OLD.owner_namespace || '/' || OLD.owner_name, 'UPDATE',
        json_object(
            'owner_kind', OLD.owner_kind, 'owner_namespace', OLD.owner_namespace,
            'owner_name', OLD.owner_name, 'namespace_uid', OLD.namespace_uid, 'object_uid', OLD.object_uid,
            'entity_id', OLD.entity_id, 'deletion', OLD.deletion, 'format', OLD.format, 'drift', OLD.drift,
            'correction', OLD.correction, 'settled', OLD.settled, 'revoked_before', OLD.revoked_before,
            'revoked_before_seen', OLD.revoked_before_seen, 'deleted_at', OLD.deleted_at),
        json_object(
            'owner_kind', NEW.owner_kind, 'owner_namespace', NEW.owner_namespace,
            'owner_name', NEW.owner_name, 'namespace_uid', NEW.namespace_uid, 'object_uid', NEW.object_uid,
            'entity_id', NEW.entity_id, 'deletion', NEW.deletion, 'format', NEW.format, 'drift', NEW.drift,
            'correction', NEW.correction, 'settled', NEW.settled, 'revoked_before', NEW.revoked_before,
            'revoked_before_seen', NEW.revoked_before_seen, 'deleted_at', NEW.deleted_at,
            'last_applied_changed', OLD.last_applied IS NOT NEW.last_applied,
            'credentials_changed', OLD.credentials IS NOT NEW.credentials),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'managed', NEW.owner_kind, NEW.entity_id, NEW.owner_kind || '/' || NEW.owner_namespace || '/' || NEW.owner_name, 'UPDATE',
        json_object(
            'owner_kind', OLD.owner_kind, 'owner_namespace', OLD.owner_namespace,
            'owner_name', OLD.owner_name, 'namespace_uid', OLD.namespace_uid, 'object_uid', OLD.object_uid,
            'entity_id', OLD.entity_id, 'deletion', OLD.deletion, 'format', OLD.format, 'drift', OLD.drift,
            'correction', OLD.correction, 'settled', OLD.settled, 'revoked_before', OLD.revoked_before,
            'revoked_before_seen', OLD.revoked_before_seen, 'deleted_at', OLD.deleted_at),
        json_object(
            'owner_kind', NEW.owner_kind, 'owner_namespace', NEW.owner_namespace,
            'owner_name', NEW.owner_name, 'namespace_uid', NEW.namespace_uid, 'object_uid', NEW.object_uid,
            'entity_id', NEW.entity_id, 'deletion', NEW.deletion, 'format', NEW.format, 'drift', NEW.drift,
            'correction', NEW.correction, 'settled', NEW.settled, 'revoked_before', NEW.revoked_before,
            'revoked_before_seen', NEW.revoked_before_seen, 'deleted_at', NEW.deleted_at,
            'last_applied_changed', OLD.last_applied IS NOT NEW.last_applied,
            'credentials_changed', OLD.credentials IS NOT NEW.credentials),
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation)
    WHERE OLD.entity_id IS NOT NEW.entity_id;
END;

CREATE TRIGGER managed_deleted AFTER DELETE ON managed BEGIN
    INSERT INTO change (at, table_name, entity_kind, entity_id, row_key, operation, old, new, actor, claim, incarnation)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000,
        'managed', OLD.owner_kind, OLD.entity_id, OLD.owner_kind || '/' || OLD.owner_namespace || '/' || OLD.owner_name, 'DELETE',
        json_object(
            'owner_kind', OLD.owner_kind, 'owner_namespace', OLD.owner_namespace,
            'owner_name', OLD.owner_name, 'namespace_uid', OLD.namespace_uid, 'object_uid', OLD.object_uid,
            'entity_id', OLD.entity_id, 'deletion', OLD.deletion, 'format', OLD.format, 'drift', OLD.drift,
            'correction', OLD.correction, 'settled', OLD.settled, 'revoked_before', OLD.revoked_before,
            'revoked_before_seen', OLD.revoked_before_seen, 'deleted_at', OLD.deleted_at),
        NULL,
        coalesce((SELECT actor FROM tx_actor), 'sql'), (SELECT actor FROM tx_actor), (SELECT incarnation FROM installation);
END;
