//! Which recorded calls of the last day a change would deny: those that were allowed, are so by the policy in force, and
//! would not be after it. Each object is judged by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::DryRun;
use crate::domain::client::Client;
use crate::domain::decide::replay::{Caller, Person, Side, lost};
use crate::domain::decision::RecordedCalls;
use crate::domain::policy::{ClientEntry, Policy, ResourceServerEntry};
use crate::domain::resource_server::ResourceServer;
use crate::domain::{Spec, user};
use crate::provision::Error;
use crate::store::{CallsOf, Recorded};

/// How far a plan looks back.
const BACK: SignedDuration = SignedDuration::from_hours(24);
/// So many calls of one object are looked at, the newest.
const MOST: i64 = 100_000;
/// And so many of all objects of a run; after that fewer of each.
const TOGETHER: i64 = 1_000_000;
const FEWEST: i64 = 1000;
/// Examples of one tool and reason.
const EXAMPLES: usize = 3;

/// Recorded calls that a change would meet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallTouches {
    /// Calls were looked at from this moment on.
    pub since: Timestamp,
    /// Calls that were looked at, all of which were allowed; 0 = nobody has reported any, so that nothing is known.
    pub recorded: i64,
    /// Of these, so many would be denied.
    pub denied: i64,
    /// There are more than are looked at; the older ones were left out.
    pub cut: bool,
    /// Those that would be denied, the most frequent first.
    pub tools: Vec<ToolCalls>,
}

/// Calls of one tool that would be denied for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolCalls {
    /// Its owner, or its id when it has none.
    pub resource_server: String,
    pub tool: String,
    pub reason: &'static str,
    /// `at_once`, or `token_over`: at the latest once the token is over that the caller has now.
    pub when: &'static str,
    pub calls: i64,
    /// How many different ones.
    pub clients: usize,
    pub users: usize,
    /// The last of them.
    pub examples: Vec<CallExample>,
}

/// The same call, however often it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallExample {
    pub client: Option<String>,
    pub subject: Option<String>,
    pub scopes: BTreeSet<String>,
    pub calls: i64,
    pub last: Timestamp,
}

/// One row as it is and as it would be.
enum Change {
    Server { before: Box<ResourceServerEntry>, after: Option<Box<ResourceServerEntry>> },
    Client { before: Box<ClientEntry>, after: Option<Box<ClientEntry>> },
}

impl DryRun {
    /// What becomes of the calls of a resource server, or of those of a client.
    pub(super) async fn calls(
        &mut self,
        id: &str,
        before: &Spec,
        after: Option<&Spec>,
    ) -> Result<Option<CallTouches>, Error> {
        let Some(change) = Change::read(id, before, after) else { return Ok(None) };
        let since = self.now.saturating_sub(BACK).unwrap_or(Timestamp::UNIX_EPOCH);
        let of = match change {
            Change::Server { .. } => CallsOf::ResourceServer(id),
            Change::Client { .. } => CallsOf::Client(id),
        };
        let most = (TOGETHER - self.looked).clamp(FEWEST, MOST);
        let Recorded { groups, calls: recorded, cut } = self.tx.recorded_calls(of, since, most).await?;
        self.looked += recorded;
        let mut by_server: BTreeMap<String, Vec<RecordedCalls>> = BTreeMap::new();
        for group in groups {
            by_server.entry(group.resource_server_id.clone()).or_default().push(group);
        }
        let mut tools = Vec::new();
        for (server, groups) in by_server {
            tools.extend(self.denied(&change, &server, &groups).await?);
        }
        tools.sort_by(|a, b| (b.calls, &a.resource_server, &a.tool).cmp(&(a.calls, &b.resource_server, &b.tool)));
        let denied = tools.iter().map(|tool| tool.calls).sum();
        Ok(Some(CallTouches { since, recorded, denied, cut, tools }))
    }

    /// Calls at one resource server that would be denied, by tool and reason.
    async fn denied(
        &mut self,
        change: &Change,
        server: &str,
        groups: &[RecordedCalls],
    ) -> Result<Vec<ToolCalls>, Error> {
        let people: BTreeSet<&str> = groups.iter().filter_map(person).collect();
        let roles = self.tx.roles_of(server, &people.into_iter().collect::<Vec<_>>()).await?;
        let snapshot = Arc::clone(&self.snapshot);
        let standing = snapshot.resource_server(server).map(|entry| &**entry);
        let mut denied: BTreeMap<_, Vec<&RecordedCalls>> = BTreeMap::new();
        for group in groups {
            let known = group.client_id.as_deref().and_then(|id| snapshot.client(id));
            let known = known.map_or(Caller::Unknown, |entry| Caller::Known(entry));
            let assigned = |id| roles.get(id).map_or(&[][..], Vec::as_slice);
            let person = person(group).map(|id| Person { id, assigned: assigned(id) });
            let side = |server, caller| Side { server, caller, person };
            let (before, after) = match change {
                Change::Server { before, after } => (side(Some(before), known), side(after.as_deref(), known)),
                Change::Client { before, after } => {
                    let after = after.as_deref().map_or(Caller::Gone, Caller::Known);
                    (side(standing, Caller::Known(before)), side(standing, after))
                }
            };
            if let Some((when, loss)) = lost(group, before, after) {
                denied.entry((group.tool.as_str(), when, loss)).or_default().push(group);
            }
        }
        let owner = standing.and_then(|entry| entry.owner.as_ref());
        let named = owner.map_or_else(|| server.to_owned(), ToString::to_string);
        let told = denied.into_iter().map(|((tool, when, loss), groups)| ToolCalls {
            resource_server: named.clone(),
            tool: tool.to_owned(),
            reason: loss.as_str(),
            when: when.as_str(),
            calls: groups.iter().map(|group| group.calls).sum(),
            clients: groups.iter().filter_map(|group| group.client_id.as_ref()).collect::<BTreeSet<_>>().len(),
            users: groups.iter().filter_map(|group| person(group)).collect::<BTreeSet<_>>().len(),
            examples: examples(groups),
        });
        Ok(told.collect())
    }
}

/// Whom a call was for, when that is a person.
fn person(calls: &RecordedCalls) -> Option<&str> {
    calls.subject.as_deref().filter(|subject| subject.starts_with(user::ID_PREFIX))
}

fn examples(mut groups: Vec<&RecordedCalls>) -> Vec<CallExample> {
    let key = |group: &RecordedCalls| (group.client_id.clone(), group.subject.clone(), group.scopes.clone());
    groups.sort_by(|a, b| b.last.cmp(&a.last).then_with(|| key(a).cmp(&key(b))));
    let shown = groups.into_iter().take(EXAMPLES).map(|group| CallExample {
        client: group.client_id.clone(),
        subject: group.subject.clone(),
        scopes: group.scopes.clone(),
        calls: group.calls,
        last: group.last,
    });
    shown.collect()
}

impl Change {
    /// `None` = it can deny no call.
    fn read(id: &str, before: &Spec, after: Option<&Spec>) -> Option<Self> {
        match (before, after) {
            (Spec::ResourceServer(before), after) => {
                let after = after.and_then(|after| match after {
                    Spec::ResourceServer(after) => Some(after),
                    _ => None,
                });
                let counts = after.is_none_or(|after| decides(before) != decides(after));
                let entry = |server: &ResourceServer| {
                    Box::new(ResourceServerEntry {
                        id: id.to_owned(),
                        resource_server: server.clone(),
                        credentials: Vec::new(),
                        revision: 0,
                        owner: None,
                    })
                };
                counts.then(|| Self::Server { before: entry(before), after: after.map(entry) })
            }
            (Spec::Client(before), after) => {
                let after = after.and_then(|after| match after {
                    Spec::Client(after) => Some(after),
                    _ => None,
                });
                let counts = after.is_none_or(|after| asks(before) != asks(after));
                let entry = |client: &Client| {
                    Box::new(ClientEntry {
                        id: id.to_owned(),
                        client: client.clone(),
                        credentials: Vec::new(),
                        revision: 0,
                        owner: None,
                    })
                };
                counts.then(|| Self::Client { before: entry(before), after: after.map(entry) })
            }
            (Spec::Provider(_), _) => None,
        }
    }
}

/// All of a policy that decides about calls, and about what tokens for them carry.
fn decides(of: &ResourceServer) -> impl PartialEq + use<'_> {
    let people = (&of.roles, &of.role_bindings, &of.default_role, &of.dynamic_clients);
    (of.lifecycle, of.scope_names(), &of.tools, people)
}

/// All of a client that decides about what its tokens carry.
fn asks(of: &Client) -> impl PartialEq + use<'_> {
    (of.state, &of.grant_types, &of.resources)
}
