//! What changes of a client's rows mean for each resource server that it is attached to.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::credential::{Fate, fates};
use super::derive::{Change, Edit, Row, Rows, differing, other, shown, text};
use super::{Activity, ActivityType, Happened};

/// Columns of a client's own row that have a name of their own when they change.
const FIELDS: &[(&[&str], ActivityType)] = &[
    (&["redirect_uris"], ActivityType::RedirectUrisChanged),
    (&["grant_types"], ActivityType::GrantTypesChanged),
    (&["authentication_method", "jwks", "jwks_uri", "workload_identity"], ActivityType::AuthMethodChanged),
];

/// What the changes of one transaction did, by resource server; `after` is what the client was when they were done.
pub fn derive(id: &str, changes: &[Change], after: &Rows) -> Vec<(String, Happened)> {
    let before = after.before(id, changes.iter());
    let story = Story::new(id, (&before, after));
    let edits = || changes.iter().enumerate().filter_map(|(at, change)| Some((at, &*change.table, change.edit(id)?)));
    let own = edits().find(|(_, table, _)| *table == "client");
    let mut told = match own {
        Some((at, _, Edit::Removed(_))) if story.is.client.is_none() => return story.deleted(at),
        // its secrets come with it
        Some((at, _, Edit::Added(_))) if story.was.client.is_none() => {
            let mut told = story.recreated(at);
            told.extend(edits().flat_map(|(at, table, edit)| story.tell(at, table, edit)));
            return told;
        }
        _ => Vec::new(),
    };
    told.extend(edits().flat_map(|(at, table, edit)| story.tell(at, table, edit)));
    for (from, fate, payload) in fates(id, changes, (&before, after)) {
        let event = match fate {
            Fate::Added => ActivityType::ClientSecretAdded,
            Fate::Rotated => ActivityType::ClientSecretRotated,
            Fate::Changed => ActivityType::ClientSecretChanged,
            Fate::Ended => ActivityType::ClientSecretEnded,
        };
        told.extend(story.to_all(from, event, &payload));
    }
    told.sort_by_key(|(_, happened)| happened.from);
    told
}

/// The resource servers that a client is attached to, each with the row that says so.
fn attachments(rows: &Rows) -> BTreeMap<&str, &Row> {
    rows.of("client_resource").map(|row| (text(row, "resource_server_id"), row)).collect()
}

/// The client on one side of the changes.
struct Side<'a> {
    client: Option<&'a Row>,
    attached: BTreeMap<&'a str, &'a Row>,
}

impl<'a> Side<'a> {
    fn of(rows: &'a Rows) -> Self {
        Self { client: rows.of("client").next(), attached: attachments(rows) }
    }
}

struct Story<'a> {
    id: &'a str,
    name: String,
    was: Side<'a>,
    is: Side<'a>,
}

impl<'a> Story<'a> {
    fn new(id: &'a str, (before, after): (&'a Rows, &'a Rows)) -> Self {
        let (was, is) = (Side::of(before), Side::of(after));
        let name = is.client.or(was.client).map(|row| text(row, "display_name").to_owned()).unwrap_or_default();
        Self { id, name, was, is }
    }

    fn one(&self, server: &str, from: usize, event: ActivityType, payload: &Value) -> (String, Happened) {
        let mut activity = Activity::new(event, payload.clone());
        activity.payload.insert("client_id".to_owned(), self.id.into());
        activity.payload.insert("client_name".to_owned(), self.name.clone().into());
        (server.to_owned(), Happened { activity, from })
    }

    /// Told to each resource server that it is attached to, or was.
    fn to_all(&self, from: usize, event: ActivityType, payload: &Value) -> Vec<(String, Happened)> {
        let gone = self.was.attached.keys().filter(|server| !self.is.attached.contains_key(*server));
        let servers = self.is.attached.keys().chain(gone);
        servers.map(|server| self.one(server, from, event, payload)).collect()
    }

    fn deleted(&self, from: usize) -> Vec<(String, Happened)> {
        let told = self.was.attached.iter().map(|(server, row)| {
            self.one(server, from, ActivityType::ClientDeleted, &json!({"prior_scopes": shown(row, "scopes")}))
        });
        told.collect()
    }

    /// What was attached while there was no such client.
    fn recreated(&self, from: usize) -> Vec<(String, Happened)> {
        let left = self.is.attached.iter().filter(|(server, _)| self.was.attached.contains_key(*server));
        let told = left.map(|(server, row)| {
            self.one(server, from, ActivityType::ClientRecreated, &json!({"scopes": shown(row, "scopes")}))
        });
        told.collect()
    }

    fn tell(&self, from: usize, table: &str, edit: Edit<'_>) -> Vec<(String, Happened)> {
        match (table, edit) {
            ("client", Edit::Changed(old, new)) => self.changed(from, old, new),
            ("client_resource", edit) => self.attachment(from, edit),
            _ => Vec::new(),
        }
    }

    fn changed(&self, from: usize, old: &Row, new: &Row) -> Vec<(String, Happened)> {
        let mut told = Vec::new();
        let mut known = vec!["state"];
        match (text(old, "state"), text(new, "state")) {
            (before, after) if before == after => {}
            (_, "Suspended") => told.extend(self.to_all(from, ActivityType::ClientSuspended, &json!({}))),
            (_, "Active") => told.extend(self.to_all(from, ActivityType::ClientReactivated, &json!({}))),
            _ => known.clear(),
        }
        for (columns, event) in FIELDS {
            known.extend(*columns);
            if let Some((before, after)) = differing(old, new, columns) {
                told.extend(self.to_all(from, *event, &json!({"before": before, "after": after})));
            }
        }
        if let Some((before, after)) = differing(old, new, &other(old, new, &known)) {
            let payload = json!({"before": before, "after": after});
            told.extend(self.to_all(from, ActivityType::ClientChanged, &payload));
        }
        told
    }

    fn attachment(&self, from: usize, edit: Edit<'_>) -> Vec<(String, Happened)> {
        let server = |row: &Row| text(row, "resource_server_id").to_owned();
        let attached = |row: &Row| {
            self.one(&server(row), from, ActivityType::ClientAttached, &json!({"scopes": shown(row, "scopes")}))
        };
        let detached = |row: &Row| {
            let payload = json!({"prior_scopes": shown(row, "scopes")});
            self.one(&server(row), from, ActivityType::ClientDetached, &payload)
        };
        match edit {
            Edit::Added(new) => vec![attached(new)],
            Edit::Removed(old) => vec![detached(old)],
            Edit::Changed(old, new) if server(old) != server(new) => vec![detached(old), attached(new)],
            Edit::Changed(old, new) if old.get("scopes") != new.get("scopes") => {
                let payload = json!({"prior_scopes": shown(old, "scopes"), "scopes": shown(new, "scopes")});
                vec![self.one(&server(new), from, ActivityType::ClientScopesChanged, &payload)]
            }
            Edit::Changed(old, new) => {
                let Some((before, after)) = differing(old, new, &["name"]) else { return Vec::new() };
                let payload = json!({"before": before, "after": after});
                vec![self.one(&server(new), from, ActivityType::ClientChanged, &payload)]
            }
        }
    }
}
