//! Change rows as they are read: what each did to its entity, and what the entity was before and after.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::domain::actor::Actor;

/// A row of a policy table, column by column. JSON is text in it, as the database has it.
pub type Row = Map<String, Value>;

/// One change row.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub sequence: i64,
    pub table: String,
    pub old: Option<Row>,
    pub new: Option<Row>,
    pub actor: Actor,
    pub at: Timestamp,
}

/// What a change row did to one entity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Edit<'a> {
    Added(&'a Row),
    Removed(&'a Row),
    Changed(&'a Row, &'a Row),
}

impl Change {
    /// What it did to the entity `id`: a row that was moved from one entity to another left the one and came to the
    /// other. `None` = nothing that can be read.
    pub fn edit(&self, id: &str) -> Option<Edit<'_>> {
        let column = entity_column(&self.table)?;
        let own = |row: &&Row| row.get(column).and_then(Value::as_str) == Some(id);
        match (self.old.as_ref().filter(own), self.new.as_ref().filter(own)) {
            (None, Some(new)) => Some(Edit::Added(new)),
            (Some(old), None) => Some(Edit::Removed(old)),
            (Some(old), Some(new)) => Some(Edit::Changed(old, new)),
            (None, None) => None,
        }
    }
}

/// The column with the entity's id; `None` of a table that holds no policy.
fn entity_column(table: &str) -> Option<&'static str> {
    Some(match table {
        "resource_server" | "client" | "provider" => "id",
        "scope" | "tool" | "role" | "role_binding" => "resource_server_id",
        "client_resource" => "client_id",
        "credential" => "principal",
        _ => return None,
    })
}

/// The rows of one entity, by table and key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows(BTreeMap<(String, String), Row>);

impl Rows {
    pub fn insert(&mut self, table: &str, row: Row) {
        let key = text(&row, "id").to_owned();
        self.0.insert((table.to_owned(), key), row);
    }

    pub fn of(&self, table: &str) -> impl Iterator<Item = &Row> {
        self.0.iter().filter(move |((of, _), _)| of == table).map(|(_, row)| row)
    }

    /// As it was before these changes, which are in order.
    pub fn before<'a>(&self, id: &str, changes: impl DoubleEndedIterator<Item = &'a Change>) -> Self {
        let mut rows = self.clone();
        for change in changes.rev() {
            match change.edit(id) {
                Some(Edit::Added(new)) => rows.remove(&change.table, new),
                Some(Edit::Removed(old)) => rows.insert(&change.table, old.clone()),
                Some(Edit::Changed(old, new)) => {
                    rows.remove(&change.table, new);
                    rows.insert(&change.table, old.clone());
                }
                None => {}
            }
        }
        rows
    }

    /// As it is after these changes.
    pub fn after<'a>(&self, id: &str, changes: impl Iterator<Item = &'a Change>) -> Self {
        let mut rows = self.clone();
        for change in changes {
            match change.edit(id) {
                Some(Edit::Added(new)) => rows.insert(&change.table, new.clone()),
                Some(Edit::Removed(old)) => rows.remove(&change.table, old),
                Some(Edit::Changed(old, new)) => {
                    rows.remove(&change.table, old);
                    rows.insert(&change.table, new.clone());
                }
                None => {}
            }
        }
        rows
    }

    fn remove(&mut self, table: &str, row: &Row) {
        self.0.remove(&(table.to_owned(), text(row, "id").to_owned()));
    }
}

/// A column that holds a text; what is none is empty.
pub fn text<'a>(row: &'a Row, column: &str) -> &'a str {
    row.get(column).and_then(Value::as_str).unwrap_or_default()
}

/// A column that holds a list of names as JSON.
pub fn names(row: &Row, column: &str) -> Vec<String> {
    serde_json::from_str(text(row, column)).unwrap_or_default()
}

/// Columns whose text is JSON.
const JSON: &[&str] = &[
    "scopes",
    "members",
    "token_source",
    "allowed_namespaces",
    "exchange",
    "runtime_clients",
    "runtime_service_accounts",
    "connect",
    "fronting",
    "grant_types",
    "redirect_uris",
    "jwks",
    "workload_identity",
    "agent",
    "purposes",
    "settings",
    "client_secret_ref",
    "claim_mappings",
];

/// What a column says, to be shown. JSON that cannot be read is shown as the text that it is.
pub fn shown(row: &Row, column: &str) -> Value {
    match row.get(column) {
        Some(Value::String(text)) if JSON.contains(&column) => {
            serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str()))
        }
        found => found.cloned().unwrap_or_default(),
    }
}

/// Both sides of those of these columns that differ; `None` = none does.
pub fn differing(old: &Row, new: &Row, columns: &[&str]) -> Option<(Row, Row)> {
    let differ = columns.iter().filter(|column| old.get(**column) != new.get(**column));
    let sides: (Row, Row) = differ
        .map(|column| (((*column).to_owned(), shown(old, column)), ((*column).to_owned(), shown(new, column))))
        .unzip();
    (!sides.0.is_empty()).then_some(sides)
}

/// The columns that are not among these and differ.
pub fn other<'a>(old: &'a Row, new: &'a Row, but: &[&str]) -> Vec<&'a str> {
    let mut columns: Vec<&str> =
        old.keys().chain(new.keys().filter(|key| !old.contains_key(*key))).map(String::as_str).collect();
    columns.retain(|column| !but.contains(column));
    columns
}

/// Microseconds as a time, to be shown.
pub fn time(row: &Row, column: &str) -> Value {
    let at = row.get(column).and_then(Value::as_i64).and_then(|micros| Timestamp::from_microsecond(micros).ok());
    at.map_or(Value::Null, |at| Value::from(at.to_string()))
}
