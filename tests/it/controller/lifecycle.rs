//! The life of objects on real parts: namespaces that end, definitions that go and come, and who may take a row.

use std::collections::BTreeSet;

use holdfast::domain::policy::Policy;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

use super::harness::{World, client, condition, eventually, resource_server};
use crate::faults::invariants;
use crate::faults::proxy::Ask;
use crate::faults::site::{Site, named_client};
use crate::support::cluster;

async fn end_namespace(world: &World, name: &str) {
    let api: Api<Namespace> = Api::all(world.client.clone());
    api.delete(name, &DeleteParams::default()).await.unwrap();
    eventually("the namespace to go", async || api.get_opt(name).await.unwrap().is_none().then_some(())).await;
}

async fn begin_namespace(world: &World, name: &str) {
    let api: Api<Namespace> = Api::all(world.client.clone());
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    api.create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() }).await.unwrap();
}

/// mechanics §15, FT-09: nothing blocks the end of a namespace, and its successor of the same name inherits nothing.
#[tokio::test]
async fn a_namespace_ends_with_all_its_policy_and_its_successor_gets_nothing() {
    let (mut site, operator) = Site::with(2).await;
    let world = &site.world;
    let gone = world.namespaces[1].clone();
    // in any other namespace this provider would wait for the resource servers that use it, here and elsewhere
    let mut provider = json!({"type": "APIKey", "purposes": ["Broker"], "apiKey": {"header": "Authorization"}});
    provider["allowedNamespaces"] = json!({"from": "All"});
    world.apply_in(&gone, "Provider", "upstream", provider).await;
    world.until_in(&gone, "Provider", "upstream", ("Ready", "True", "Ready")).await;
    let broker = |uri: &str| {
        let mut spec = resource_server(uri);
        spec["tokenSource"] = json!({"type": "Broker", "providerRef": {"name": "upstream", "namespace": gone}});
        spec
    };
    world.apply_in(&gone, "ResourceServer", "ends", broker("https://ends.example.com/mcp")).await;
    world.apply("ResourceServer", "user", broker("https://stays.example.com/mcp")).await;
    let mut spec = client();
    spec["clientID"] = format!("portal-of-{gone}").into();
    spec["resources"][0]["resourceServerRef"]["name"] = "ends".into();
    world.apply_in(&gone, "OAuthClient", "portal", spec.clone()).await;
    let server = world.until_in(&gone, "ResourceServer", "ends", ("Ready", "True", "Ready")).await;
    world.until_in(&gone, "OAuthClient", "portal", ("Ready", "True", "Ready")).await;
    world.ready("ResourceServer", "user").await;

    end_namespace(world, &gone).await;
    let id = server.data["status"]["resourceServerID"].as_str().unwrap().to_owned();
    eventually("its policy to be gone", async || {
        operator.store.snapshot().resource_server(&id).is_none().then_some(())
    })
    .await;
    world.until("ResourceServer", "user", "ResolvedRefs", "False", "RefNotFound").await;

    begin_namespace(world, &gone).await;
    world.apply_in(&gone, "ResourceServer", "ends", resource_server("https://ends.example.com/mcp")).await;
    let refused = ("Accepted", "False", "AdoptionRefused");
    let successor = world.until_in(&gone, "ResourceServer", "ends", refused).await;
    assert_ne!(successor.data["status"]["resourceServerID"], id.as_str());
    world.apply_in(&gone, "OAuthClient", "portal", spec).await;
    world.until_in(&gone, "OAuthClient", "portal", refused).await;
    let refused = [("ends", "AdoptionRefused"), ("portal", "AdoptionRefused"), ("user", "RefNotFound")];
    invariants::hold_but(&mut site, &operator, &refused).await;
    operator.stop().await;
}

/// FT-09: while a namespace ends, the API server refuses Events in it. Each is offered once and let go, and nobody else's
/// waits for that.
#[tokio::test]
async fn what_a_namespace_that_ends_takes_no_more_is_let_go() {
    let (mut site, operator) = Site::with(2).await;
    let world = &site.world;
    let ending = world.namespaces[1].clone();
    world.apply_in(&ending, "ResourceServer", "ends", resource_server("https://slowly.example.com/mcp")).await;
    world.until_in(&ending, "ResourceServer", "ends", ("Ready", "True", "Ready")).await;
    // somebody else is not done with it, so that the namespace stays as it is: terminating
    let held: Api<ConfigMap> = Api::namespaced(world.client.clone(), &ending);
    let holder: ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": "holder", "finalizers": ["example.com/held"]}})).unwrap();
    held.create(&PostParams::default(), &holder).await.unwrap();
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    namespaces.delete(&ending, &DeleteParams::default()).await.unwrap();

    let refused = || {
        let told = |ask: &Ask| ask.writes() && ask.resource == "events" && ask.path.contains(&ending);
        let calls = site.proxy.asked(told).into_iter().filter(|call| call.status == 403);
        calls.map(|call| call.ask.json()["metadata"]["name"].to_string()).collect::<Vec<_>>()
    };
    eventually("an Event to be refused", async || (!refused().is_empty()).then_some(())).await;
    let untold = "SELECT COUNT(*) FROM report WHERE reported_at IS NULL";
    eventually("the outbox to be empty", async || (world.count(untold).await == 0).then_some(())).await;
    world.apply("OAuthClient", "late", named_client("late")).await;
    world.event("late", "Created").await;
    site.looks(&operator, 6).await;
    let names = refused();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "it was offered again: {names:?}");
    let phase = namespaces.get(&ending).await.unwrap().status.unwrap().phase;
    assert_eq!(phase.as_deref(), Some("Terminating"), "all the while");
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    held.patch("holder", &PatchParams::default(), &free).await.unwrap();
    eventually("the namespace to go", async || namespaces.get_opt(&ending).await.unwrap().is_none().then_some(()))
        .await;
    site.world.ready("OAuthClient", "late").await;
    invariants::hold(&mut site, &operator).await;
    operator.stop().await;
}

/// mechanics §15: what another resource fronts stays until it is fronted no more, or both go.
#[tokio::test]
async fn a_resource_that_is_fronted_blocks_its_deletion() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply("ResourceServer", "ledger", resource_server("https://fronted.example.com/ledger")).await;
    world.ready("ResourceServer", "ledger").await;
    let mut gateway = resource_server("https://fronted.example.com/gateway");
    let scopes = json!([{"source": "invoices.read", "target": ["invoices.read"]}]);
    gateway["fronting"] = json!([{"name": "ledger", "targetRef": {"name": "ledger"}, "scopeMap": scopes}]);
    world.apply("ResourceServer", "gateway", gateway).await;
    world.ready("ResourceServer", "gateway").await;
    world.delete("ResourceServer", "ledger").await;
    let blocked = world.until("ResourceServer", "ledger", "Synced", "False", "DeletionBlocked").await;
    assert!(condition(&blocked, "Synced").message.contains("gateway fronts this resource"));
    world.event("ledger", "DeletionBlocked").await;
    world.delete("ResourceServer", "gateway").await;
    world.until_gone("ResourceServer", "gateway").await;
    world.until_gone("ResourceServer", "ledger").await;
    operator.stop().await;
}

/// mechanics §15: what is itself being deleted blocks nothing, or two that front each other could never go.
#[tokio::test]
async fn two_that_front_each_other_go_together() {
    let world = World::new().await;
    let operator = world.operator().await;
    let fronting = |name: &str, other: Option<&str>| {
        let mut spec = resource_server(&format!("https://both.example.com/{name}"));
        if let Some(other) = other {
            spec["fronting"] = json!([{"name": other, "targetRef": {"name": other}}]);
        }
        spec
    };
    world.apply("ResourceServer", "left", fronting("left", None)).await;
    world.ready("ResourceServer", "left").await;
    world.apply("ResourceServer", "right", fronting("right", Some("left"))).await;
    world.ready("ResourceServer", "right").await;
    world.apply("ResourceServer", "left", fronting("left", Some("right"))).await;
    world.ready("ResourceServer", "left").await;
    world.delete("ResourceServer", "left").await;
    world.until("ResourceServer", "left", "Synced", "False", "DeletionBlocked").await;
    world.delete("ResourceServer", "right").await;
    for name in ["left", "right"] {
        world.until_gone("ResourceServer", name).await;
    }
    operator.stop().await;
}

/// mechanics §15: the escape of what is blocked: it is released, and whoever uses it goes on using it.
#[tokio::test]
async fn what_is_blocked_can_be_released_by_annotation() {
    let world = World::new().await;
    let operator = world.operator().await;
    let provider = json!({"type": "APIKey", "purposes": ["Broker"], "apiKey": {"header": "Authorization"}});
    world.apply("Provider", "upstream", provider).await;
    let id = world.ready("Provider", "upstream").await.data["status"].clone();
    let mut spec = resource_server("https://escape.example.com/mcp");
    spec["tokenSource"] = json!({"type": "Broker", "providerRef": {"name": "upstream"}});
    world.apply("ResourceServer", "mcp", spec).await;
    world.ready("ResourceServer", "mcp").await;
    world.delete("Provider", "upstream").await;
    world.until("Provider", "upstream", "Synced", "False", "DeletionBlocked").await;
    let note = Patch::Merge(json!({"metadata": {"annotations": {"holdfast.dev/deletion-policy": "Retain"}}}));
    world.api("Provider", world.namespace()).patch("upstream", &PatchParams::default(), &note).await.unwrap();
    world.until_gone("Provider", "upstream").await;
    world.event("upstream", "Retained").await;
    assert_eq!(world.count("SELECT count(*) FROM provider").await, 1, "{id}");
    operator.stop().await;
}

/// mechanics §16: Force takes a row from another object, from a trusted namespace only; Never takes none.
#[tokio::test]
async fn force_takes_a_row_from_a_trusted_namespace_only() {
    let world = World::with(2).await;
    let operator = world.operator().await;
    let untrusted = world.namespaces[1].clone();
    let mut spec = client();
    spec["clientID"] = format!("contested-{}", world.namespace()).into();
    spec["resources"] = json!([]);
    world.apply_in(&untrusted, "OAuthClient", "holder", spec.clone()).await;
    world.until_in(&untrusted, "OAuthClient", "holder", ("Ready", "True", "Ready")).await;
    spec["authentication"]["secret"]["name"] = "taker-oauth".into();
    for (policy, reason) in [("Never", "Conflict"), ("IfUnowned", "Conflict")] {
        spec["adoptionPolicy"] = policy.into();
        world.apply("OAuthClient", "taker", spec.clone()).await;
        world.until("OAuthClient", "taker", "Accepted", "False", reason).await;
    }
    spec["adoptionPolicy"] = "Force".into();
    world.apply_in(&untrusted, "OAuthClient", "robber", spec.clone()).await;
    world.until_in(&untrusted, "OAuthClient", "robber", ("Accepted", "False", "NotPermitted")).await;
    world.apply("OAuthClient", "taker", spec.clone()).await;
    world.ready("OAuthClient", "taker").await;
    world.event("taker", "Adopted").await;
    let owner = operator.store.snapshot().client(spec["clientID"].as_str().unwrap()).unwrap().owner.clone().unwrap();
    assert_eq!((owner.namespace.as_str(), owner.name.as_str()), (world.namespace(), "taker"));
    operator.stop().await;
}

/// A host belongs to the namespace that configuration names, whoever was first.
#[tokio::test]
async fn configuration_says_whose_a_host_is() {
    let mut world = World::with(2).await;
    let other = world.namespaces[1].clone();
    world.hosts.insert("given.example.com".to_owned(), other.clone());
    let operator = world.operator().await;
    world.apply("ResourceServer", "mcp", resource_server("https://given.example.com/mcp")).await;
    let refused = world.until("ResourceServer", "mcp", "Accepted", "False", "NotPermitted").await;
    assert!(condition(&refused, "Accepted").message.contains("operator.resource_hosts"));
    world.apply_in(&other, "ResourceServer", "mcp", resource_server("https://given.example.com/mcp")).await;
    world.until_in(&other, "ResourceServer", "mcp", ("Ready", "True", "Ready")).await;
    operator.stop().await;
}

/// FT-08: deleting the definitions revokes nothing: with them come the same ids, client ids and secrets; tokens, the keys
/// that signed them, and whoever asks for more go on all the time.
#[tokio::test]
async fn definitions_go_and_come_and_everything_is_as_it_was() {
    let cluster = cluster::private();
    let (mut site, operator) = Site::on(World::alone(&cluster, 1).await).await;
    let world = &site.world;
    let server = world.ready("ResourceServer", "mcp").await;
    let portal = site.client("portal").await;
    let secret = world.secret("portal-oauth", "client_secret").await;
    let id = portal.data["status"]["clientID"].as_str().unwrap().to_owned();
    eventually("the client to be known", async || (site.token_of("portal").await == 200).then_some(())).await;
    let token = site.access_token_of("portal").await;
    assert!(site.accepts("portal", &token).await);
    let definitions: Api<CustomResourceDefinition> = Api::all(world.client.clone());
    let names = ["resourceservers.holdfast.dev", "oauthclients.holdfast.dev", "oauthproviders.holdfast.dev"];
    for name in names {
        definitions.delete(name, &DeleteParams::default()).await.unwrap();
    }
    for name in names {
        eventually("the definition to go", async || definitions.get_opt(name).await.unwrap().is_none().then_some(()))
            .await;
    }
    eventually("the operator to say so", async || {
        holdfast::domain::StatusBoard::definitions_lacking(&operator.board)
            .is_some_and(|lacking| lacking.contains("oauthclients.holdfast.dev is not installed"))
            .then_some(())
    })
    .await;
    assert!(operator.store.snapshot().client(&id).is_some(), "its policy stays");
    assert!(site.accepts("portal", &token).await, "while there are no definitions");
    assert_eq!(
        world.count("SELECT count(*) FROM orphan").await,
        0,
        "what no definition lets anybody read is not missed"
    );

    cluster::apply_crds(&world.client).await;
    let uri = server.data["spec"]["resourceURI"].as_str().unwrap();
    for name in ["steady", "portal"] {
        world.apply("OAuthClient", name, named_client(name)).await;
        world.until("OAuthClient", name, "Ready", "False", "AdoptionRefused").await;
    }
    world.apply("ResourceServer", "mcp", resource_server(uri)).await;
    for name in ["steady", "portal"] {
        world.ready("OAuthClient", name).await;
    }
    assert_eq!(world.get("OAuthClient", "portal").await.data["status"]["clientID"], id.as_str());
    let server_again = world.ready("ResourceServer", "mcp").await;
    assert_eq!(server_again.data["status"]["resourceServerID"], server.data["status"]["resourceServerID"]);
    assert_eq!(world.secret("portal-oauth", "client_secret").await, secret);
    assert!(site.accepts("portal", &token).await, "a token of before");
    assert_eq!(site.token_of("portal").await, 200);
    assert_eq!(world.count("SELECT count(*) FROM access_token WHERE revoked_at IS NOT NULL").await, 0);
    invariants::hold(&mut site, &operator).await;
    operator.stop().await;
}
