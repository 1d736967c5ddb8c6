//! What happened to a live resource server, as `kubectl describe` tells it.

use serde_json::json;

use super::harness::{World, eventually, resource_server};

/// D1, D2: four things that touch people at once are Events, once each; `status` says how many nobody has dismissed.
#[tokio::test]
async fn what_happens_to_a_live_policy_is_told_as_events_once_each() {
    let world = World::new().await;
    let operator = world.operator().await;
    let mut spec = resource_server("https://story.example.com/mcp");
    spec["tools"] = json!([
        {"name": "list", "access": "Scoped", "scopes": ["invoices.read", "invoices.write"], "match": "Any"},
        {"name": "pay", "access": "Scoped", "scopes": ["invoices.write"], "match": "Any"},
    ]);
    spec["roles"] =
        json!([{"name": "reader", "scopes": ["invoices.read"]}, {"name": "writer", "scopes": ["invoices.write"]}]);
    spec["accessPolicy"] = json!({"defaultRole": "reader"});
    spec["driftPolicy"] = json!({"mode": "Warn"});
    world.apply("ResourceServer", "mcp", spec.clone()).await;
    world.ready("ResourceServer", "mcp").await;

    spec["accessPolicy"] = json!({"defaultRole": "writer"});
    world.apply("ResourceServer", "mcp", spec.clone()).await;
    let (field, note) = world.event("mcp", "DefaultRoleChanged").await;
    assert_eq!(field, "spec.accessPolicy.defaultRole");
    assert!(note.contains("reader") && note.contains("writer") && note.contains("controller"), "{note}");
    spec.as_object_mut().unwrap().remove("accessPolicy");
    world.apply("ResourceServer", "mcp", spec.clone()).await;
    world.event("mcp", "DefaultRoleDisabled").await;

    // by somebody else, and derived by the leader
    assert_eq!(world.sql("DELETE FROM scope WHERE name = 'invoices.write'").await, 1);
    let epoch = operator.leadership.borrow().unwrap();
    operator.store.settle(epoch).await.unwrap();
    let (_, note) = world.event("mcp", "ScopeDeleted").await;
    assert!(note.contains("invoices.write") && note.contains("list, pay") && note.contains("by sql"), "{note}");
    let (_, note) = world.event("mcp", "ToolUnmapped").await;
    assert!(note.contains("tool pay"), "{note}");
    world.until("ResourceServer", "mcp", "Drifted", "True", "DriftDetected").await;

    let undismissed = world.count("SELECT count(*) FROM activity WHERE dismissed_at IS NULL").await;
    eventually("the number in status", async || {
        // it moves only together with something else
        spec["displayName"] = json!(format!("{:?}", tokio::time::Instant::now()));
        world.apply("ResourceServer", "mcp", spec.clone()).await;
        let object = world.ready("ResourceServer", "mcp").await;
        object.data["status"]["drift"]["undismissed"].as_i64().filter(|number| *number > undismissed)
    })
    .await;
    for reason in ["DefaultRoleChanged", "DefaultRoleDisabled", "ScopeDeleted", "ToolUnmapped"] {
        let told = world.events("mcp").await.into_iter().filter(|event| event.1 == reason).count();
        assert_eq!(told, 1, "{reason}");
    }
    operator.stop().await;
}
