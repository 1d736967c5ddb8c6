//! References: in any order, in any namespace that allows it, and withdrawn at once.

use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use super::harness::{World, client, condition, resource_server};
use holdfast::domain::Kind;
use holdfast::domain::OwnerKey;
use holdfast::domain::policy::Policy;

/// A client may come before the resource server that it names.
#[tokio::test]
async fn a_client_waits_for_its_resource_server() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply("OAuthClient", "portal", client()).await;
    let waiting = world.until("OAuthClient", "portal", "ResolvedRefs", "False", "RefNotFound").await;
    assert_eq!(condition(&waiting, "Ready").reason, "RefNotFound");
    assert_eq!(condition(&waiting, "Reconciling").status, "True");
    assert_eq!(waiting.data["status"]["resources"], json!([{"name": "mcp", "state": "RefNotFound"}]));
    assert_eq!(world.event("portal", "RefNotFound").await.0, "spec.resources[mcp].resourceServerRef");

    world.apply("ResourceServer", "mcp", resource_server("https://late.example.com/mcp")).await;
    let ready = world.ready("OAuthClient", "portal").await;
    assert_eq!(ready.data["status"]["resources"], json!([{"name": "mcp", "state": "Attached"}]));
    world.event("portal", "RefsResolved").await;
    operator.stop().await;
}

/// Who may refer to a resource server is its own word, and taking it back cuts off at once.
#[tokio::test]
async fn another_namespace_needs_permission_and_loses_it() {
    let world = World::with(2).await;
    let operator = world.operator().await;
    let other = world.namespaces[1].clone();
    let mut spec = resource_server("https://shared.example.com/mcp");
    world.apply("ResourceServer", "mcp", spec.clone()).await;
    world.ready("ResourceServer", "mcp").await;
    let mut guest = client();
    guest["resources"][0]["resourceServerRef"] = json!({"name": "mcp", "namespace": world.namespace()});
    world.apply_in(&other, "OAuthClient", "guest", guest).await;
    world.until_in(&other, "OAuthClient", "guest", ("ResolvedRefs", "False", "RefNotPermitted")).await;

    let attached = |expected: usize| {
        let (store, key) = (operator.store.clone(), OwnerKey::new(Kind::OAuthClient, &other, "guest"));
        super::harness::eventually("the attachment in the policy in force", async move || {
            let snapshot = store.snapshot();
            let id = snapshot.entity_of(&key)?.to_owned();
            (snapshot.client(&id)?.client.resources.len() == expected).then_some(())
        })
    };
    spec["allowedNamespaces"] = json!({"from": "All"});
    world.apply("ResourceServer", "mcp", spec.clone()).await;
    world.until_in(&other, "OAuthClient", "guest", ("Ready", "True", "Ready")).await;
    attached(1).await;

    spec["allowedNamespaces"] = json!({"from": "Same"});
    world.apply("ResourceServer", "mcp", spec.clone()).await;
    world.until_in(&other, "OAuthClient", "guest", ("ResolvedRefs", "False", "RefNotPermitted")).await;
    attached(0).await;
    operator.stop().await;
}

/// A selector matches the labels of the namespace that refers.
#[tokio::test]
async fn a_selector_admits_by_label() {
    let world = World::with(2).await;
    let operator = world.operator().await;
    let other = world.namespaces[1].clone();
    let namespaces: kube::Api<k8s_openapi::api::core::v1::Namespace> = kube::Api::all(world.client.clone());
    let labels = Patch::Merge(json!({"metadata": {"labels": {"billing": "allowed"}}}));
    namespaces.patch(&other, &PatchParams::default(), &labels).await.unwrap();
    let mut spec = resource_server("https://selected.example.com/mcp");
    spec["allowedNamespaces"] = json!({"from": "Selector", "selector": {"matchLabels": {"billing": "allowed"}}});
    world.apply("ResourceServer", "mcp", spec).await;
    world.ready("ResourceServer", "mcp").await;
    let mut guest = client();
    guest["resources"][0]["resourceServerRef"] = json!({"name": "mcp", "namespace": world.namespace()});
    world.apply_in(&other, "OAuthClient", "guest", guest).await;
    world.until_in(&other, "OAuthClient", "guest", ("Ready", "True", "Ready")).await;
    operator.stop().await;
}

/// A Secret is used only with the label of whoever owns it, and its arrival is noticed.
#[tokio::test]
async fn a_referenced_secret_needs_its_label() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply("ResourceServer", "mcp", resource_server("https://label.example.com/mcp")).await;
    let mut spec = client();
    spec["authentication"]["secret"] = json!({"source": "Referenced", "name": "own"});
    world.apply("OAuthClient", "portal", spec).await;
    world.until("OAuthClient", "portal", "ResolvedRefs", "False", "RefNotFound").await;

    let value = "0123456789abcdefghijklmnopqrstuvwxyz";
    let secret = serde_json::from_value(json!({"metadata": {"name": "own"}, "stringData": {"client_secret": value}}));
    world.secrets().create(&PostParams::default(), &secret.unwrap()).await.unwrap();
    let label = Patch::Merge(json!({"metadata": {"labels": {"holdfast.dev/referenced": "true"}}}));
    world.secrets().patch("own", &PatchParams::default(), &label).await.unwrap();
    let ready = world.ready("OAuthClient", "portal").await;
    let id = ready.data["status"]["clientID"].as_str().unwrap();
    let hash = holdfast::domain::SecretText::new(value).hash();
    super::harness::eventually("the referenced credential", async || {
        operator.store.snapshot().client(id)?.credentials.iter().any(|c| c.hash == hash).then_some(())
    })
    .await;

    // a new value is noticed without a restart, and the old one lives on for the overlap
    let short = Patch::Merge(json!({"stringData": {"client_secret": "short"}}));
    world.secrets().patch("own", &PatchParams::default(), &short).await.unwrap();
    world.until("OAuthClient", "portal", "ResolvedRefs", "False", "SecretInvalid").await;
    assert!(operator.store.snapshot().client(id).unwrap().credentials.iter().any(|c| c.hash == hash));
    operator.stop().await;
}
