//! The end of an object: what goes with it, what stays, and what comes back.

use holdfast::domain::policy::Policy;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::harness::{World, client, condition, eventually, resource_server};

fn retained(mut spec: Value) -> Value {
    spec["deletionPolicy"] = "Retain".into();
    spec
}

/// The row and its Secret go; the same ids come back, and nothing else.
#[tokio::test]
async fn a_deleted_object_takes_its_row_along_and_gets_its_ids_back() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply("ResourceServer", "mcp", resource_server("https://back.example.com/mcp")).await;
    world.apply("OAuthClient", "portal", client()).await;
    let server = world.ready("ResourceServer", "mcp").await;
    let before = world.ready("OAuthClient", "portal").await;
    assert_eq!(before.finalizers(), ["holdfast.dev/cleanup"]);
    let id = before.data["status"]["clientID"].clone();
    let secret = world.secret("portal-oauth", "client_secret").await;
    let owners = world.secrets().get("portal-oauth").await.unwrap().metadata.owner_references.unwrap();
    assert_eq!(owners[0].uid, before.uid().unwrap());

    world.delete("OAuthClient", "portal").await;
    world.until_gone("OAuthClient", "portal").await;
    eventually("the client to be unknown", async || {
        operator.store.snapshot().client(id.as_str().unwrap()).is_none().then_some(())
    })
    .await;
    eventually("the Secret to be collected", async || {
        world.secrets().get_opt("portal-oauth").await.unwrap().is_none().then_some(())
    })
    .await;
    world.event("portal", "Deleted").await;

    world.apply("OAuthClient", "portal", client()).await;
    let after = world.ready("OAuthClient", "portal").await;
    assert_eq!(after.data["status"]["clientID"], id);
    assert_ne!(world.secret("portal-oauth", "client_secret").await, secret);

    // the referrer of a deleted resource server waits; the id comes back with it
    world.delete("ResourceServer", "mcp").await;
    world.until_gone("ResourceServer", "mcp").await;
    world.until("OAuthClient", "portal", "ResolvedRefs", "False", "RefNotFound").await;
    world.apply("ResourceServer", "mcp", resource_server("https://back.example.com/mcp")).await;
    let again = world.ready("ResourceServer", "mcp").await;
    assert_eq!(again.data["status"]["resourceServerID"], server.data["status"]["resourceServerID"]);
    world.ready("OAuthClient", "portal").await;
    operator.stop().await;
}

/// A retained object never hangs, its row and its Secret outlive it, and it may take them up again.
#[tokio::test]
async fn retain_leaves_the_row_and_the_secret() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply("ResourceServer", "mcp", resource_server("https://retain.example.com/mcp")).await;
    world.apply("OAuthClient", "portal", client()).await;
    world.ready("OAuthClient", "portal").await;
    world.apply("OAuthClient", "portal", retained(client())).await;
    let object = eventually("finalizer and ownership to go", async || {
        let object = world.get("OAuthClient", "portal").await;
        let secret = world.secrets().get("portal-oauth").await.unwrap();
        let free = object.finalizers().is_empty() && secret.metadata.owner_references.unwrap_or_default().is_empty();
        free.then_some(object)
    })
    .await;
    let id = object.data["status"]["clientID"].as_str().unwrap().to_owned();
    let value = world.secret("portal-oauth", "client_secret").await;
    world.ready("OAuthClient", "portal").await;

    world.delete("OAuthClient", "portal").await;
    world.until_gone("OAuthClient", "portal").await;
    world.event("portal", "Retained").await;
    assert!(operator.store.snapshot().client(&id).is_some());
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(world.secret("portal-oauth", "client_secret").await, value);

    world.apply("OAuthClient", "portal", client()).await;
    let again = world.ready("OAuthClient", "portal").await;
    assert_eq!(again.data["status"]["clientID"], id.as_str());
    operator.stop().await;
}

/// An operator that was away when a retained object went releases its row; one of a kept policy is only told.
#[tokio::test]
async fn what_went_unseen_is_released_or_told() {
    let world = World::new().await;
    let operator = world.operator().await;
    let spec = resource_server("https://unseen.example.com/kept");
    world.apply("ResourceServer", "kept", retained(spec)).await;
    world.apply("ResourceServer", "orphan", resource_server("https://unseen.example.com/orphan")).await;
    let kept = world.ready("ResourceServer", "kept").await;
    let orphan = world.ready("ResourceServer", "orphan").await;
    operator.stop().await;
    let force = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    world.api("ResourceServer", world.namespace()).patch("orphan", &PatchParams::default(), &force).await.unwrap();
    for name in ["kept", "orphan"] {
        world.delete("ResourceServer", name).await;
        world.until_gone("ResourceServer", name).await;
    }

    let operator = world.operator().await;
    world.event("kept", "Retained").await;
    world.event("orphan", "OrphanFound").await;
    for object in [kept, orphan] {
        let id = object.data["status"]["resourceServerID"].as_str().unwrap();
        assert!(operator.store.snapshot().resource_server(id).is_some(), "a scan deletes nothing");
    }
    operator.stop().await;
}

/// The annotation does the same where the spec can no longer be changed.
#[tokio::test]
async fn the_annotation_retains_too() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply("ResourceServer", "mcp", resource_server("https://note.example.com/mcp")).await;
    let object = world.ready("ResourceServer", "mcp").await;
    let id = object.data["status"]["resourceServerID"].as_str().unwrap();
    let note = Patch::Merge(json!({"metadata": {"annotations": {"holdfast.dev/deletion-policy": "Retain"}}}));
    world.api("ResourceServer", world.namespace()).patch("mcp", &PatchParams::default(), &note).await.unwrap();
    eventually("the finalizer to go", async || {
        world.get("ResourceServer", "mcp").await.finalizers().is_empty().then_some(())
    })
    .await;
    world.delete("ResourceServer", "mcp").await;
    world.until_gone("ResourceServer", "mcp").await;
    world.event("mcp", "Retained").await;
    assert!(operator.store.snapshot().resource_server(id).is_some());
    operator.stop().await;
}

/// A provider in use stays until its resource server lets go of it.
#[tokio::test]
async fn a_provider_in_use_blocks_its_deletion() {
    let world = World::new().await;
    let operator = world.operator().await;
    let provider = json!({"type": "APIKey", "purposes": ["Broker"], "apiKey": {"header": "Authorization"}});
    world.apply("Provider", "upstream", provider).await;
    world.ready("Provider", "upstream").await;
    let mut spec = resource_server("https://blocked.example.com/mcp");
    spec["tokenSource"] = json!({"type": "Broker", "providerRef": {"name": "upstream"}});
    world.apply("ResourceServer", "mcp", spec).await;
    world.ready("ResourceServer", "mcp").await;
    world.delete("Provider", "upstream").await;
    let blocked = world.until("Provider", "upstream", "Ready", "False", "DeletionBlocked").await;
    assert!(condition(&blocked, "Synced").message.contains("mcp"));
    world.event("upstream", "DeletionBlocked").await;

    world.delete("ResourceServer", "mcp").await;
    world.until_gone("ResourceServer", "mcp").await;
    world.until_gone("Provider", "upstream").await;
    operator.stop().await;
}

/// The row of an id belongs to one object; another one is told, and gets it when it is free.
#[tokio::test]
async fn two_objects_cannot_have_one_client_id() {
    let world = World::new().await;
    let operator = world.operator().await;
    let id = format!("shared-{}", world.namespace());
    let mut spec = client();
    spec["clientID"] = id.as_str().into();
    spec["resources"] = json!([]);
    world.apply("OAuthClient", "first", spec.clone()).await;
    world.ready("OAuthClient", "first").await;
    spec["authentication"]["secret"]["name"] = "second-oauth".into();
    world.apply("OAuthClient", "second", spec).await;
    let second = world.until("OAuthClient", "second", "Accepted", "False", "Conflict").await;
    assert!(condition(&second, "Accepted").message.contains("first"));
    assert_eq!(condition(&second, "Stalled").reason, "Conflict");
    world.event("second", "OwnershipConflict").await;
    assert!(operator.store.snapshot().client(&id).is_some());
    operator.stop().await;
}

/// A row that nobody owns goes to who may have it, and to nobody else; taking it over changes what the spec says only.
#[tokio::test]
async fn a_row_without_an_owner_is_adopted_from_a_trusted_namespace() {
    let world = World::with(2).await;
    let operator = world.operator().await;
    let untrusted = world.namespaces[1].clone();
    let mut spec = client();
    spec["clientID"] = "legacy".into();
    spec["displayName"] = "Legacy".into();
    spec["resources"] = json!([]);
    // made by an object that was retained, and so by nobody any more
    world.apply("OAuthClient", "former", retained(spec.clone())).await;
    world.ready("OAuthClient", "former").await;
    world.delete("OAuthClient", "former").await;
    world.event("former", "Retained").await;
    world.sql("DELETE FROM managed").await;

    world.apply_in(&untrusted, "OAuthClient", "thief", spec.clone()).await;
    let refused = ("Accepted", "False", "AdoptionRefused");
    let thief = world.until_in(&untrusted, "OAuthClient", "thief", refused).await;
    assert_eq!(condition(&thief, "Stalled").reason, "AdoptionRefused");

    spec["authentication"]["secret"]["name"] = "heir-oauth".into();
    world.apply("OAuthClient", "heir", spec).await;
    let heir = world.ready("OAuthClient", "heir").await;
    assert_eq!(heir.data["status"]["clientID"], "legacy");
    world.event("heir", "Adopted").await;
    operator.stop().await;
}
