//! The dry run and the calls of the last day: what it says would be denied is what an apply then denies.

use std::collections::{BTreeMap, BTreeSet};

use holdfast::domain::access;
use holdfast::domain::client::GrantType;
use holdfast::domain::decide::call::{Call, call};
use holdfast::domain::decide::{self, Ask};
use holdfast::domain::decision::{Decision, DecisionOutcome, DecisionReason};
use holdfast::domain::policy::{Policy, ResourceServerEntry};
use holdfast::provision::{CallTouches, ToolCalls};
use holdfast::store::{RoleAssignment, RoleOrigin, Snapshot};
use jiff::SignedDuration;

use super::plan::{Edits, plan};
use super::*;

const URI: &str = "https://b.example.com/mcp";
const PEOPLE: [(&str, &[&str]); 3] = [("usr_ada", &[]), ("usr_dan", &["writer"]), ("usr_eve", &["reader"])];

fn tool(name: &str, scopes: &[&str], matching: &str) -> Value {
    let access = if scopes.is_empty() { "Public" } else { "Scoped" };
    json!({"name": name, "access": access, "scopes": scopes, "match": matching})
}

/// A server with tools, roles and people, and two clients.
struct Town {
    id: String,
    server: Desired,
    clients: [Desired; 2],
    decisions: Vec<Decision>,
}

impl Town {
    async fn on(house: &House) -> Self {
        let mut server = resource_server("billing", URI);
        for (path, value) in [
            ("tools[list]", tool("list", &["invoices.read"], "Any")),
            ("tools[pay]", tool("pay", &["invoices.write"], "Any")),
            ("tools[settle]", tool("settle", &["invoices.read", "invoices.write"], "All")),
            ("tools[ping]", tool("ping", &[], "Any")),
            ("roles[writer]", json!({"name": "writer", "scopes": ["invoices.read", "invoices.write"]})),
            (
                "roleBindings[ada]",
                json!({"name": "ada", "role": "writer", "subjects": [{"kind": "User", "name": "usr_ada"}]}),
            ),
        ] {
            server = with(&server, path, value);
        }
        let id = house.apply(&server).await.entity_id;
        let mut clients = [client("portal"), client("gate")];
        for client in &mut clients {
            let attached =
                json!({"name": "billing", "resourceServerID": id, "scopes": ["invoices.read", "invoices.write"]});
            *client = with(client, "resources[billing]", attached);
            *client = with(client, "grantTypes", json!(["client_credentials", "authorization_code"]));
            *client = with(client, "redirectURIs", json!(["https://app.example.com/callback"]));
            house.apply(client).await;
        }
        let mut tx = house.store.write(&Actor::recorded("test")).await.unwrap();
        for (user, roles) in PEOPLE {
            for role in roles {
                let (user_id, resource_server_id, role) = (user.to_owned(), id.clone(), (*role).to_owned());
                let assigned_at = house.clock.at();
                let assignment =
                    RoleAssignment { user_id, resource_server_id, role, origin: RoleOrigin::Admin, assigned_at };
                assert!(tx.assign_role(&assignment).await.unwrap());
            }
        }
        tx.commit().await.unwrap();
        Self { id, server, clients, decisions: Vec::new() }
    }

    /// Calls of all kinds in the last 30 hours, as somebody reports them.
    async fn report(&mut self, house: &House, edits: &mut Edits, count: usize) {
        let names = ["invoices.read", "invoices.write", "invoices.old"];
        for number in 0..count {
            let denied = edits.below(8) == 0;
            let one = Decision {
                id: format!("d-{number}"),
                at: house.clock.at() - SignedDuration::from_mins(edits.below(1800) as i64),
                tool: ["list", "pay", "settle", "ping", "drop"][edits.below(5)].to_owned(),
                outcome: if denied { DecisionOutcome::Denied } else { DecisionOutcome::Allowed },
                reason: denied.then_some(DecisionReason::NoToken),
                client_id: [Some("portal"), Some("gate"), Some("stranger"), None][edits.below(4)].map(str::to_owned),
                subject: [
                    Some("usr_ada"),
                    Some("usr_dan"),
                    Some("usr_eve"),
                    Some("usr_new"),
                    Some("portal"),
                    Some("gate"),
                    None,
                ][edits.below(7)]
                .map(str::to_owned),
                scopes: names.into_iter().filter(|_| edits.below(3) > 0).map(str::to_owned).collect(),
                policy_version: None,
                duration_micros: None,
                jti: None,
            };
            self.decisions.push(one);
        }
        let mut tx = house.store.write(&Actor::recorded("test")).await.unwrap();
        let by = Actor::client("gateway");
        let new = tx.put_decisions(&self.id, &self.decisions, (&by, None), house.clock.at()).await.unwrap();
        assert_eq!(new.len(), count);
        tx.commit().await.unwrap();
    }

    /// The server, or one of the clients, as somebody would have it.
    fn edit(&self, edits: &mut Edits) -> (usize, Desired) {
        let scopes = |edits: &mut Edits| {
            let all = [&[][..], &["invoices.read"], &["invoices.write"], &["invoices.read", "invoices.write"]];
            all[edits.below(4)].to_vec()
        };
        let which = edits.below(4).min(2);
        if which < 2 {
            let client = &self.clients[which];
            let attached = json!({"name": "billing", "resourceServerID": self.id, "scopes": scopes(edits)});
            let edited = match edits.below(4) {
                0 => with(client, "state", json!(["Active", "Suspended"][edits.below(2)])),
                1 => {
                    with(client, "grantTypes", json!([["client_credentials"], ["authorization_code"]][edits.below(2)]))
                }
                2 => with(client, "grantTypes", json!(["client_credentials", "authorization_code"])),
                _ => with(client, "resources[billing]", attached),
            };
            return (which, edited);
        }
        let name = ["list", "pay", "settle"][edits.below(3)];
        let matching = ["Any", "All"][edits.below(2)];
        let role = ["reader", "writer"][edits.below(2)];
        let server = &self.server;
        let edited = match edits.below(9) {
            0 => without(server, &format!("tools[{name}]")),
            8 => with(
                server,
                &format!("tools[{name}]"),
                json!({"name": name, "access": "Scoped", "scopes": [], "match": matching}),
            ),
            1 | 2 => with(server, &format!("tools[{name}]"), tool(name, &scopes(edits), matching)),
            3 => with(server, &format!("roles[{role}]"), json!({"name": role, "scopes": scopes(edits)})),
            4 => with(server, "lifecycle", json!(["Draft", "Live"][edits.below(2)])),
            5 => with(server, "defaultRole", json!([None, Some("reader"), Some("writer")][edits.below(3)])),
            6 => {
                let scope = ["invoices.read", "invoices.write"][edits.below(2)];
                let value = json!({"name": scope, "description": "", "risk": "Low", "upstream": ""});
                let path = format!("scopes[{scope}]");
                if edits.below(2) == 0 { without(server, &path) } else { with(server, &path, value) }
            }
            _ => with(
                server,
                "roleBindings[ada]",
                json!({"name": "ada", "role": role, "subjects": [{"kind": "User", "name": "usr_ada"}]}),
            ),
        };
        (which, edited)
    }

    /// What becomes of one call by the policy in force: why it is denied, with its token and with a new one.
    fn judged(&self, snapshot: &Snapshot, one: &Decision) -> (Option<&'static str>, Option<&'static str>) {
        let Some(entry) = snapshot.resource_server(&self.id) else {
            return (Some("resource_gone"), Some("resource_gone"));
        };
        let by = |scopes: &BTreeSet<&str>| match call(&entry.resource_server, &one.tool, scopes) {
            Call::Allow => None,
            Call::Deny(denial) => Some(denial.as_str()),
        };
        let carried: BTreeSet<&str> = one.scopes.iter().map(String::as_str).collect();
        let renewed = match issued(snapshot, entry, one) {
            None => Some("no_token"),
            Some(new) => by(&carried.iter().copied().filter(|scope| new.contains(*scope)).collect()),
        };
        (by(&carried), renewed)
    }
}

/// What the authorization server would issue to whoever made the call, if anything.
fn issued(snapshot: &Snapshot, entry: &ResourceServerEntry, one: &Decision) -> Option<BTreeSet<String>> {
    let policy = &entry.resource_server;
    let allowed = one.subject.as_deref().filter(|subject| subject.starts_with("usr_")).map(|user| {
        let known = PEOPLE.iter().find(|(id, _)| *id == user).map_or(&[][..], |(_, roles)| roles);
        let mut roles: Vec<String> = known.iter().map(|role| (*role).to_owned()).collect();
        roles.extend(access::first_role(policy, user, &roles).map(str::to_owned));
        access::scopes(policy, user, &roles)
    });
    let resources = [URI.to_owned()];
    let ask = Ask { resources: &resources, scope: None, bound: false };
    let client = one.client_id.as_deref().filter(|id| *id != "stranger");
    let Some(client) = client else {
        let names = policy.scope_names().into_iter().map(str::to_owned);
        let given: BTreeSet<String> =
            names.filter(|scope| allowed.as_ref().is_none_or(|allowed| allowed.contains(scope))).collect();
        return (!given.is_empty()).then_some(given);
    };
    let client = snapshot.client(client)?;
    let grant = if one.subject.as_deref() == Some(client.id.as_str()) {
        decide::client_credentials(client, &ask, snapshot)
    } else {
        decide::user(client, GrantType::AuthorizationCode, &ask, allowed.as_ref(), snapshot)
    };
    grant.ok().map(|grant| grant.scopes.into_iter().collect())
}

fn without(desired: &Desired, path: &str) -> Desired {
    let mut fields = desired.spec.fields();
    fields.remove(path);
    Desired { spec: Spec::from_fields(desired.spec.kind(), &fields).unwrap(), ..desired.clone() }
}

type Lost<'a> = BTreeMap<(&'a str, &'a str, &'a str), (i64, BTreeSet<&'a str>, BTreeSet<&'a str>)>;

fn told(calls: &CallTouches) -> BTreeMap<(&str, &str, &str), (i64, usize, usize)> {
    let one = |tool: &'_ ToolCalls| (tool.calls, tool.clients, tool.users);
    calls.tools.iter().map(|tool| ((tool.tool.as_str(), tool.when, tool.reason), one(tool))).collect()
}

on_both! {
    /// K7: of random calls and random changes, exactly those that an apply then denies
    async fn a_plan_names_the_calls_that_an_apply_then_denies(house: House) {
        let mut edits = Edits(11);
        let mut town = Town::on(&house).await;
        town.report(&house, &mut edits, 400).await;
        let day = house.clock.at() - SignedDuration::from_hours(24);
        let (mut reasons, mut kept) = (BTreeSet::new(), 0);
        for round in 0..150 {
            let (which, edited) = town.edit(&mut edits);
            let planned = plan(&house, &edited).await;
            let before = house.store.snapshot();
            let judged: Vec<_> = town.decisions.iter().map(|one| town.judged(&before, one)).collect();
            house.apply(&edited).await;
            house.store.refresh().await.unwrap();
            let after = house.store.snapshot();
            let own = ["portal", "gate"].get(which);
            let looked: Vec<usize> = (0..town.decisions.len())
                .filter(|n| town.decisions[*n].at >= day && town.decisions[*n].outcome == DecisionOutcome::Allowed)
                .filter(|n| own.is_none_or(|own| town.decisions[*n].client_id.as_deref() == Some(own)))
                .collect();
            let mut lost = Lost::new();
            for n in &looked {
                let one = &town.decisions[*n];
                let (had, has) = (judged[*n], town.judged(&after, one));
                let denied = match (had, has) {
                    ((Some(_), _), _) => continue,
                    (_, (Some(reason), _)) => ("at_once", reason),
                    ((_, None), (_, Some(reason))) => ("token_over", reason),
                    _ => continue,
                };
                let found = lost.entry((&one.tool, denied.0, denied.1)).or_default();
                found.0 += 1;
                found.1.extend(one.client_id.as_deref());
                found.2.extend(one.subject.as_deref().filter(|subject| subject.starts_with("usr_")));
            }
            let expected: BTreeMap<_, _> =
                lost.iter().map(|(key, (calls, clients, users))| (*key, (*calls, clients.len(), users.len()))).collect();
            match &planned.touches.calls {
                None => assert!(expected.is_empty(), "round {round}: {planned:#?}\n{expected:#?}"),
                Some(calls) => {
                    assert_eq!(told(calls), expected, "round {round}: {:#?}", planned.changes);
                    assert_eq!((calls.recorded as usize, calls.cut), (looked.len(), false), "round {round}");
                    assert_eq!(calls.denied, expected.values().map(|(calls, ..)| calls).sum::<i64>());
                    let few = |tool: &ToolCalls| (1..=3).contains(&tool.examples.len());
                    assert!(calls.tools.iter().all(few), "{calls:#?}");
                    kept += usize::from(calls.denied == 0);
                }
            }
            reasons.extend(expected.keys().map(|(_, when, reason)| format!("{when} {reason}")));
            // what nobody wants for long is taken back
            let original = if which < 2 { &mut town.clients[which] } else { &mut town.server };
            if edits.below(8) == 0 { *original = edited } else { house.apply(&original.clone()).await; }
        }
        let all: Vec<&str> = reasons.iter().map(String::as_str).collect();
        assert_eq!(all, ["at_once insufficient_scope", "at_once policy_incomplete", "at_once tool_unlisted",
            "at_once tool_without_scopes", "token_over insufficient_scope", "token_over no_token"]);
        assert!(kept > 0, "and some change denies nothing");
    }

    /// K7: what is gone takes all; nothing recorded is said to be that; examples are the last ones; one day is looked at
    async fn what_goes_takes_its_calls(house: House) {
        let mut town = Town::on(&house).await;
        let less = without(&town.server, "tools[pay]");
        let calls = plan(&house, &less).await.touches.calls.unwrap();
        assert_eq!((calls.recorded, calls.denied, calls.tools.len()), (0, 0, 0), "nobody reported anything");
        assert_eq!(plan(&house, &with(&town.server, "displayName", json!("New"))).await.touches.calls, None);
        town.report(&house, &mut Edits(3), 300).await;
        let calls = plan(&house, &less).await.touches.calls.unwrap();
        let [pay] = calls.tools.as_slice() else { panic!("{calls:#?}") };
        assert_eq!((pay.tool.as_str(), pay.reason, pay.when), ("pay", "tool_unlisted", "at_once"));
        assert_eq!((pay.resource_server.as_str(), pay.examples.len()), ("ResourceServer/billing/billing", 3));
        assert!(pay.examples.windows(2).all(|two| two[0].last >= two[1].last) && pay.calls < calls.recorded);
        let mut run = house.provisioner.dry_run().await.unwrap();
        let draft = run.removal(&town.server.owner.key, DeletionPolicy::Delete).await.unwrap();
        let gone = run.finish(draft).await.unwrap().touches.calls.unwrap();
        assert!(gone.denied > 0 && gone.tools.iter().all(|tool| tool.reason == "resource_gone"), "{gone:#?}");
        let draft = run.removal(&town.server.owner.key, DeletionPolicy::Retain).await.unwrap();
        assert_eq!(run.finish(draft).await.unwrap().touches.calls, None, "what is retained takes nothing");
        let draft = run.removal(&town.clients[0].owner.key, DeletionPolicy::Delete).await.unwrap();
        let gone = run.finish(draft).await.unwrap().touches.calls.unwrap();
        let of_portal = |tool: &ToolCalls| tool.reason == "no_token" && tool.when == "token_over" && tool.clients == 1;
        assert!(gone.denied > 0 && gone.tools.iter().all(of_portal), "{gone:#?}");
        house.clock.advance(86_400 * 2);
        assert_eq!(plan(&house, &less).await.touches.calls.unwrap().recorded, 0, "what was long ago says nothing");
    }
}
