//! When something below fails: it is said, tried again, and nothing is lost.

use super::harness::{World, condition, eventually, resource_server};

/// The database takes no writes; the API server does, and says so.
#[tokio::test]
async fn a_database_that_takes_no_writes_is_told_and_waited_for() {
    let world = World::new().await;
    let operator = world.operator().await;
    let mut spec = resource_server("https://fault.example.com/mcp");
    world.apply("ResourceServer", "mcp", spec.clone()).await;
    world.ready("ResourceServer", "mcp").await;
    let writer = world.hold_writer().await;
    spec["displayName"] = "Another name".into();
    world.apply("ResourceServer", "mcp", spec).await;
    let waiting = world.until("ResourceServer", "mcp", "Synced", "False", "DatabaseUnavailable").await;
    assert_eq!(condition(&waiting, "Ready").reason, "DatabaseUnavailable");
    assert_eq!(condition(&waiting, "Reconciling").status, "True");
    assert_eq!(condition(&waiting, "Drifted").status, "False");
    drop(writer);
    world.ready("ResourceServer", "mcp").await;
    operator.stop().await;
}

/// K11: a later leader's epoch fences this one off; it steps down and stands again.
#[tokio::test]
async fn a_fenced_leader_steps_down() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply("ResourceServer", "mcp", resource_server("https://fenced.example.com/mcp")).await;
    world.ready("ResourceServer", "mcp").await;
    let epoch = operator.leadership.borrow().unwrap();
    let later = operator.store.take_over().await.unwrap();
    world.apply("ResourceServer", "other", resource_server("https://fenced.example.com/other")).await;
    world.ready("ResourceServer", "other").await;
    let now = eventually("a term of its own", async || *operator.leadership.borrow()).await;
    assert!(epoch < later && later < now);
    operator.stop().await;
}
