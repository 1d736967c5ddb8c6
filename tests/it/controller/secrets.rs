//! Generated credentials and their Secrets: rotation, leaks, strangers.

use std::time::Duration;

use holdfast::domain::policy::Policy;
use holdfast::domain::{CredentialState, SecretText};
use jiff::Timestamp;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::harness::{Operator, World, client, condition, eventually, resource_server};

async fn portal(world: &World, rotation: Value) -> DynamicObject {
    let mut spec = client();
    if !rotation.is_null() {
        spec["authentication"]["secret"]["rotation"] = rotation;
    }
    world.apply("OAuthClient", "portal", spec).await;
    world.ready("OAuthClient", "portal").await
}

/// The states of the credentials, by whether the value is this one.
fn states(operator: &Operator, id: &str) -> Vec<CredentialState> {
    let snapshot = operator.store.snapshot();
    let mut states: Vec<_> = snapshot.client(id).unwrap().credentials.iter().map(|c| c.state).collect();
    states.sort_by_key(|state| state.as_str());
    states
}

fn authenticates(operator: &Operator, id: &str, value: &str) -> bool {
    let (hash, now) = (SecretText::new(value).hash(), Timestamp::from_second(now()).unwrap());
    operator.store.snapshot().client(id).unwrap().credentials.iter().any(|c| c.hash == hash && c.is_live(now))
}

fn now() -> i64 {
    now_time().as_second()
}

#[allow(clippy::disallowed_methods)] // the API server keeps the time of this test
pub fn now_time() -> Timestamp {
    Timestamp::now()
}

async fn another_value(world: &World, before: &str) -> String {
    eventually("another secret", async || {
        let value = world.secret("portal-oauth", "client_secret").await;
        (value != before).then_some(value)
    })
    .await
}

/// K5: by period, with an overlap in which both work.
#[tokio::test]
async fn a_secret_is_rotated_by_period_with_an_overlap() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply("ResourceServer", "mcp", resource_server("https://period.example.com/mcp")).await;
    let object = portal(&world, json!({"periodSeconds": 10, "overlapSeconds": 3})).await;
    let id = object.data["status"]["clientID"].as_str().unwrap();
    let first = world.secret("portal-oauth", "client_secret").await;
    assert!(object.data["status"]["secret"]["nextRotationTime"].is_string());
    let second = another_value(&world, &first).await;
    eventually("both to authenticate", async || {
        (states(&operator, id) == [CredentialState::Current, CredentialState::Retiring]).then_some(())
    })
    .await;
    assert!(authenticates(&operator, id, &first) && authenticates(&operator, id, &second));
    eventually("the old one to end", async || (states(&operator, id) == [CredentialState::Current]).then_some(()))
        .await;
    assert!(!authenticates(&operator, id, &first) && authenticates(&operator, id, &second));
    world.event("portal", "SecretRotated").await;
    world.event("portal", "SecretRetired").await;
    operator.stop().await;
}

/// K5: a level, not a trigger.
#[tokio::test]
async fn rotate_issued_before_acts_once() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply("ResourceServer", "mcp", resource_server("https://level.example.com/mcp")).await;
    let object = portal(&world, Value::Null).await;
    let id = object.data["status"]["clientID"].as_str().unwrap();
    let first = world.secret("portal-oauth", "client_secret").await;
    let level = Timestamp::from_second(now() + 2).unwrap();
    portal(&world, json!({"rotateIssuedBefore": level.to_string(), "overlapSeconds": 3600})).await;
    let second = another_value(&world, &first).await;
    eventually("both to authenticate", async || {
        (authenticates(&operator, id, &first) && authenticates(&operator, id, &second)).then_some(())
    })
    .await;
    let settled = eventually("status to name both", async || {
        let object = world.get("OAuthClient", "portal").await;
        let secret = object.data["status"]["secret"].clone();
        (secret["retiring"].as_array().map_or(0, Vec::len) == 1).then_some(secret)
    })
    .await;
    assert!(settled["nextRotationTime"].is_null(), "{settled}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.secret("portal-oauth", "client_secret").await, second, "it acts once");
    operator.stop().await;
}

/// K5: a leak. Nothing of before works, at once.
#[tokio::test]
async fn revoke_issued_before_ends_every_older_secret_at_once() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply("ResourceServer", "mcp", resource_server("https://leak.example.com/mcp")).await;
    let object = portal(&world, Value::Null).await;
    let id = object.data["status"]["clientID"].as_str().unwrap();
    let first = world.secret("portal-oauth", "client_secret").await;
    let mut spec = client();
    // a time to come acts now, and never on what replaces it
    let level = Timestamp::from_second(now() + 3600).unwrap();
    spec["authentication"]["secret"]["rotation"] = json!({"revokeIssuedBefore": level.to_string()});
    world.apply("OAuthClient", "portal", spec).await;
    let second = another_value(&world, &first).await;
    eventually("only the new one to authenticate", async || {
        (!authenticates(&operator, id, &first) && authenticates(&operator, id, &second)).then_some(())
    })
    .await;
    world.ready("OAuthClient", "portal").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.secret("portal-oauth", "client_secret").await, second);
    operator.stop().await;
}

/// A Secret that is somebody else's is never written.
#[tokio::test]
async fn a_foreign_secret_is_left_as_it_is() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply("ResourceServer", "mcp", resource_server("https://foreign.example.com/mcp")).await;
    world.ready("ResourceServer", "mcp").await;
    let foreign = serde_json::from_value(json!({"metadata": {"name": "portal-oauth"}, "stringData": {"mine": "x"}}));
    let foreign = world.secrets().create(&PostParams::default(), &foreign.unwrap()).await.unwrap();
    world.apply("OAuthClient", "portal", client()).await;
    let conflict = world.until("OAuthClient", "portal", "SecretCurrent", "False", "SecretConflict").await;
    assert_eq!(condition(&conflict, "Ready").reason, "SecretConflict");
    assert_eq!(condition(&conflict, "Stalled").status, "True");
    world.event("portal", "SecretConflict").await;
    let later = world.secrets().get("portal-oauth").await.unwrap();
    assert_eq!(later.metadata.resource_version, foreign.metadata.resource_version);
    operator.stop().await;
}

/// What somebody changes in our Secret is not overwritten either; deleting it makes a new one.
#[tokio::test]
async fn a_changed_secret_conflicts_and_a_deleted_one_is_made_again() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply("ResourceServer", "mcp", resource_server("https://changed.example.com/mcp")).await;
    let object = portal(&world, Value::Null).await;
    let id = object.data["status"]["clientID"].as_str().unwrap();
    let first = world.secret("portal-oauth", "client_secret").await;
    let change = Patch::Merge(json!({"stringData": {"client_secret": "somebody-elses-value-0123456789abcdef"}}));
    world.secrets().patch("portal-oauth", &PatchParams::default(), &change).await.unwrap();
    world.until("OAuthClient", "portal", "SecretCurrent", "False", "SecretConflict").await;
    assert_eq!(world.secret("portal-oauth", "client_secret").await, "somebody-elses-value-0123456789abcdef");
    assert!(authenticates(&operator, id, &first), "what works goes on working");

    world.secrets().delete("portal-oauth", &DeleteParams::default()).await.unwrap();
    world.ready("OAuthClient", "portal").await;
    let again = world.secret("portal-oauth", "client_secret").await;
    eventually("the new one to authenticate", async || authenticates(&operator, id, &again).then_some(())).await;
    operator.stop().await;
}

/// Keys and template are the author's; a rename leaves nothing behind under the old key.
#[tokio::test]
async fn keys_and_template_follow_the_spec() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply("ResourceServer", "mcp", resource_server("https://keys.example.com/mcp")).await;
    portal(&world, Value::Null).await;
    let value = world.secret("portal-oauth", "client_secret").await;
    let mut spec = client();
    spec["authentication"]["secret"]["keys"] =
        json!({"clientID": "OIDC_CLIENT_ID", "clientSecret": "OIDC_CLIENT_SECRET", "issuer": "OIDC_ISSUER"});
    spec["authentication"]["secret"]["template"] = json!({"labels": {"team": "web"}, "annotations": {"note": "x"}});
    world.apply("OAuthClient", "portal", spec).await;
    let secret = eventually("the Secret to follow", async || {
        let secret = world.secrets().get("portal-oauth").await.unwrap();
        let keys: Vec<_> = secret.data.clone().unwrap().into_keys().collect();
        (keys == ["OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "OIDC_ISSUER"]).then_some(secret)
    })
    .await;
    assert_eq!(secret.metadata.labels.unwrap()["team"], "web");
    world.ready("OAuthClient", "portal").await;
    let _ = value;
    operator.stop().await;
}

/// A resource server's introspection credential is published like a client's.
#[tokio::test]
async fn an_introspection_secret_is_published() {
    let world = World::new().await;
    let operator = world.operator().await;
    let mut spec = resource_server("https://introspect.example.com/mcp");
    spec["introspection"] = json!({"secret": {"name": "mcp-introspection"}});
    world.apply("ResourceServer", "mcp", spec).await;
    let ready = world.ready("ResourceServer", "mcp").await;
    assert_eq!(condition(&ready, "SecretCurrent").reason, "Current");
    let id = world.secret("mcp-introspection", "client_id").await;
    assert_eq!(ready.data["status"]["resourceServerID"], id.as_str());
    let hash = SecretText::new(world.secret("mcp-introspection", "client_secret").await).hash();
    let snapshot = operator.store.snapshot();
    assert!(snapshot.resource_server(&id).unwrap().credentials.iter().any(|c| c.hash == hash));
    operator.stop().await;
}
