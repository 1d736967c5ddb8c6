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
    client_credentials(&policy.0, &Ask { resources: &resources, scope }, policy)
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
    type Change = fn(&mut ClientEntry, &mut ResourceServerEntry);
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
