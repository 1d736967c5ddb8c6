//! Changes behind the operator's back: found, told, corrected or kept.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::faults::site::looks;

use super::harness::{World, client, condition, eventually, resource_server};

/// K2, K3: within a second, with the field and who did it.
#[tokio::test]
async fn a_change_by_sql_is_told_and_put_back() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply("ResourceServer", "mcp", resource_server("https://drift.example.com/mcp")).await;
    let mut spec = client();
    spec["grantTypes"] = json!(["authorization_code", "client_credentials"]);
    spec["redirectURIs"] = json!(["https://portal.example.com/callback"]);
    world.apply("OAuthClient", "portal", spec).await;
    world.ready("OAuthClient", "portal").await;
    tokio::time::sleep(Duration::from_millis(500)).await;

    let started = Instant::now();
    assert_eq!(world.sql("UPDATE client SET redirect_uris = '[\"https://evil.example.com/\"]'").await, 1);
    let condition_of = async || condition(&world.get("OAuthClient", "portal").await, "Drifted");
    eventually("the correction", async || {
        let back = "SELECT count(*) FROM client WHERE redirect_uris LIKE '%portal.example.com%'";
        (world.count(back).await == 1).then_some(())
    })
    .await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    let (path, note) = world.event("portal", "DriftDetected").await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(path, "spec.redirectURIs");
    assert!(note.contains("sql") && note.contains("evil.example.com"), "{note}");
    world.event("portal", "DriftCorrected").await;
    let drifted = eventually("the condition", async || {
        let drifted = condition_of().await;
        (drifted.reason == "DriftCorrected").then_some(drifted)
    })
    .await;
    assert_eq!(drifted.status, "False");
    assert!(drifted.message.contains("spec.redirectURIs") && drifted.message.contains("sql"), "{}", drifted.message);
    let object = world.ready("OAuthClient", "portal").await;
    assert_eq!(object.data["status"]["drift"]["fields"], json!(["spec.redirectURIs"]));
    operator.stop().await;
}

/// K3: drift that the database refuses to have put right is said by conditions and one Event, not that all is well; and
/// it ends by itself when the database no longer refuses.
#[tokio::test]
async fn a_correction_that_fails_is_said_until_it_succeeds() {
    let mut world = World::new().await;
    world.rescan = Duration::from_secs(2);
    let operator = world.operator().await;
    world.apply("ResourceServer", "mcp", resource_server("https://refuses.example.com/mcp")).await;
    let mut spec = client();
    spec["displayName"] = json!("Portal");
    world.apply("OAuthClient", "portal", spec).await;
    world.ready("OAuthClient", "portal").await;
    let refuse = "CREATE TRIGGER refusing BEFORE UPDATE ON client WHEN NEW.display_name = 'Portal'
        BEGIN SELECT RAISE(ABORT, 'not here'); END";
    world.sql(refuse).await;
    world.sql("UPDATE client SET display_name = 'Evil'").await;
    let failed = world.until("OAuthClient", "portal", "Drifted", "True", "DriftCorrectionFailed").await;
    for kind in ["Synced", "Ready"] {
        let said = condition(&failed, kind);
        assert_eq!((said.status.as_str(), said.reason.as_str()), ("False", "DriftCorrectionFailed"), "{kind}");
        assert!(said.message.contains("spec.displayName") && said.message.contains("sql"), "{}", said.message);
    }
    world.event("portal", "DriftCorrectionFailed").await;
    // it is tried again and again, and told once
    let untouched = failed.metadata.resource_version;
    looks(&operator, 4).await;
    let names = "SELECT display_name FROM client WHERE display_name = 'Evil'";
    assert_eq!(world.texts(names).await, ["Evil"]);
    assert_eq!(world.get("OAuthClient", "portal").await.metadata.resource_version, untouched);
    let told = world.events("portal").await;
    let count = |reason| told.iter().filter(|event| event.1 == reason).count();
    assert_eq!(
        (count("DriftCorrectionFailed"), count("DriftDetected"), count("DriftCorrected")),
        (1, 1, 0),
        "{told:?}"
    );
    world.sql("DROP TRIGGER refusing").await;
    world.until("OAuthClient", "portal", "Drifted", "False", "DriftCorrected").await;
    world.ready("OAuthClient", "portal").await;
    world.event("portal", "DriftCorrected").await;
    operator.stop().await;
}

/// K3: Warn tells and keeps; it is told once, also to a new operator.
#[tokio::test]
async fn warn_keeps_what_it_finds() {
    let world = World::new().await;
    let operator = world.operator().await;
    let mut spec = resource_server("https://warn.example.com/mcp");
    spec["driftPolicy"] = json!({"mode": "Warn"});
    world.apply("ResourceServer", "mcp", spec.clone()).await;
    world.ready("ResourceServer", "mcp").await;
    world.sql("UPDATE scope SET risk = 'Low' WHERE name = 'invoices.write'").await;
    let drifted = world.until("ResourceServer", "mcp", "Drifted", "True", "DriftDetected").await;
    assert_eq!(condition(&drifted, "Ready").status, "True", "drift does not pull Ready down");
    assert_eq!(drifted.data["status"]["drift"]["class"], "Security");
    world.event("mcp", "DriftDetected").await;
    assert_eq!(world.count("SELECT count(*) FROM scope WHERE risk = 'Low'").await, 2);
    operator.stop().await;

    let operator = world.operator().await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let told = world.events("mcp").await.iter().filter(|event| event.1 == "DriftDetected").count();
    assert_eq!(told, 1);

    // Enforce, later, corrects what Warn kept
    spec["driftPolicy"] = json!({"mode": "Enforce"});
    world.apply("ResourceServer", "mcp", spec).await;
    world.until("ResourceServer", "mcp", "Drifted", "False", "DriftCorrected").await;
    assert_eq!(world.count("SELECT count(*) FROM scope WHERE risk = 'Low'").await, 1);
    operator.stop().await;
}

/// K3: a deleted row comes back with its id and its secret.
#[tokio::test]
async fn a_deleted_row_is_found_missing() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply("ResourceServer", "mcp", resource_server("https://missing.example.com/mcp")).await;
    world.apply("OAuthClient", "portal", client()).await;
    let object = world.ready("OAuthClient", "portal").await;
    let id = object.data["status"]["clientID"].as_str().unwrap().to_owned();
    let secret = world.secret("portal-oauth", "client_secret").await;
    world.sql("DELETE FROM client").await;
    world.event("portal", "DriftCorrected").await;
    assert_eq!(world.count(&format!("SELECT count(*) FROM client WHERE id = '{id}'")).await, 1);
    world.ready("OAuthClient", "portal").await;
    assert_eq!(world.secret("portal-oauth", "client_secret").await, secret);
    operator.stop().await;
}

/// K3: hashes that nobody issued do not last.
#[tokio::test]
async fn a_planted_hash_is_taken_away() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply("ResourceServer", "mcp", resource_server("https://planted.example.com/mcp")).await;
    world.apply("OAuthClient", "portal", client()).await;
    let object = world.ready("OAuthClient", "portal").await;
    let id = object.data["status"]["clientID"].as_str().unwrap();
    let planted = format!(
        "INSERT INTO credential (id, principal, hash, state, issued_at) VALUES ('planted', '{id}', x'{}', 'current', 0)",
        "ab".repeat(32)
    );
    world.sql(&planted).await;
    let (_, note) = world.event("portal", "DriftDetected").await;
    assert!(note.contains("secret"), "{note}");
    eventually("the planted hash to go", async || {
        (world.count("SELECT count(*) FROM credential WHERE id = 'planted'").await == 0).then_some(())
    })
    .await;
    operator.stop().await;
}

/// K4: what the author changes is never drift.
#[tokio::test]
async fn a_spec_edit_is_never_drift() {
    let world = World::new().await;
    let operator = world.operator().await;
    let mut spec = resource_server("https://edit.example.com/mcp");
    world.apply("ResourceServer", "mcp", spec.clone()).await;
    world.ready("ResourceServer", "mcp").await;
    for name in ["one", "two", "three"] {
        spec["displayName"] = name.into();
        spec["scopes"] = json!([{"name": "a"}, {"name": name}]);
        world.apply("ResourceServer", "mcp", spec.clone()).await;
        world.ready("ResourceServer", "mcp").await;
    }
    world.event("mcp", "Updated").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let object = world.ready("ResourceServer", "mcp").await;
    assert_eq!(condition(&object, "Drifted").reason, "NoDrift");
    assert!(world.events("mcp").await.iter().all(|event| !event.1.starts_with("Drift")));
    operator.stop().await;
}
