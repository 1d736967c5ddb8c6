//! Definitions that are older than the program: what they lack is said, and policy is in force all the same.

use holdfast::crd;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use rstest::rstest;
use serde_json::{Value, json};

use super::harness::{World, client, condition, eventually, resource_server};
use crate::support::cluster;
use crate::support::server::Home;

const STATUS: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties";

/// As an older version had it: without this member of the status, or with fewer values of it.
async fn install(world: &World, values: Option<Value>) {
    let ours = crd::all().unwrap().into_iter().find(|ours| ours.name_any() == "resourceservers.holdfast.dev").unwrap();
    let mut older = serde_json::to_value(ours).unwrap();
    let status = older.pointer_mut(STATUS).unwrap().as_object_mut().unwrap();
    match values {
        Some(values) => status["state"]["enum"] = values,
        None => assert!(status.remove("metadataURI").is_some()),
    }
    let api: Api<CustomResourceDefinition> = Api::all(world.client.clone());
    let parameters = PatchParams::apply("holdfast-tests").force();
    api.patch("resourceservers.holdfast.dev", &parameters, &Patch::Apply(older)).await.unwrap();
}

/// The API server refuses a status of which it does not know a member (500), or a value (422). That is
/// said in `/health?verbose` and in the log; policy is in force, others are served, and it is made up for when the
/// definition is there.
#[rstest]
#[case::member(None, "resourceservers.holdfast.dev lacks status.metadataURI")]
#[case::value(Some(json!(["Draft"])), "resourceservers.holdfast.dev lacks status.state beyond Draft")]
#[tokio::test(flavor = "multi_thread")]
async fn an_older_definition_is_named_and_stops_no_policy(#[case] values: Option<Value>, #[case] lacking: &str) {
    let cluster = cluster::private();
    let world = World::alone(&cluster, 1).await;
    install(&world, values).await;
    let mut home = Home::new();
    home.set("KUBECONFIG", &cluster.kubeconfig);
    home.set("HOLDFAST_OPERATOR__ENABLED", "true");
    home.set("HOLDFAST_OPERATOR__NAMESPACE", world.namespace());
    home.set("HOLDFAST_OPERATOR__NAMESPACES", &json!([world.namespace()]).to_string());
    home.set("HOLDFAST_OPERATOR__DRIFT__SCAN_INTERVAL", "10s");
    let server = home.start().await;
    world.apply("ResourceServer", "mcp", resource_server("https://older.example.com/mcp")).await;
    world.apply("OAuthClient", "portal", client()).await;
    world.ready("OAuthClient", "portal").await;
    let key = ["client_id", "client_secret"].map(|key| world.secret("portal-oauth", key));
    let [id, secret] = key;
    let (id, secret) = (id.await, secret.await);
    assert_eq!(server.token(&id, &secret).await.status(), 200);

    let checks = async || -> Value {
        let health: Value = server.get(&server.admin("/health?verbose")).await.json().await.unwrap();
        health["checks"].clone()
    };
    eventually("what is lacking to be named", async || {
        (checks().await["custom_resource_definitions"] == lacking).then_some(())
    })
    .await;
    let others = checks().await;
    assert_eq!((&others["database"], &others["leader_lease"]), (&json!("ok"), &json!("held")));
    server.event("definitions_outdated", |line| line["lacking"] == lacking).await;
    let older = "the installed definition may be older than this program";
    eventually("the log to say so", async || server.log().contains(older).then_some(())).await;
    let unsaid = condition(&world.get("ResourceServer", "mcp").await, "Ready");
    assert_eq!(unsaid.status, "Unknown", "nothing could be said");

    cluster::apply_crds(&world.client).await;
    world.ready("ResourceServer", "mcp").await;
    eventually("nothing to be lacking", async || checks().await["custom_resource_definitions"].is_null().then_some(()))
        .await;
    assert_eq!(server.token(&id, &secret).await.status(), 200);
}
