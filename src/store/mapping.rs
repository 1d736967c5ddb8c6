//! Which member of a policy stands in which column: one table an entity or list of items, read and written by it.

use serde_json::{Map, Value};

use crate::domain::owner::Kind;
use crate::domain::spec::Spec;

use super::Error;

/// How a member is kept in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A string; NULL is null.
    Text,
    Integer,
    /// Anything, as JSON text; NULL is null.
    Json,
    /// All members of the item but its name, as JSON text.
    Rest,
}

/// A column and the path of its member.
pub(super) struct Column {
    pub name: &'static str,
    pub member: &'static [&'static str],
    pub form: Form,
}

/// The entity's own table, or that of a list of named items.
pub(super) struct Table {
    pub name: &'static str,
    /// The column with the entity's id.
    pub entity: &'static str,
    /// The list in the policy; empty for the entity's own table.
    pub list: &'static str,
    pub columns: &'static [Column],
}

const fn text(name: &'static str, member: &'static [&'static str]) -> Column {
    Column { name, member, form: Form::Text }
}

const fn integer(name: &'static str, member: &'static [&'static str]) -> Column {
    Column { name, member, form: Form::Integer }
}

const fn json(name: &'static str, member: &'static [&'static str]) -> Column {
    Column { name, member, form: Form::Json }
}

const fn rest(name: &'static str) -> Column {
    Column { name, member: &[], form: Form::Rest }
}

const CLIENT: &[Table] = &[
    Table {
        name: "client",
        entity: "id",
        list: "",
        columns: &[
            text("display_name", &["displayName"]),
            text("state", &["state"]),
            json("grant_types", &["grantTypes"]),
            json("redirect_uris", &["redirectURIs"]),
            text("authentication_method", &["authenticationMethod"]),
            json("jwks", &["jwks"]),
            text("jwks_uri", &["jwksURI"]),
            json("workload_identity", &["workloadIdentity"]),
            json("agent", &["agent"]),
            text("consent", &["consent"]),
            integer("refresh_lifetime_seconds", &["tokens", "refreshLifetimeSeconds"]),
            integer("refresh_idle_seconds", &["tokens", "refreshIdleSeconds"]),
            text("sender_constraint", &["tokens", "senderConstraint"]),
        ],
    },
    Table {
        name: "client_resource",
        entity: "client_id",
        list: "resources",
        columns: &[
            text("name", &["name"]),
            text("resource_server_id", &["resourceServerID"]),
            json("scopes", &["scopes"]),
        ],
    },
];

const RESOURCE_SERVER: &[Table] = &[
    Table {
        name: "resource_server",
        entity: "id",
        list: "",
        columns: &[
            text("resource_uri", &["resourceURI"]),
            text("display_name", &["displayName"]),
            text("lifecycle", &["lifecycle"]),
            json("token_source", &["tokenSource"]),
            text("default_role", &["defaultRole"]),
            text("token_format", &["accessToken", "format"]),
            text("signing_algorithm", &["accessToken", "signingAlgorithm"]),
            integer("lifetime_seconds", &["accessToken", "lifetimeSeconds"]),
            text("sender_constraint", &["accessToken", "senderConstraint"]),
            json("allowed_namespaces", &["allowedNamespaces"]),
            text("dynamic_clients", &["dynamicClients"]),
            text("consent", &["consent"]),
            json("exchange", &["exchange"]),
            json("runtime_clients", &["runtimeClients"]),
            json("runtime_service_accounts", &["runtimeServiceAccounts"]),
            json("connect", &["connect"]),
            json("fronting", &["fronting"]),
        ],
    },
    Table {
        name: "scope",
        entity: "resource_server_id",
        list: "scopes",
        columns: &[
            text("name", &["name"]),
            text("description", &["description"]),
            text("risk", &["risk"]),
            text("upstream", &["upstream"]),
        ],
    },
    Table {
        name: "tool",
        entity: "resource_server_id",
        list: "tools",
        columns: &[
            text("name", &["name"]),
            text("access", &["access"]),
            json("scopes", &["scopes"]),
            text("matching", &["match"]),
        ],
    },
    Table {
        name: "role",
        entity: "resource_server_id",
        list: "roles",
        columns: &[text("name", &["name"]), json("scopes", &["scopes"])],
    },
    Table {
        name: "role_binding",
        entity: "resource_server_id",
        list: "roleBindings",
        columns: &[text("name", &["name"]), rest("members")],
    },
];

const PROVIDER: &[Table] = &[Table {
    name: "provider",
    entity: "id",
    list: "",
    columns: &[
        text("type", &["type"]),
        json("purposes", &["purposes"]),
        text("display_name", &["displayName"]),
        json("settings", &["settings"]),
        text("client_id", &["clientID"]),
        json("client_secret_ref", &["clientSecretRef"]),
        json("scopes", &["scopes"]),
        text("subject_claim", &["subjectClaim"]),
        json("claim_mappings", &["claimMappings"]),
        json("allowed_namespaces", &["allowedNamespaces"]),
    ],
}];

/// The tables of a kind; the entity's own comes first.
pub(super) const fn tables(kind: Kind) -> &'static [Table] {
    match kind {
        Kind::ResourceServer => RESOURCE_SERVER,
        Kind::OAuthClient => CLIENT,
        Kind::Provider => PROVIDER,
    }
}

/// What one column holds, whatever the engine.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Text(String),
    Integer(i64),
    Json(Value),
    /// Not of the column's form; equal to nothing that is written.
    Unreadable,
}

/// The cells of one row, in the order of its table's columns.
pub(super) type Cells = Vec<Cell>;

/// A policy as rows: the entity's own, and the items of each list in the order of [`tables`].
pub(super) fn split(spec: &Spec) -> Result<(Cells, Vec<Vec<Cells>>), Error> {
    let value = match spec {
        Spec::ResourceServer(policy) => serde_json::to_value(policy),
        Spec::Client(policy) => serde_json::to_value(policy),
        Spec::Provider(policy) => serde_json::to_value(policy),
    }
    .map_err(|error| Error::Query(error.into()))?;
    let tables = tables(spec.kind());
    let items = |table: &Table| match &value[table.list] {
        Value::Array(items) => items.iter().map(|item| cells(table, item)).collect(),
        _ => Vec::new(),
    };
    Ok((cells(&tables[0], &value), tables[1..].iter().map(items).collect()))
}

fn cells(table: &Table, value: &Value) -> Cells {
    table.columns.iter().map(|column| cell(column, value)).collect()
}

fn cell(column: &Column, value: &Value) -> Cell {
    let found = column.member.iter().fold(value, |value, member| &value[*member]);
    match (column.form, found) {
        (Form::Rest, Value::Object(members)) => {
            let others = members.iter().filter(|(name, _)| *name != "name").map(|(k, v)| (k.clone(), v.clone()));
            Cell::Json(Value::Object(others.collect()))
        }
        (_, Value::Null) => Cell::Null,
        (Form::Integer, Value::Number(number)) => number.as_i64().map_or(Cell::Null, Cell::Integer),
        (Form::Text, Value::String(text)) => Cell::Text(text.clone()),
        (_, other) => Cell::Json(other.clone()),
    }
}

/// The policy that [`split`] made these rows of; `None` when they are not such rows.
pub(super) fn join(kind: Kind, own: Cells, lists: Vec<Vec<Cells>>) -> Option<Spec> {
    let tables = tables(kind);
    let mut value = item(&tables[0], own)?;
    for (table, rows) in tables[1..].iter().zip(lists) {
        let items: Option<Vec<Value>> = rows.into_iter().map(|row| item(table, row).map(Value::Object)).collect();
        value.insert(table.list.to_owned(), Value::Array(items?));
    }
    let value = Value::Object(value);
    match kind {
        Kind::ResourceServer => serde_json::from_value(value).map(Spec::ResourceServer),
        Kind::OAuthClient => serde_json::from_value(value).map(Spec::Client),
        Kind::Provider => serde_json::from_value(value).map(Spec::Provider),
    }
    .ok()
}

fn item(table: &Table, row: Cells) -> Option<Map<String, Value>> {
    let mut object = Map::new();
    for (column, cell) in table.columns.iter().zip(row) {
        let value = match (column.form, cell) {
            (Form::Rest, Cell::Json(Value::Object(members))) => {
                object.extend(members);
                continue;
            }
            (Form::Text | Form::Json, Cell::Null) => Value::Null,
            (Form::Text, Cell::Text(text)) => Value::String(text),
            (Form::Integer, Cell::Integer(number)) => Value::from(number),
            (Form::Json, Cell::Json(value)) => value,
            _ => return None,
        };
        match column.member {
            [member] => object.insert((*member).to_owned(), value),
            [outer, inner] => match object.entry(*outer).or_insert_with(|| Value::Object(Map::new())) {
                Value::Object(nested) => nested.insert((*inner).to_owned(), value),
                _ => return None,
            },
            _ => return None,
        };
    }
    Some(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::spec::tests::{client, provider, resource_server};

    #[test]
    fn a_policy_is_its_rows() {
        for spec in [resource_server(), client(), provider()] {
            let (own, lists) = split(&spec).unwrap();
            assert_eq!(join(spec.kind(), own, lists), Some(spec));
        }
    }

    #[test]
    fn a_row_of_another_shape_is_no_policy() {
        let (mut own, lists) = split(&client()).unwrap();
        own[1] = Cell::Text("Sleeping".into());
        assert_eq!(join(Kind::OAuthClient, own, lists), None);
    }
}
