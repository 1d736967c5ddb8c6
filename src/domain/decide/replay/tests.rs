use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::domain::spec::Spec;
use crate::domain::spec::tests::{client, resource_server};

/// `pay` needs `write`, `list` needs `read`, `ping` nothing; readers may read, writers both.
fn server(change: Value) -> ResourceServerEntry {
    let Spec::ResourceServer(plain) = resource_server() else { unreachable!() };
    let mut value = serde_json::to_value(plain).unwrap();
    let policy = json!({"lifecycle": "Live",
        "scopes": [{"name": "read", "description": "", "risk": "Low", "upstream": ""},
                   {"name": "write", "description": "", "risk": "High", "upstream": ""}],
        "tools": [{"name": "list", "access": "Scoped", "scopes": ["read"], "match": "Any"},
                  {"name": "pay", "access": "Scoped", "scopes": ["write"], "match": "Any"},
                  {"name": "ping", "access": "Public", "scopes": [], "match": "Any"}],
        "roles": [{"name": "reader", "scopes": ["read"]}, {"name": "writer", "scopes": ["read", "write"]}],
        "roleBindings": [], "defaultRole": null, "dynamicClients": "Denied"});
    for members in [policy, change] {
        value.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    }
    let resource_server = serde_json::from_value(value).unwrap();
    ResourceServerEntry { id: "rs_1".into(), resource_server, credentials: vec![], revision: 1, owner: None }
}

fn portal(change: Value) -> ClientEntry {
    let Spec::Client(plain) = client() else { unreachable!() };
    let mut value = serde_json::to_value(plain).unwrap();
    let policy = json!({"state": "Active", "grantTypes": ["authorization_code", "client_credentials"],
        "resources": [{"name": "billing", "resourceServerID": "rs_1", "scopes": ["read", "write"]}]});
    for members in [policy, change] {
        value.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    }
    let client = serde_json::from_value(value).unwrap();
    ClientEntry { id: "portal".into(), client, credentials: vec![], revision: 1, owner: None }
}

fn calls(tool: &str, subject: &str) -> RecordedCalls {
    RecordedCalls {
        resource_server_id: "rs_1".into(),
        tool: tool.into(),
        scopes: ["read", "write"].map(str::to_owned).into(),
        client_id: Some("portal".into()),
        subject: Some(subject.into()),
        calls: 1,
        last: Timestamp::UNIX_EPOCH,
    }
}

#[derive(Default)]
struct Change {
    server: Option<Value>,
    gone: bool,
    client: Option<Value>,
}

impl Change {
    fn loss(self, tool: &str, subject: &str, assigned: &[&str]) -> Option<(&'static str, &'static str)> {
        let assigned: Vec<String> = assigned.iter().map(|role| (*role).to_owned()).collect();
        let (server_before, client_before) = (server(json!({})), portal(json!({})));
        let (server_after, client_after) =
            (server(self.server.unwrap_or(json!({}))), portal(self.client.unwrap_or(json!({}))));
        let person = subject.starts_with("usr_").then_some(Person { id: subject, assigned: &assigned });
        let before = Side { server: Some(&server_before), caller: Caller::Known(&client_before), person };
        let server = (!self.gone).then_some(&server_after);
        let after = Side { server, caller: Caller::Known(&client_after), person };
        lost(&calls(tool, subject), before, after).map(|(when, loss)| (when.as_str(), loss.as_str()))
    }
}

#[rstest::rstest]
#[case::nothing(json!({}), "pay", None)]
#[case::draft(json!({"lifecycle": "Draft"}), "ping", Some(("at_once", "policy_incomplete")))]
#[case::unlisted(json!({"tools": []}), "pay", Some(("at_once", "tool_unlisted")))]
#[case::no_scopes(json!({"tools": [{"name": "pay", "access": "Scoped", "scopes": [], "match": "Any"}]}), "pay",
    Some(("at_once", "tool_without_scopes")))]
#[case::rescoped(json!({"tools": [{"name": "pay", "access": "Scoped", "scopes": ["admin"], "match": "Any"}]}), "pay",
    Some(("at_once", "insufficient_scope")))]
#[case::a_deleted_scope_stays_in_its_token(
    json!({"scopes": [{"name": "read", "description": "", "risk": "Low", "upstream": ""}]}), "pay",
    Some(("token_over", "insufficient_scope")))]
#[case::no_scope_no_token(json!({"scopes": []}), "ping", Some(("token_over", "no_token")))]
#[case::a_role_that_gives_less(
    json!({"roles": [{"name": "writer", "scopes": ["read"]}]}), "pay", Some(("token_over", "insufficient_scope")))]
#[case::a_role_that_is_gone(json!({"roles": []}), "ping", Some(("token_over", "no_token")))]
#[case::more(json!({"dynamicClients": "All"}), "pay", None)]
fn a_policy_takes_calls(#[case] change: Value, #[case] tool: &str, #[case] expected: Option<(&str, &str)>) {
    let change = Change { server: Some(change), ..Change::default() };
    assert_eq!(change.loss(tool, "usr_ada", &["writer"]), expected);
}

#[rstest::rstest]
#[case::suspended(json!({"state": "Suspended"}), "ping", Some(("token_over", "no_token")))]
#[case::detached(json!({"resources": []}), "ping", Some(("token_over", "no_token")))]
#[case::less(json!({"resources": [{"name": "b", "resourceServerID": "rs_1", "scopes": ["read"]}]}), "pay",
    Some(("token_over", "insufficient_scope")))]
#[case::less_than_is_needed_by_others(
    json!({"resources": [{"name": "b", "resourceServerID": "rs_1", "scopes": ["read"]}]}), "list", None)]
#[case::no_grant(json!({"grantTypes": ["authorization_code"]}), "list", Some(("token_over", "no_token")))]
fn a_client_loses_calls(#[case] change: Value, #[case] tool: &str, #[case] expected: Option<(&str, &str)>) {
    let change = Change { client: Some(change), ..Change::default() };
    assert_eq!(change.loss(tool, "portal", &[]), expected);
}

#[test]
fn what_would_be_denied_anyway_is_not_lost() {
    let unlisted = || Some(json!({"tools": []}));
    assert_eq!(Change { server: unlisted(), ..Change::default() }.loss("drop", "usr_ada", &["writer"]), None);
    // a role that was taken before: the token still works, and nothing takes it but what takes the tool
    let fewer = Some(json!({"scopes": []}));
    assert_eq!(Change { server: fewer, ..Change::default() }.loss("pay", "usr_ada", &["reader"]), None);
    let unlisted = Change { server: unlisted(), ..Change::default() }.loss("pay", "usr_ada", &["reader"]);
    assert_eq!(unlisted, Some(("at_once", "tool_unlisted")));
    let gone = Change { gone: true, ..Change::default() };
    assert_eq!(gone.loss("ping", "usr_ada", &["reader"]), Some(("at_once", "resource_gone")));
}

/// Of a caller that nobody knows only the policy is told, and what is in its catalogue.
#[test]
fn a_stranger_is_judged_by_the_policy_alone() {
    let (before, after) = (server(json!({})), server(json!({"scopes": [], "roles": []})));
    let side = |server| Side { server: Some(server), caller: Caller::Unknown, person: None };
    let found = lost(&calls("ping", "somebody"), side(&before), side(&after));
    assert_eq!(found, Some((When::TokenOver, Loss::NoToken)));
    assert_eq!(lost(&calls("ping", "somebody"), side(&before), side(&before)), None);
}
