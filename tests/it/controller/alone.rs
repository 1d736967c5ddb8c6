//! What would disturb every other test: on a cluster of its own, with all namespaces watched.

use holdfast::domain::policy::Policy;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::harness::{World, client, eventually, resource_server};
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

    // deleting a definition looks like deleting each of its objects
    let definitions: Api<CustomResourceDefinition> = Api::all(world.client.clone());
    let name = "resourceservers.holdfast.dev";
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
