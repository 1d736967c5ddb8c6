//! What a change touches: tools, roles and clients by comparing the two policies, tokens and people by counting.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::domain::Spec;
use crate::domain::client::{Client, ClientState};
use crate::domain::resource_server::{ResourceServer, Tool, ToolAccess};
use crate::provision::CallTouches;
use crate::store::{Counted, Loss, Snapshot};

/// Whom a change would meet.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Touches {
    pub tools: ToolTouches,
    /// Live access tokens that carry a right which is lost.
    pub tokens: i64,
    /// Refresh families that could renew such a token.
    pub families: i64,
    /// People who granted it, agreed to it, or have it by a role.
    pub users: i64,
    /// Groups whose role loses scopes.
    pub groups: Vec<String>,
    pub clients: Vec<ClientTouch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_role: Option<DefaultRole>,
    /// Recorded calls that would be denied; nothing when the change can deny none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<CallTouches>,
}

/// Tools by what they become.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ToolTouches {
    pub denied: Vec<String>,
    pub public: Vec<String>,
    /// Denied before, and open to who has the scopes.
    pub allowed: Vec<String>,
    pub rescoped: Vec<ToolChange>,
}

impl ToolTouches {
    pub fn is_empty(&self) -> bool {
        self.denied.is_empty() && self.public.is_empty() && self.allowed.is_empty() && self.rescoped.is_empty()
    }
}

/// A tool that needs other scopes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToolChange {
    pub name: String,
    /// As `any of a, b`.
    pub before: String,
    pub after: String,
}

/// A client that loses something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ClientTouch {
    pub id: String,
    /// `scopes`, `exchange`, `runtime`, `role` or `service`.
    pub loses: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// What new users are given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DefaultRole {
    pub before: Option<String>,
    pub after: Option<String>,
    /// People who were given the one before, and keep it.
    pub holders: i64,
}

/// The rights that are lost between two policies of one row; `after` is nothing when the row goes.
pub fn losses(id: &str, before: &Spec, after: Option<&Spec>, revoked: Option<Timestamp>) -> Vec<Loss> {
    match (before, after) {
        (Spec::ResourceServer(before), Some(Spec::ResourceServer(after))) => of_server(id, before, after),
        (Spec::ResourceServer(before), _) => {
            let whole = Loss::ResourceServer { id: id.to_owned(), scope: String::new() };
            let role = |role: &String| Loss::Role { resource_server_id: id.to_owned(), role: role.clone() };
            let roles: BTreeSet<String> = before.roles.iter().map(|role| role.name.clone()).collect();
            std::iter::once(whole).chain(roles.iter().map(role)).collect()
        }
        (Spec::Client(before), Some(Spec::Client(after))) => of_client(id, before, after, revoked),
        (Spec::Client(_), _) => vec![of(id, "", "", Timestamp::MAX)],
        (Spec::Provider(_), _) => Vec::new(),
    }
}

fn of(client_id: &str, resource_server_id: &str, scope: &str, before: Timestamp) -> Loss {
    Loss::Client {
        client_id: client_id.to_owned(),
        resource_server_id: resource_server_id.to_owned(),
        scope: scope.to_owned(),
        before,
    }
}

fn of_client(id: &str, before: &Client, after: &Client, revoked: Option<Timestamp>) -> Vec<Loss> {
    if before.state == ClientState::Active && after.state == ClientState::Suspended {
        return vec![of(id, "", "", Timestamp::MAX)];
    }
    let mut losses: Vec<Loss> = revoked.map(|level| of(id, "", "", level)).into_iter().collect();
    for attachment in &before.resources {
        let server = &attachment.resource_server_id;
        match after.attachment(server) {
            None => losses.push(of(id, server, "", Timestamp::MAX)),
            Some(kept) => {
                let lost = attachment.scopes.iter().filter(|scope| !kept.scopes.contains(scope));
                losses.extend(lost.map(|scope| of(id, server, scope, Timestamp::MAX)));
            }
        }
    }
    losses
}

fn of_server(id: &str, before: &ResourceServer, after: &ResourceServer) -> Vec<Loss> {
    let lost = lost_scopes(before, Some(after));
    let scopes = lost.iter().map(|scope| Loss::ResourceServer { id: id.to_owned(), scope: (*scope).to_owned() });
    let (had, has) = (role_scopes(before), role_scopes(after));
    let less = |role: &&str| !had[role].is_subset(has.get(role).unwrap_or(&BTreeSet::new()));
    let roles = had.keys().copied().filter(less);
    let roles = roles.map(|role| Loss::Role { resource_server_id: id.to_owned(), role: role.to_owned() });
    let people = losers(before, after).into_iter().filter(|(kind, _)| kind == "User");
    scopes.chain(roles).chain(people.map(|(_, id)| Loss::User { id })).collect()
}

fn lost_scopes<'a>(before: &'a ResourceServer, after: Option<&ResourceServer>) -> BTreeSet<&'a str> {
    let kept = after.map(ResourceServer::scope_names).unwrap_or_default();
    before.scope_names().into_iter().filter(|scope| !kept.contains(scope)).collect()
}

/// What each role gives: its scopes that there are.
fn role_scopes(server: &ResourceServer) -> BTreeMap<&str, BTreeSet<&str>> {
    let there = server.scope_names();
    server
        .roles
        .iter()
        .map(|role| {
            let scopes = role.scopes.iter().map(String::as_str).filter(|scope| there.contains(scope)).collect();
            (role.name.as_str(), scopes)
        })
        .collect()
}

/// Subjects of bindings, by kind and name, whose roles give less than before.
fn losers(before: &ResourceServer, after: &ResourceServer) -> BTreeSet<(String, String)> {
    let (had, has) = (bound(before), bound(after));
    let none = BTreeSet::new();
    had.into_iter()
        .filter(|(subject, scopes)| !scopes.is_subset(has.get(subject).unwrap_or(&none)))
        .map(|(subject, _)| subject)
        .collect()
}

/// What each subject of a binding has by it.
fn bound(server: &ResourceServer) -> BTreeMap<(String, String), BTreeSet<String>> {
    let roles = role_scopes(server);
    let mut all: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for binding in &server.role_bindings {
        let role = binding.members.get("role").and_then(Value::as_str).unwrap_or_default();
        let scopes = roles.get(role).into_iter().flatten().map(|scope| (*scope).to_owned());
        let scopes: BTreeSet<String> = scopes.collect();
        for subject in binding.members.get("subjects").and_then(Value::as_array).into_iter().flatten() {
            let text = |member: &str| subject[member].as_str().unwrap_or_default().to_owned();
            all.entry((text("kind"), text("name"))).or_default().extend(scopes.iter().cloned());
        }
    }
    all
}

/// What the change touches, with what was counted.
pub fn touches(id: &str, (before, after): (&Spec, Option<&Spec>), snapshot: &Snapshot, counted: Counted) -> Touches {
    let Counted { tokens, families, users } = counted;
    let touches = Touches { tokens, families, users, ..Touches::default() };
    match (before, after) {
        (Spec::ResourceServer(before), Some(Spec::ResourceServer(after))) => Touches {
            tools: tools(before, Some(after)),
            groups: losers(before, after).into_iter().filter(|(kind, _)| kind == "Group").map(|(_, n)| n).collect(),
            clients: clients(id, before, Some(after), snapshot),
            default_role: (before.default_role != after.default_role).then(|| DefaultRole {
                before: before.default_role.clone(),
                after: after.default_role.clone(),
                holders: 0,
            }),
            ..touches
        },
        (Spec::ResourceServer(before), _) => Touches {
            tools: tools(before, None),
            groups: bound(before).into_keys().filter(|(kind, _)| kind == "Group").map(|(_, name)| name).collect(),
            clients: clients(id, before, None, snapshot),
            ..touches
        },
        (Spec::Client(before), after) => Touches { clients: client(id, before, after), ..touches },
        (Spec::Provider(_), _) => touches,
    }
}

/// The client itself, when it loses something.
fn client(id: &str, before: &Client, after: Option<&Spec>) -> Vec<ClientTouch> {
    let touch = |loses, scopes| ClientTouch { id: id.to_owned(), loses, scopes };
    let Some(Spec::Client(after)) = after else { return vec![touch("service", Vec::new())] };
    if before.state == ClientState::Active && after.state == ClientState::Suspended {
        return vec![touch("service", Vec::new())];
    }
    let kept = |server: &str, scope: &String| after.attachment(server).is_some_and(|a| a.scopes.contains(scope));
    let lost: BTreeSet<String> = before
        .resources
        .iter()
        .flat_map(|a| a.scopes.iter().filter(|scope| !kept(&a.resource_server_id, scope)).cloned())
        .collect();
    if lost.is_empty() { Vec::new() } else { vec![touch("scopes", lost.into_iter().collect())] }
}

fn clients(id: &str, before: &ResourceServer, after: Option<&ResourceServer>, snapshot: &Snapshot) -> Vec<ClientTouch> {
    let lost = lost_scopes(before, after);
    let mut found: BTreeSet<ClientTouch> = BTreeSet::new();
    for entry in snapshot.clients() {
        let Some(attachment) = entry.client.attachment(id) else { continue };
        let scopes: Vec<String> = attachment.scopes.iter().filter(|s| lost.contains(s.as_str())).cloned().collect();
        if !scopes.is_empty() {
            found.insert(ClientTouch { id: entry.id.clone(), loses: "scopes", scopes });
        }
    }
    let mut gone = |had: BTreeSet<String>, has: BTreeSet<String>, loses| {
        let any = has.contains(ANY);
        let lost = had.into_iter().filter(|id| !any && !has.contains(id));
        found.extend(lost.map(|id| ClientTouch { id, loses, scopes: Vec::new() }));
    };
    gone(exchangers(before), after.map(exchangers).unwrap_or_default(), "exchange");
    gone(before.runtime_clients.clone(), after.map(|s| s.runtime_clients.clone()).unwrap_or_default(), "runtime");
    if let Some(after) = after {
        let bound = losers(before, after).into_iter().filter(|(kind, _)| kind == "Client").map(|(_, id)| id);
        gone(bound.collect(), BTreeSet::new(), "role");
    }
    found.into_iter().collect()
}

/// Every client, where a list would name each.
const ANY: &str = "*";

fn exchangers(server: &ResourceServer) -> BTreeSet<String> {
    if server.exchange["mode"] == "Any" {
        return BTreeSet::from([ANY.to_owned()]);
    }
    let listed = server.exchange["clients"].as_array().into_iter().flatten();
    listed.filter_map(|id| id.as_str().map(str::to_owned)).collect()
}

/// What is needed to call a tool.
#[derive(PartialEq)]
enum Need<'a> {
    Nothing,
    Scopes(&'a Tool),
    /// Nobody can call it.
    Denied,
}

fn need<'a>(server: Option<&'a ResourceServer>, name: &str) -> Need<'a> {
    let tool = server.and_then(|server| server.tools.iter().find(|tool| tool.name == name));
    match tool {
        Some(tool) if tool.access == ToolAccess::Public => Need::Nothing,
        Some(tool) if !tool.scopes.is_empty() => Need::Scopes(tool),
        _ => Need::Denied,
    }
}

fn tools(before: &ResourceServer, after: Option<&ResourceServer>) -> ToolTouches {
    let names = before.tools.iter().chain(after.iter().flat_map(|after| &after.tools)).map(|tool| &tool.name);
    let names: BTreeSet<&String> = names.collect();
    let mut touched = ToolTouches::default();
    for name in names {
        let name = name.clone();
        match (need(Some(before), &name), need(after, &name)) {
            (had, has) if had == has => {}
            (_, Need::Denied) => touched.denied.push(name),
            (_, Need::Nothing) => touched.public.push(name),
            (Need::Denied, Need::Scopes(_)) => touched.allowed.push(name),
            (had, has) => touched.rescoped.push(ToolChange { name, before: shown(&had), after: shown(&has) }),
        }
    }
    touched
}

fn shown(need: &Need<'_>) -> String {
    match need {
        Need::Nothing => "public".to_owned(),
        Need::Denied => "denied".to_owned(),
        Need::Scopes(tool) => format!("{} of {}", tool.matching.to_lowercase(), tool.scopes.join(", ")),
    }
}
