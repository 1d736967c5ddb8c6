//! Objects that go without anybody seeing it, on a real API server.

use std::time::Duration;

use holdfast::domain::client::ClientState;
use holdfast::domain::policy::Policy;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::harness::{Operator, World, client, eventually, resource_server};

/// Takes an object away past its finalizer.
async fn tear_out(world: &World, kind: &str, name: &str) {
    let force = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    world.api(kind, world.namespace()).patch(name, &PatchParams::default(), &force).await.unwrap();
    world.delete(kind, name).await;
    world.until_gone(kind, name).await;
}

async fn gauge(operator: &Operator, line: &str) {
    eventually(line, async || operator.metrics.render().unwrap().contains(line).then_some(())).await;
}

fn is_active(operator: &Operator, id: &str) -> Option<bool> {
    operator.store.snapshot().client(id).map(|entry| entry.client.state == ClientState::Active)
}

/// mechanics §6: told at once, suspended after an hour, as before when it comes back, and gone after a month.
#[tokio::test]
async fn an_object_that_was_torn_out_is_missed_suspended_and_taken_up_again() {
    let mut world = World::new().await;
    world.rescan = Duration::from_secs(1);
    let operator = world.operator().await;
    world.apply("ResourceServer", "mcp", resource_server("https://torn.example.com/mcp")).await;
    world.apply("OAuthClient", "portal", client()).await;
    let before = world.ready("OAuthClient", "portal").await;
    let id = before.data["status"]["clientID"].as_str().unwrap().to_owned();
    operator.stop().await;
    tear_out(&world, "OAuthClient", "portal").await;

    let operator = world.operator().await;
    world.event("portal", "OrphanFound").await;
    gauge(&operator, "holdfast_orphan_rows{kind=\"OAuthClient\"} 1").await;
    eventually("a second look", async || (world.count("SELECT looks FROM orphan").await == 2).then_some(())).await;
    assert_eq!(is_active(&operator, &id), Some(true), "an hour has not passed");
    world.clock.advance(3600);
    world.event("portal", "Suspended").await;
    eventually("the suspension", async || (is_active(&operator, &id) == Some(false)).then_some(())).await;

    world.apply("OAuthClient", "portal", client()).await;
    let after = world.ready("OAuthClient", "portal").await;
    assert_eq!(after.data["status"]["clientID"], id.as_str());
    assert_ne!(after.uid(), before.uid());
    world.event("portal", "Resumed").await;
    assert!(!world.events("portal").await.iter().any(|event| event.1 == "DriftDetected"), "that is no drift");
    gauge(&operator, "holdfast_orphan_rows{kind=\"OAuthClient\"} 0").await;
    operator.stop().await;

    tear_out(&world, "OAuthClient", "portal").await;
    let operator = world.operator().await;
    eventually("two looks", async || {
        (world.count("SELECT coalesce(max(looks), 0) FROM orphan").await == 2).then_some(())
    })
    .await;
    world.clock.advance(3600);
    eventually("the suspension", async || (is_active(&operator, &id) == Some(false)).then_some(())).await;
    world.clock.advance(30 * 86_400);
    eventually("the end", async || is_active(&operator, &id).is_none().then_some(())).await;
    world.event("portal", "Deleted").await;
    operator.stop().await;
}

/// mechanics §6: a namespace that is no longer watched makes no row an orphan.
#[tokio::test]
async fn what_is_not_watched_is_not_missed() {
    let mut world = World::with(2).await;
    world.rescan = Duration::from_secs(1);
    let operator = world.operator().await;
    let other = world.namespaces[1].clone();
    world.apply("ResourceServer", "mcp", resource_server("https://watched.example.com/mcp")).await;
    world.apply_in(&other, "ResourceServer", "mcp", resource_server("https://unwatched.example.com/mcp")).await;
    world.ready("ResourceServer", "mcp").await;
    world.until_in(&other, "ResourceServer", "mcp", ("Ready", "True", "Ready")).await;
    operator.stop().await;
    tear_out(&world, "ResourceServer", "mcp").await;
    let api = world.api("ResourceServer", &other);
    let force = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("mcp", &PatchParams::default(), &force).await.unwrap();
    api.delete("mcp", &Default::default()).await.unwrap();

    world.namespaces.truncate(1);
    let operator = world.operator().await;
    gauge(&operator, "holdfast_orphan_rows{kind=\"ResourceServer\"} 1").await;
    let rows = "SELECT count(*) FROM orphan WHERE owner_namespace <> '";
    assert_eq!(world.count(&format!("{rows}{}'", world.namespace())).await, 0);
    operator.stop().await;
}
