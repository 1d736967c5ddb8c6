//! What Events and log lines say about a change: understandable on its own, bounded, free of secrets.

use serde_json::Value;

use crate::domain::diff::FieldChange;
use crate::domain::drift::{CHANGED, DriftedField, OWNERSHIP, ROW, SECRETS, UNREADABLE};
use crate::domain::{Actor, Desired, Reason, Report};

/// The longest value that is shown whole, in characters.
const VALUE: usize = 160;

/// A report about the object that `desired` came from.
pub fn report(desired: &Desired, reason: Reason, field: &str, note: String, at: jiff::Timestamp) -> Report {
    let owner = &desired.owner;
    Report::new(owner.key.clone(), &owner.object_uid, reason, note, at).at_field(field).bounded()
}

/// `spec.state` for a member of the spec; a row or a secret has no path in the manifest.
pub fn field_path(path: &str) -> String {
    match path {
        ROW | SECRETS | OWNERSHIP => String::new(),
        member => format!("spec.{}", manifest_path(member)),
    }
}

/// Where a field that is stored flat stands in the manifest.
fn manifest_path(path: &str) -> &str {
    match path {
        "authenticationMethod" => "authentication.method",
        "jwks" => "authentication.jwks",
        "jwksURI" => "authentication.jwksURI",
        "workloadIdentity" => "authentication.workloadIdentity",
        "defaultRole" => "accessPolicy.defaultRole",
        "runtimeClients" => "runtime.clientRefs",
        "runtimeServiceAccounts" => "runtime.serviceAccountRefs",
        other => other,
    }
}

pub fn detected(field: &DriftedField, actor: &Actor) -> String {
    match field.path.as_str() {
        ROW if field.observed == UNREADABLE => format!("the row was made unreadable by {actor}"),
        ROW if field.observed == CHANGED => format!("the row was changed by {actor}, and back"),
        ROW => format!("the row was deleted by {actor}"),
        SECRETS => format!("the stored secret hashes were changed by {actor}"),
        OWNERSHIP if field.observed == CHANGED => format!("the memory of what was applied was changed by {actor}"),
        OWNERSHIP => format!("the memory of what was applied was deleted by {actor}"),
        path => format!("{} was changed by {actor}: {}", field_path(path), from_to(&field.expected, &field.observed)),
    }
}

pub fn corrected(field: &DriftedField, actor: &Actor) -> String {
    match field.path.as_str() {
        ROW => format!("the row that {actor} took away was written again"),
        SECRETS => format!("the secret hashes that {actor} changed were put back"),
        OWNERSHIP => "the row was compared with the resource and is managed again".to_owned(),
        path => {
            format!("{} was put back after {actor}: {}", field_path(path), from_to(&field.observed, &field.expected))
        }
    }
}

pub fn cleared(path: &str) -> String {
    format!("{} is as it was applied again", if path == ROW { "the row".to_owned() } else { field_path(path) })
}

pub fn updated(intent: &[FieldChange]) -> String {
    let paths: Vec<String> = intent.iter().map(|change| field_path(&change.path)).collect();
    format!("applied {}", paths.join(", "))
}

/// Both sides; of two objects only the members that differ.
fn from_to(from: &Value, to: &Value) -> String {
    if let (Value::Object(a), Value::Object(b)) = (from, to) {
        let names = a.keys().chain(b.keys().filter(|k| !a.contains_key(*k)));
        let differing = names
            .filter(|name| a.get(*name) != b.get(*name))
            .map(|name| format!("{name} {} → {}", shown(a.get(name)), shown(b.get(name))));
        return differing.collect::<Vec<_>>().join(", ");
    }
    format!("{} → {}", shown(Some(from)), shown(Some(to)))
}

fn shown(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => return "none".to_owned(),
        Some(value) => value.to_string(),
    };
    if text.chars().count() <= VALUE { text } else { text.chars().take(VALUE).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::Class;

    fn field(path: &str, expected: Value, observed: Value) -> DriftedField {
        DriftedField { path: path.into(), class: Class::Security, expected, observed }
    }

    #[test]
    fn a_note_names_the_field_the_actor_and_both_values() {
        let scope = field(
            "scopes[invoices.read]",
            json!({"name": "invoices.read", "risk": "High"}),
            json!({"name": "invoices.read", "risk": "Low"}),
        );
        let actor = Actor::recorded("sql:alice");
        assert_eq!(
            detected(&scope, &actor),
            "spec.scopes[invoices.read] was changed by sql:alice: risk \"High\" → \"Low\""
        );
        assert_eq!(detected(&field(ROW, json!(true), Value::Null), &actor), "the row was deleted by sql:alice");
        let method = field("authenticationMethod", json!("ClientSecretBasic"), json!("None"));
        assert!(detected(&method, &actor).starts_with("spec.authentication.method was changed"));
    }
}
