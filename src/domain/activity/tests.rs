//! The derivation, on change rows as the triggers write them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::derive::{Change, Row, Rows};
use super::*;

fn row(value: Value) -> Row {
    value.as_object().unwrap().clone()
}

/// A change row of a table, from what it was to what it is.
fn change(table: &str, old: Value, new: Value) -> Change {
    let side = |value: Value| (!value.is_null()).then(|| row(value));
    let (actor, at) = (Actor::recorded("sql:alice"), Timestamp::UNIX_EPOCH);
    Change { sequence: 0, table: table.into(), old: side(old), new: side(new), actor, at }
}

fn server() -> Value {
    json!({
        "id": "rs_1", "resource_uri": "https://b.example/mcp", "display_name": "Billing", "lifecycle": "Live",
        "token_source": "{\"type\":\"Mint\"}", "default_role": "reader", "token_format": "JWT",
        "signing_algorithm": "ES256", "lifetime_seconds": 900, "sender_constraint": "None",
        "allowed_namespaces": "{}", "dynamic_clients": "Denied", "consent": "Required", "exchange": "{}",
        "runtime_clients": "[]", "runtime_service_accounts": null, "connect": "{}", "fronting": "[]",
        "owner_namespace": "billing", "owner_name": "mcp",
    })
}

fn item(table: &str, name: &str, more: Value) -> Value {
    let mut item = json!({"id": format!("{table}_{name}"), "resource_server_id": "rs_1", "name": name});
    item.as_object_mut().unwrap().extend(row(more));
    item
}

fn scope(name: &str) -> Value {
    item("scope", name, json!({"description": "", "risk": "Low", "upstream": ""}))
}

fn tool(name: &str, access: &str, scopes: &[&str]) -> Value {
    item("tool", name, json!({"access": access, "scopes": json!(scopes).to_string(), "matching": "Any"}))
}

fn role(name: &str, scopes: &[&str]) -> Value {
    item("role", name, json!({"scopes": json!(scopes).to_string()}))
}

fn with(value: &Value, column: &str, new: Value) -> Value {
    let mut value = value.clone();
    value[column] = new;
    value
}

/// The resource server with two scopes, two tools and a role.
fn policy() -> Rows {
    let mut rows = Rows::default();
    rows.insert("resource_server", row(server()));
    for name in ["read", "write"] {
        rows.insert("scope", row(scope(name)));
    }
    rows.insert("tool", row(tool("list", "Scoped", &["read", "write"])));
    rows.insert("tool", row(tool("pay", "Scoped", &["write"])));
    rows.insert("role", row(role("reader", &["read"])));
    rows
}

/// What follows from changes that begin at [`policy`].
fn told(changes: &[Change]) -> Vec<Activity> {
    let after = policy().after("rs_1", changes.iter());
    resource_server::derive("rs_1", changes, &after).into_iter().map(|happened| happened.activity).collect()
}

fn types(told: &[Activity]) -> Vec<&'static str> {
    told.iter().map(|activity| activity.event.as_str()).collect()
}

/// D1: the cascade that others forget.
#[test]
fn a_deleted_scope_names_its_tools_and_unmaps_those_that_had_no_other() {
    let told = told(&[change("scope", scope("write"), Value::Null)]);
    assert_eq!(types(&told), ["scope_deleted", "tool_unmapped"]);
    let expected = json!({
        "prior_scope_id": "scope_write", "prior_scope_name": "write", "tools_affected": 2, "tools": ["list", "pay"],
    });
    assert_eq!((Value::from(told[0].payload.clone()), told[0].tools_affected), (expected, 2));
    let expected = json!({"tool_name": "pay", "prior_scope_id": "scope_write", "prior_scopes": ["write"]});
    assert_eq!(Value::from(told[1].payload.clone()), expected);
}

/// The same by a writer that takes the scope out of the tools, too: it is told once.
#[test]
fn it_makes_no_difference_who_takes_the_scope_out_of_the_tool() {
    let pay = tool("pay", "Scoped", &["write"]);
    let list = tool("list", "Scoped", &["read", "write"]);
    let changes = [
        change("tool", pay.clone(), with(&pay, "scopes", json!("[]"))),
        change("scope", scope("write"), Value::Null),
        change("tool", list.clone(), with(&list, "scopes", json!("[\"read\"]"))),
    ];
    let told = told(&changes);
    assert_eq!(types(&told), ["tool_unmapped", "scope_deleted", "tool_remapped"]);
    assert_eq!(told[0].payload["prior_scope_id"], "scope_write");
    assert_eq!(told[1].tools_affected, 2);
}

#[test]
fn a_scope_with_another_name_opens_no_tool() {
    let told = told(&[change("scope", scope("write"), with(&scope("write"), "name", json!("wrote")))]);
    assert_eq!(types(&told), ["scope_changed", "tool_unmapped"]);
    assert_eq!(told[0].payload["before"], json!({"name": "write"}));
}

#[test]
fn there_and_back_is_two_records() {
    let renamed = with(&server(), "display_name", json!("X"));
    let changes = [change("resource_server", server(), renamed.clone()), change("resource_server", renamed, server())];
    assert_eq!(types(&told(&changes)), ["display_name_changed", "display_name_changed"]);
}

#[test]
fn a_default_role_that_is_deleted_is_off() {
    let told = told(&[change("role", role("reader", &["read"]), Value::Null)]);
    assert_eq!(types(&told), ["role_removed", "default_role_disabled"]);
    assert_eq!(told[1].payload["prior_default_role"], "reader");
}

#[test]
fn what_goes_with_the_resource_server_is_told_with_it() {
    let changes = [
        change("resource_server", server(), Value::Null),
        change("scope", scope("read"), Value::Null),
        change("scope", scope("write"), Value::Null),
        change("tool", tool("pay", "Scoped", &["write"]), Value::Null),
    ];
    let told = told(&changes);
    assert_eq!(types(&told), ["resource_deleted"]);
    assert_eq!(told[0].payload["prior_scopes"], json!(["read", "write"]));
    assert_eq!(told[0].tools_affected, 2);
}

/// D7: making, publishing and replacing a secret is one record each, whoever else is in the transaction.
#[test]
fn a_rotation_is_told_once_with_the_end_of_the_old_secret() {
    let secret = |id: &str, state: &str, retire_at: Value| json!({"id": id, "principal": "rs_1", "state": state, "issued_at": 0, "retire_at": retire_at});
    let (old, new) = (secret("a", "current", Value::Null), secret("b", "pending", Value::Null));
    let mut before = policy();
    before.insert("credential", row(old.clone()));
    before.insert("credential", row(new.clone()));
    let derive = |changes: &[Change]| {
        let after = before.after("rs_1", changes.iter());
        let told = resource_server::derive("rs_1", changes, &after);
        told.into_iter().map(|happened| happened.activity).collect::<Vec<_>>()
    };
    let retired = change("credential", old.clone(), secret("a", "retiring", json!(1_000_000)));
    let current = change("credential", new, secret("b", "current", Value::Null));
    let told = derive(&[retired.clone(), current]);
    assert_eq!(types(&told), ["secret_rotated"]);
    let expected = json!({
        "rotated_by": "sql:alice", "rotated_at": "1970-01-01T00:00:00Z", "credential_id": "b",
        "prior_credential_id": "a", "retire_at": "1970-01-01T00:00:01Z",
    });
    assert_eq!(Value::from(told[0].payload.clone()), expected);
    assert_eq!(types(&derive(&[retired])), ["secret_changed"], "nothing took its place");
    let mut forged = secret("a", "current", Value::Null);
    forged["hash_changed"] = json!(1);
    assert_eq!(derive(&[change("credential", old, forged)])[0].payload["hash_changed"], true);
}

#[test]
fn a_row_that_was_moved_left_one_and_came_to_the_other() {
    let moved = with(&scope("write"), "resource_server_id", json!("rs_2"));
    let change = [change("scope", scope("write"), moved)];
    assert_eq!(types(&told(&change)), ["scope_deleted", "tool_unmapped"]);
    let there = resource_server::derive("rs_2", &change, &Rows::default().after("rs_2", change.iter()));
    assert_eq!(there[0].activity.event, ActivityType::ScopeAdded);
}

#[test]
fn the_two_sides_of_a_client_that_moves_are_told_to_both_servers() {
    let attached = |server: &str| json!({"id": "a", "client_id": "portal", "name": "b", "resource_server_id": server, "scopes": "[\"read\"]"});
    let changes = [change("client_resource", attached("rs_1"), attached("rs_2"))];
    let after = Rows::default().after("portal", changes.iter());
    let told = client::derive("portal", &changes, &after);
    let told: Vec<_> = told.iter().map(|(server, happened)| (server.as_str(), happened.activity.event)).collect();
    assert_eq!(told, [("rs_1", ActivityType::ClientDetached), ("rs_2", ActivityType::ClientAttached)]);
}

/// Events are told of the four that touch people at once.
#[test]
fn an_event_names_what_when_and_whose_tools() {
    let cause = Cause::own(Actor::recorded("apikey:anna"), Timestamp::UNIX_EPOCH);
    let deleted = &told(&[change("scope", scope("write"), Value::Null)]);
    let (reason, field, note) = super::told(&deleted[0], &cause).unwrap();
    assert_eq!((reason, field), (Reason::ScopeDeleted, "spec.scopes"));
    assert!(note.contains("write") && note.contains("list, pay") && note.contains("apikey:anna"), "{note}");
    let (reason, _, note) = super::told(&deleted[1], &cause).unwrap();
    assert_eq!(reason, Reason::ToolUnmapped);
    assert!(note.contains("tool pay") && note.contains("write"), "{note}");
    let eventful =
        ActivityType::ALL.iter().filter(|event| super::told(&Activity::new(**event, json!({})), &cause).is_some());
    assert_eq!(eventful.count(), 4);
}

#[test]
fn names_are_unique_and_of_one_form() {
    let names: BTreeSet<&str> = ActivityType::ALL.iter().map(|event| event.as_str()).collect();
    assert_eq!(names.len(), ActivityType::ALL.len());
    for event in ActivityType::ALL {
        assert!(event.as_str().chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{event:?}");
        assert_eq!(ActivityType::parse(event.as_str()), Some(*event));
    }
}
