use std::sync::Arc;

use super::*;
use crate::domain::spec::{Spec, tests as samples};

struct One(Arc<ClientEntry>, Arc<ResourceServerEntry>);

impl Policy for One {
    fn client(&self, id: &str) -> Option<&Arc<ClientEntry>> {
        (self.0.id == id).then_some(&self.0)
    }
    fn resource_server(&self, id: &str) -> Option<&Arc<ResourceServerEntry>> {
        (self.1.id == id).then_some(&self.1)
    }
    fn resource_server_by_uri(&self, uri: &str) -> Option<&Arc<ResourceServerEntry>> {
        (self.1.resource_server.resource_uri == uri).then_some(&self.1)
    }
    fn resource_servers(&self) -> impl Iterator<Item = &Arc<ResourceServerEntry>> {
        [&self.1].into_iter()
    }
}

fn policy(change: impl FnOnce(&mut ClientEntry, &mut ResourceServerEntry)) -> One {
    let (Spec::Client(client), Spec::ResourceServer(resource_server)) = (samples::client(), samples::resource_server())
    else {
        panic!("samples")
    };
    let mut client = ClientEntry { id: "portal".into(), client, credentials: vec![], revision: 3, owner: None };
    let mut server =
        ResourceServerEntry { id: "rs_1".into(), resource_server, credentials: vec![], revision: 7, owner: None };
    change(&mut client, &mut server);
    One(Arc::new(client), Arc::new(server))
}

fn ask(policy: &One, resources: &[&str], scope: Option<&str>) -> Result<Grant, Refusal> {
    let resources: Vec<String> = resources.iter().map(|r| (*r).to_owned()).collect();
    client_credentials(&policy.0, &Ask { resources: &resources, scope, bound: false }, policy)
}

const BILLING: &str = "https://billing.example.com/mcp";

#[test]
fn the_only_resource_and_all_attached_scopes_are_the_default() {
    let grant = ask(&policy(|_, _| {}), &[], None).unwrap();
    assert_eq!((grant.audience.as_str(), grant.scope()), (BILLING, "invoices.read".to_owned()));
    assert_eq!((grant.client_revision, grant.resource_server_revision), (3, 7));
}

#[test]
fn scopes_are_never_wider_than_attached_and_catalogue() {
    let wide = policy(|c, _| c.client.resources[0].scopes = vec!["invoices.read".into(), "gone".into()]);
    assert_eq!(ask(&wide, &[BILLING], None).unwrap().scopes, ["invoices.read"]);
    assert_eq!(ask(&wide, &[BILLING], Some("invoices.read invoices.write")).unwrap().scopes, ["invoices.read"]);
}

#[test]
fn refusals() {
    let table: [(Change, &[&str], Option<&str>, Refusal); 11] = [
        (|c, _| c.client.state = ClientState::Suspended, &[], None, Refusal::Suspended),
        (|c, _| c.client.grant_types.clear(), &[], None, Refusal::GrantNotAllowed),
        (|c, _| c.client.authentication_method = AuthenticationMethod::None, &[], None, Refusal::GrantNotAllowed),
        (|c, _| c.client.resources.clear(), &[], None, Refusal::TargetRequired),
        (|c, _| c.client.resources.clear(), &[BILLING], None, Refusal::InvalidTarget),
        (|_, _| {}, &["https://other.example.com"], None, Refusal::InvalidTarget),
        (|_, _| {}, &[BILLING, BILLING], None, Refusal::InvalidTarget),
        (|_, r| r.resource_server.lifecycle = Lifecycle::Draft, &[], None, Refusal::InvalidTarget),
        (|_, _| {}, &[], Some("invoices.write"), Refusal::InvalidScope),
        (|_, r| r.resource_server.scopes.clear(), &[], None, Refusal::InvalidScope),
        (
            |_, r| r.resource_server.access_token.sender_constraint = "DPoPRequired".into(),
            &[],
            None,
            Refusal::SenderConstraintRequired,
        ),
    ];
    for (change, resources, scope, refusal) in table {
        assert_eq!(ask(&policy(change), resources, scope), Err(refusal));
    }
}

#[test]
fn a_token_is_seen_by_its_client_its_resource_and_who_acts_for_that() {
    let policy = policy(|_, r| {
        r.resource_server.runtime_clients.insert("gateway".into());
    });
    for (caller, seen) in [("portal", true), ("rs_1", true), ("gateway", true), ("other", false), ("rs_2", false)] {
        assert_eq!(introspection(caller, "portal", Some(&policy.1)), seen, "{caller}");
    }
}

type Change = fn(&mut ClientEntry, &mut ResourceServerEntry);
/// What is changed, what is asked for, what is allowed, and what comes of it.
type Row = (Change, Option<&'static str>, Option<&'static [&'static str]>, Result<&'static str, Refusal>);

fn user_asks(change: Change, scope: Option<&str>, allowed: Option<&[&str]>) -> Result<String, Refusal> {
    let policy = policy(|client, server| {
        client.client.grant_types = vec![GrantType::AuthorizationCode];
        change(client, server);
    });
    let allowed = allowed.map(|scopes| scopes.iter().map(|s| (*s).to_owned()).collect());
    let ask = Ask { resources: &[], scope, bound: false };
    user(&policy.0, GrantType::AuthorizationCode, &ask, allowed.as_ref(), &policy).map(|grant| grant.scope())
}

fn dynamic(id: &str, client: &mut ClientEntry) {
    client.id = id.into();
    client.client.resources.clear();
}

/// Mechanics §18, M-16, M-17, A-10: requested ∩ attached ∩ the user's roles ∩ consent, and by origin what the default is.
#[test]
fn a_user_is_asked_for_no_more_than_everybody_allows() {
    let both: Change = |c, _| c.client.resources[0].scopes = vec!["invoices.read".into(), "invoices.write".into()];
    let document: Change = |c, r| {
        dynamic("https://app.example/client.json", c);
        r.resource_server.dynamic_clients = "CIMD".into();
    };
    let table: [Row; 16] = [
        (both, None, None, Ok("invoices.read invoices.write")),
        (both, Some("invoices.write unknown offline_access"), None, Ok("invoices.write")),
        (both, Some("offline_access"), None, Ok("invoices.read invoices.write")),
        (both, None, Some(&["invoices.read", "invoices.void"]), Ok("invoices.read")),
        (both, Some("invoices.write"), Some(&["invoices.read"]), Err(Refusal::InvalidScope)),
        (both, None, Some(&[]), Err(Refusal::InvalidScope)),
        (both, Some("unknown"), None, Err(Refusal::InvalidScope)),
        (|c, _| c.client.grant_types.clear(), None, None, Err(Refusal::GrantNotAllowed)),
        (|c, _| c.client.state = ClientState::Suspended, None, None, Err(Refusal::Suspended)),
        (|_, r| r.resource_server.lifecycle = Lifecycle::Draft, None, None, Err(Refusal::InvalidTarget)),
        (document, None, None, Ok("invoices.read")),
        (document, Some("invoices.write"), None, Ok("invoices.write")),
        (|c, _| dynamic("https://app.example/client.json", c), None, None, Err(Refusal::TargetRequired)),
        (
            |c, r| {
                dynamic("dcr_1", c);
                r.resource_server.dynamic_clients = "CIMD".into();
            },
            None,
            None,
            Err(Refusal::TargetRequired),
        ),
        (
            |c, r| {
                dynamic("dcr_1", c);
                r.resource_server.dynamic_clients = "All".into();
            },
            None,
            None,
            Ok("invoices.read"),
        ),
        (
            |c, r| {
                dynamic("dcr_1", c);
                r.resource_server.dynamic_clients = "All".into();
                r.resource_server.lifecycle = Lifecycle::Draft;
            },
            None,
            None,
            Err(Refusal::TargetRequired),
        ),
    ];
    for (row, (change, scope, allowed, expected)) in table.into_iter().enumerate() {
        assert_eq!(user_asks(change, scope, allowed), expected.map(str::to_owned), "row {row}");
    }
}

/// CC-04, D-02: who is not managed, or is named like a user, never acts in its own name.
#[test]
fn client_credentials_are_for_managed_clients_alone() {
    for id in ["https://app.example/client.json", "dcr_1", "usr_0190163d-8694-739b-aea5-966c26f8ad91"] {
        let policy = policy(|c, r| {
            c.id = id.into();
            r.resource_server.dynamic_clients = "All".into();
        });
        assert_eq!(ask(&policy, &[BILLING], None), Err(Refusal::GrantNotAllowed), "{id}");
    }
}

/// C-04, R-23: what was granted may be narrowed, and follows policy.
#[test]
fn what_was_granted_is_never_widened() {
    let keep: Change = |_, _| {};
    let table: [Row; 8] = [
        (keep, None, None, Ok("invoices.read invoices.write")),
        (keep, Some("invoices.read"), None, Ok("invoices.read")),
        (keep, Some("offline_access"), None, Ok("invoices.read invoices.write")),
        (keep, Some("invoices.read invoices.void"), None, Err(Refusal::InvalidScope)),
        (keep, None, Some(&["invoices.write"]), Ok("invoices.write")),
        (|c, _| c.client.resources[0].scopes = vec!["invoices.read".into()], None, None, Ok("invoices.read")),
        (|c, _| c.client.resources.clear(), None, None, Err(Refusal::ResourceGone)),
        (|_, r| r.resource_server.lifecycle = Lifecycle::Draft, None, None, Err(Refusal::ResourceGone)),
    ];
    for (row, (change, requested, allowed, expected)) in table.into_iter().enumerate() {
        let policy = policy(|client, server| {
            client.client.resources[0].scopes = vec!["invoices.read".into(), "invoices.write".into()];
            change(client, server);
        });
        let allowed = allowed.map(|scopes| scopes.iter().map(|s| (*s).to_owned()).collect());
        let scope = "invoices.read invoices.write";
        let got = granted(&policy.0, Some(&policy.1), scope, requested, allowed.as_ref()).map(|grant| grant.scope());
        assert_eq!(got, expected.map(str::to_owned), "row {row}");
    }
    assert_eq!(granted(&policy(|_, _| {}).0, None, "invoices.read", None, None), Err(Refusal::ResourceGone));
}
