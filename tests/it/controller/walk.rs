//! From `kubectl apply` to Ready, and what a second look does not do.

use holdfast::domain::SecretText;
use holdfast::domain::policy::Policy;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use serde_json::json;

use super::harness::{ISSUER, World, client, condition, conditions, eventually, resource_server};

/// K1
#[tokio::test]
async fn three_kinds_become_ready() {
    let world = World::new().await;
    let operator = world.operator().await;
    let github: Secret = serde_json::from_value(json!({
        "metadata": {"name": "github", "labels": {"holdfast.dev/referenced": "true"}},
        "stringData": {"secret": "a-secret-of-the-provider"},
    }))
    .unwrap();
    world.secrets().create(&PostParams::default(), &github).await.unwrap();
    world.apply("ResourceServer", "mcp", resource_server("https://three.example.com/mcp")).await;
    world.apply("OAuthClient", "portal", client()).await;
    let provider = json!({
        "type": "OAuth2", "purposes": ["Broker"], "clientID": "Iv1.abc",
        "clientSecretRef": {"name": "github", "key": "secret"},
        "oauth2": {"authorizationEndpoint": "https://github.com/a", "tokenEndpoint": "https://github.com/t"},
    });
    world.apply("Provider", "github", provider).await;

    let server = world.ready("ResourceServer", "mcp").await;
    let status = &server.data["status"];
    assert!(status["resourceServerID"].as_str().unwrap().starts_with("rs_"), "{status}");
    assert_eq!(status["state"], "Ready");
    let metadata = format!("{ISSUER}/.well-known/oauth-protected-resource/{}/mcp", world.namespace());
    assert_eq!(status["metadataURI"], metadata);
    assert_eq!(condition(&server, "Launched").status, "True");
    let types: Vec<_> = conditions(&server).into_iter().map(|c| c.type_).collect();
    assert_eq!(types, ["Ready", "Accepted", "ResolvedRefs", "Synced", "Drifted", "Launched", "PolicySynced"]);

    let portal = world.ready("OAuthClient", "portal").await;
    let status = &portal.data["status"];
    let id = status["clientID"].as_str().unwrap();
    assert_eq!(status["resources"], json!([{"name": "mcp", "state": "Attached"}]));
    assert_eq!(status["observedGeneration"], 1);
    assert_eq!(condition(&portal, "SecretCurrent").reason, "Current");

    // the generated Secret authenticates
    assert_eq!(world.secret("portal-oauth", "client_id").await, id);
    assert_eq!(world.secret("portal-oauth", "issuer").await, ISSUER);
    let secret = SecretText::new(world.secret("portal-oauth", "client_secret").await);
    let snapshot = operator.store.snapshot();
    let entry = snapshot.client(id).unwrap();
    assert!(entry.credentials.iter().any(|credential| credential.hash == secret.hash()));
    assert_eq!(status["secret"]["currentID"], entry.credentials[0].id.as_str());

    let provider = world.ready("Provider", "github").await;
    assert_eq!(condition(&provider, "Reachable").reason, "NotChecked");
    world.event("portal", "Created").await;
    world.event("portal", "SecretGenerated").await;
    operator.stop().await;
}

/// An object that nobody looked at yet is never mistaken for a finished one.
#[tokio::test]
async fn before_the_first_look_the_status_says_so() {
    let world = World::new().await;
    let object = world.apply("ResourceServer", "mcp", resource_server("https://before.example.com/mcp")).await;
    assert_eq!(object.data["status"]["observedGeneration"], -1);
    assert_eq!(condition(&object, "Ready").reason, "Pending");
}

/// K6: 0 writes to the API server and no change row, also when everything starts anew.
#[tokio::test]
async fn a_second_look_writes_nothing() {
    let world = World::new().await;
    let operator = world.operator().await;
    // each refers to the other
    let mut spec = resource_server("https://again.example.com/mcp");
    spec["runtime"] = json!({"clientRefs": [{"name": "portal"}]});
    world.apply("ResourceServer", "mcp", spec).await;
    world.apply("OAuthClient", "portal", client()).await;
    world.ready("ResourceServer", "mcp").await;
    world.ready("OAuthClient", "portal").await;
    world.event("portal", "SecretGenerated").await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let (versions, changes) = (world.versions().await, world.count("SELECT count(*) FROM change").await);
    operator.stop().await;

    let operator = world.operator().await;
    eventually("both to be looked at", async || {
        use holdfast::domain::StatusBoard;
        (operator.board.statuses().len() == 2).then_some(())
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(world.versions().await, versions);
    assert_eq!(world.count("SELECT count(*) FROM change").await, changes);
    let metrics = operator.metrics.render().unwrap();
    let line = |start: &str| metrics.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned();
    let writes = line("holdfast_status_writes_total{kind=\"OAuthClient\"}");
    assert!(writes.ends_with(" 0"), "{writes}");
    let changed = line("holdfast_reconciles_total{kind=\"OAuthClient\",outcome=\"changed\"}");
    assert!(changed.ends_with(" 0"), "{changed}");
    operator.stop().await;
}

/// Bad input: the last good revision stays in force, and nobody else is held up.
#[tokio::test]
async fn an_invalid_spec_stalls_itself_alone() {
    let world = World::with(2).await;
    let operator = world.operator().await;
    let untrusted = world.namespaces[1].clone();
    let mut implicit = client();
    implicit["consent"] = "Implicit".into();
    implicit["resources"] = json!([]);
    world.apply_in(&untrusted, "OAuthClient", "greedy", implicit).await;
    let refused = ("Accepted", "False", "NotPermitted");
    let greedy = world.until_in(&untrusted, "OAuthClient", "greedy", refused).await;
    assert_eq!(condition(&greedy, "Stalled").status, "True");
    assert_eq!(condition(&greedy, "Ready").reason, "NotPermitted");
    assert!(condition(&greedy, "Accepted").message.contains("spec.consent"));

    world.apply("ResourceServer", "mcp", resource_server("https://good.example.com/mcp")).await;
    let good = world.ready("ResourceServer", "mcp").await;
    let mut bad = resource_server("https://good.example.com/mcp");
    bad["allowedNamespaces"] = json!({"from": "Selector", "selector": {"matchLabels": {"not a key": "x"}}});
    world.apply("ResourceServer", "mcp", bad).await;
    let stalled = world.until("ResourceServer", "mcp", "Accepted", "False", "InvalidSpec").await;
    assert_eq!(condition(&stalled, "Stalled").reason, "InvalidSpec");
    assert_eq!(condition(&stalled, "Synced").status, "True", "the last good revision stays in force");
    assert_eq!(stalled.data["status"]["resourceServerID"], good.data["status"]["resourceServerID"]);
    let id = good.data["status"]["resourceServerID"].as_str().unwrap();
    assert!(operator.store.snapshot().resource_server(id).is_some());
    assert_eq!(world.event("mcp", "InvalidSpec").await.0, "spec.allowedNamespaces.selector.matchLabels");
    operator.stop().await;
}

/// D8: draft, needs setup, ready.
#[tokio::test]
async fn a_draft_is_ready_as_a_draft_and_goes_live() {
    let world = World::new().await;
    let operator = world.operator().await;
    let mut spec = resource_server("https://draft.example.com/mcp");
    spec["lifecycle"] = "Draft".into();
    world.apply("ResourceServer", "mcp", spec.clone()).await;
    let draft = world.until("ResourceServer", "mcp", "Ready", "True", "Draft").await;
    assert_eq!(draft.data["status"]["state"], "Draft");
    assert!(draft.data["status"]["metadataURI"].is_null());

    spec["lifecycle"] = "Live".into();
    spec["scopes"] = json!([]);
    world.apply("ResourceServer", "mcp", spec.clone()).await;
    let blocked = world.until("ResourceServer", "mcp", "Launched", "False", "ActivationBlocked").await;
    assert_eq!(condition(&blocked, "Ready").reason, "ActivationBlocked");
    assert_eq!(blocked.data["status"]["state"], "NeedsSetup");
    world.event("mcp", "ActivationBlocked").await;

    spec["scopes"] = json!([{"name": "a"}]);
    world.apply("ResourceServer", "mcp", spec).await;
    world.ready("ResourceServer", "mcp").await;
    operator.stop().await;
}

#[tokio::test]
async fn another_installations_object_is_left_alone() {
    let world = World::new().await;
    let operator = world.operator().await;
    let mut spec = resource_server("https://other.example.com/mcp");
    spec["installation"] = "blue".into();
    let foreign = world.apply("ResourceServer", "foreign", spec).await;
    world.apply("ResourceServer", "mcp", resource_server("https://ours.example.com/mcp")).await;
    world.ready("ResourceServer", "mcp").await;
    let later = world.get("ResourceServer", "foreign").await;
    assert_eq!(later.metadata.resource_version, foreign.metadata.resource_version);
    operator.stop().await;
}

#[tokio::test]
async fn a_paused_object_is_kept_and_not_written() {
    let world = World::new().await;
    let operator = world.operator().await;
    let mut spec = resource_server("https://paused.example.com/mcp");
    world.apply("ResourceServer", "mcp", spec.clone()).await;
    world.ready("ResourceServer", "mcp").await;
    spec["reconciliation"] = "Paused".into();
    spec["displayName"] = "Another name".into();
    world.apply("ResourceServer", "mcp", spec.clone()).await;
    let paused = world.until("ResourceServer", "mcp", "Paused", "True", "Paused").await;
    assert_eq!(condition(&paused, "Ready").status, "True");
    assert_eq!(world.count("SELECT count(*) FROM resource_server WHERE display_name = 'Another name'").await, 0);
    spec["reconciliation"] = "Enabled".into();
    world.apply("ResourceServer", "mcp", spec).await;
    let resumed = world.ready("ResourceServer", "mcp").await;
    assert!(conditions(&resumed).iter().all(|c| c.type_ != "Paused"));
    assert_eq!(world.count("SELECT count(*) FROM resource_server WHERE display_name = 'Another name'").await, 1);
    operator.stop().await;
}

/// Suspended is Ready with that reason, and what was issued is revoked by the store.
#[tokio::test]
async fn a_suspended_client_says_so() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply("ResourceServer", "mcp", resource_server("https://suspended.example.com/mcp")).await;
    let mut spec = client();
    world.apply("OAuthClient", "portal", spec.clone()).await;
    world.ready("OAuthClient", "portal").await;
    spec["state"] = "Suspended".into();
    world.apply("OAuthClient", "portal", spec).await;
    world.until("OAuthClient", "portal", "Ready", "True", "Suspended").await;
    world.event("portal", "Suspended").await;
    operator.stop().await;
}
