//! What would disturb every other test: on a cluster of its own, with all namespaces watched.

use holdfast::domain::policy::Policy;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::harness::{World, client, condition, eventually, resource_server};
use crate::support::cluster;

/// Labels of a namespace open and close a door, and deleting the definitions deletes no policy.
#[tokio::test]
async fn namespaces_are_watched_and_definitions_may_go() {
    let cluster = cluster::private();
    let world = World::alone(&cluster, 2).await;
    let operator = world.operator().await;
    let guests = world.namespaces[1].clone();
    let mut spec = resource_server("https://alone.example.com/mcp");
    spec["allowedNamespaces"] = json!({"from": "Selector", "selector": {"matchLabels": {"billing": "allowed"}}});
    world.apply("ResourceServer", "mcp", spec).await;
    let server = world.ready("ResourceServer", "mcp").await;
    let mut guest = client();
    guest["resources"][0]["resourceServerRef"] = json!({"name": "mcp", "namespace": world.namespace()});
    world.apply_in(&guests, "OAuthClient", "guest", guest).await;
    world.until_in(&guests, "OAuthClient", "guest", ("ResolvedRefs", "False", "RefNotPermitted")).await;

    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    for (label, outcome) in [(json!("allowed"), ("Ready", "True", "Ready")), (json!(null), REFUSED)] {
        let patch = Patch::Merge(json!({"metadata": {"labels": {"billing": label}}}));
        namespaces.patch(&guests, &PatchParams::default(), &patch).await.unwrap();
        world.until_in(&guests, "OAuthClient", "guest", outcome).await;
    }

    let definitions: Api<CustomResourceDefinition> = Api::all(world.client.clone());
    let name = "resourceservers.holdfast.dev";
    // an object from a newer program says what it lacks, and holds up nobody
    let mut newer = serde_json::to_value(definitions.get(name).await.unwrap()).unwrap();
    let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/dynamicClients";
    let enumeration = newer.pointer_mut(&format!("{path}/enum")).unwrap().as_array_mut().unwrap();
    enumeration.push("Future".into());
    newer["metadata"]["managedFields"] = json!(null);
    let apply = PatchParams::apply("holdfast-tests").force();
    definitions.patch(name, &apply, &Patch::Apply(newer)).await.unwrap();
    let mut future = resource_server("https://alone.example.com/future");
    future["dynamicClients"] = "Future".into();
    let accepted = eventually("the newer definition to be served", async || {
        let object = json!({
            "apiVersion": "holdfast.dev/v1alpha1", "kind": "ResourceServer",
            "metadata": {"name": "future"}, "spec": future,
        });
        let api = world.api("ResourceServer", world.namespace());
        api.patch("future", &PatchParams::apply("kubectl").force(), &Patch::Apply(object)).await.ok()
    });
    accepted.await;
    let future = world.until("ResourceServer", "future", "Accepted", "False", "InvalidSpec").await;
    assert!(condition(&future, "Accepted").message.contains("Future"));
    assert_eq!(condition(&future, "Stalled").status, "True");
    world.apply("ResourceServer", "later", resource_server("https://alone.example.com/later")).await;
    world.ready("ResourceServer", "later").await;

    // deleting a definition looks like deleting each of its objects
    definitions.delete(name, &DeleteParams::default()).await.unwrap();
    eventually("the definition to go", async || definitions.get_opt(name).await.unwrap().is_none().then_some(())).await;
    let id = server.data["status"]["resourceServerID"].as_str().unwrap();
    assert!(operator.store.snapshot().resource_server(id).is_some(), "its policy stays");

    // and with the definition the object takes its row up again
    cluster::apply_crds(&world.client).await;
    operator.stop().await;
    let operator = world.operator().await;
    world.apply("ResourceServer", "mcp", resource_server("https://alone.example.com/mcp")).await;
    let again = world.ready("ResourceServer", "mcp").await;
    assert_eq!(again.data["status"]["resourceServerID"], id);
    operator.stop().await;
}

const REFUSED: (&str, &str, &str) = ("ResolvedRefs", "False", "RefNotPermitted");
