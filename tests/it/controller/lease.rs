//! One leader: given back at the end, waited for after a crash, and told to whom it concerns.

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;

use super::harness::{World, eventually, resource_server};
use holdfast::controller::MasterKeySecret;
use holdfast::domain::{KeyHome, SecretText};

/// K11
#[tokio::test]
async fn the_second_waits_and_takes_over_when_the_first_ends() {
    let world = World::new().await;
    let first = world.operator_named("pod-a").await;
    eventually("the first to lead", async || first.leadership.borrow().map(|_| ())).await;
    let epoch = first.leadership.borrow().unwrap();
    let second = world.operator_named("pod-b").await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert!(second.leadership.borrow().is_none(), "one at a time");
    world.apply("ResourceServer", "mcp", resource_server("https://lease.example.com/mcp")).await;
    world.ready("ResourceServer", "mcp").await;

    first.stop().await;
    eventually("the second to lead", async || second.leadership.borrow().map(|_| ())).await;
    assert!(second.leadership.borrow().unwrap() > epoch, "with a greater epoch");
    let leases: Api<Lease> = Api::namespaced(world.client.clone(), world.namespace());
    let lease = leases.get("holdfast").await.unwrap().spec.unwrap();
    assert_eq!(lease.holder_identity.as_deref(), Some("pod-b"));
    world.apply("ResourceServer", "other", resource_server("https://lease.example.com/other")).await;
    world.ready("ResourceServer", "other").await;
    second.stop().await;
    let released = leases.get("holdfast").await.unwrap().spec.unwrap();
    assert_eq!(released.holder_identity, None);
}

/// K11: a leader that vanished is waited for as long as its Lease holds, and no longer.
#[tokio::test]
async fn a_vanished_leader_is_succeeded() {
    let world = World::new().await;
    let first = world.operator_named("pod-a").await;
    eventually("the first to lead", async || first.leadership.borrow().map(|_| ())).await;
    first.kill();
    let second = world.operator_named("pod-b").await;
    eventually("the second to lead", async || second.leadership.borrow().map(|_| ())).await;
    second.stop().await;
}

/// Two processes that make the master key at once end up with the same one.
#[tokio::test]
async fn the_master_key_is_made_once() {
    let world = World::new().await;
    let home = || MasterKeySecret::new(world.client.clone(), world.namespace(), "holdfast-master-key");
    let (one, other) = (home(), home());
    assert!(one.read().await.unwrap().is_none());
    one.create(&SecretText::new("first")).await.unwrap();
    other.create(&SecretText::new("second")).await.unwrap();
    for home in [&one, &other] {
        assert_eq!(home.read().await.unwrap().unwrap().expose(), "first");
    }
    assert_eq!(one.place(), format!("Secret {}/holdfast-master-key", world.namespace()));
    let secret = world.secrets().get("holdfast-master-key").await.unwrap();
    assert!(secret.metadata.owner_references.is_none(), "it outlives the release");
}
