//! The life of objects on real parts: namespaces that end, definitions that go and come, and who may take a row.

use holdfast::domain::policy::Policy;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

use super::harness::{World, client, condition, eventually, resource_server};
use crate::faults::invariants;
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

/// mechanics §15: nothing blocks the end of a namespace, and its successor of the same name inherits nothing.
#[tokio::test]
async fn a_namespace_ends_with_all_its_policy_and_its_successor_gets_nothing() {
    let mut world = World::with(2).await;
    world.rescan = std::time::Duration::from_secs(2);
    let operator = world.operator().await;
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
    world.apply_in(&gone, "ResourceServer", "mcp", broker("https://ends.example.com/mcp")).await;
    world.apply("ResourceServer", "user", broker("https://stays.example.com/mcp")).await;
    let mut spec = client();
    spec["clientID"] = format!("portal-of-{gone}").into();
    world.apply_in(&gone, "OAuthClient", "portal", spec.clone()).await;
    let server = world.until_in(&gone, "ResourceServer", "mcp", ("Ready", "True", "Ready")).await;
    world.until_in(&gone, "OAuthClient", "portal", ("Ready", "True", "Ready")).await;
    world.ready("ResourceServer", "user").await;

    end_namespace(&world, &gone).await;
    let id = server.data["status"]["resourceServerID"].as_str().unwrap().to_owned();
    eventually("its policy to be gone", async || {
        operator.store.snapshot().resource_server(&id).is_none().then_some(())
    })
    .await;
    world.until("ResourceServer", "user", "ResolvedRefs", "False", "RefNotFound").await;

    begin_namespace(&world, &gone).await;
    world.apply_in(&gone, "ResourceServer", "mcp", resource_server("https://ends.example.com/mcp")).await;
    let refused = ("Accepted", "False", "AdoptionRefused");
    let successor = world.until_in(&gone, "ResourceServer", "mcp", refused).await;
    assert_ne!(successor.data["status"]["resourceServerID"], id.as_str());
    world.apply_in(&gone, "OAuthClient", "portal", spec).await;
    world.until_in(&gone, "OAuthClient", "portal", refused).await;
    let refused = [("mcp", "AdoptionRefused"), ("portal", "AdoptionRefused"), ("user", "RefNotFound")];
    invariants::hold_unseen(&world, &operator, &refused).await;
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

/// FT-08: deleting the definitions revokes nothing: with them come the same ids, client ids and secrets, and tokens live on.
#[tokio::test]
async fn definitions_go_and_come_and_everything_is_as_it_was() {
    let cluster = cluster::private();
    let mut world = World::alone(&cluster, 1).await;
    world.rescan = std::time::Duration::from_secs(2);
    let operator = world.operator().await;
    world.apply("ResourceServer", "mcp", resource_server("https://again.example.com/mcp")).await;
    world.apply("OAuthClient", "portal", client()).await;
    let server = world.ready("ResourceServer", "mcp").await;
    let portal = world.ready("OAuthClient", "portal").await;
    let secret = world.secret("portal-oauth", "client_secret").await;
    let id = portal.data["status"]["clientID"].as_str().unwrap().to_owned();
    world
        .sql(&format!(
            "INSERT INTO access_token (jti, client_id, resource_server_id, subject, scope, issued_at, expires_at)
            VALUES (CAST('0123456789abcdef' AS BLOB), '{id}', 'rs_1', '{id}', 's', 1, 9000000000000000)"
        ))
        .await;
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
    assert_eq!(world.count("SELECT count(*) FROM access_token WHERE revoked_at IS NOT NULL").await, 0);
    assert_eq!(
        world.count("SELECT count(*) FROM orphan").await,
        0,
        "what no definition lets anybody read is not missed"
    );

    cluster::apply_crds(&world.client).await;
    world.apply("ResourceServer", "mcp", resource_server("https://again.example.com/mcp")).await;
    world.apply("OAuthClient", "portal", client()).await;
    let again = world.ready("OAuthClient", "portal").await;
    assert_eq!(again.data["status"]["clientID"], id.as_str());
    let server_again = world.ready("ResourceServer", "mcp").await;
    assert_eq!(server_again.data["status"]["resourceServerID"], server.data["status"]["resourceServerID"]);
    assert_eq!(world.secret("portal-oauth", "client_secret").await, secret);
    assert_eq!(world.count("SELECT count(*) FROM access_token WHERE revoked_at IS NOT NULL").await, 0);
    invariants::hold_unseen(&world, &operator, &[]).await;

    // an older definition is named, with what it lacks
    let mut older = serde_json::to_value(definitions.get(names[0]).await.unwrap()).unwrap();
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    older.pointer_mut(spec).unwrap().as_object_mut().unwrap().remove("dynamicClients").unwrap();
    older["metadata"]["managedFields"] = json!(null);
    definitions.patch(names[0], &PatchParams::apply("holdfast-tests").force(), &Patch::Apply(older)).await.unwrap();
    eventually("the operator to name what is missing", async || {
        holdfast::domain::StatusBoard::definitions_lacking(&operator.board)
            .is_some_and(|lacking| lacking == "resourceservers.holdfast.dev lacks spec.dynamicClients")
            .then_some(())
    })
    .await;
    operator.stop().await;
}
