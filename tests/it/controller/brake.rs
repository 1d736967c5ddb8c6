//! The brake on a real API server: finalizers stay, the condition names id and command, and confirming lets go.

use holdfast::domain::brake::Limits;
use holdfast::domain::policy::Policy;
use holdfast::domain::{Actor, Clock};
use holdfast::provision::confirm_brake;
use kube::ResourceExt;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::json;

use super::harness::{World, condition, eventually, resource_server};

fn limits() -> Limits {
    Limits { per_namespace: 2, overall: 0 }
}

async fn servers(world: &World, count: usize) -> Vec<String> {
    let mut names = Vec::new();
    for number in 0..count {
        let name = format!("mcp-{number}");
        let uri = format!("https://{}.example.com/{name}", world.namespace());
        world.apply("ResourceServer", &name, resource_server(&uri)).await;
        names.push(name);
    }
    for name in &names {
        world.ready("ResourceServer", name).await;
    }
    names
}

/// The objects that wait, once there are so many.
async fn waiting(world: &World, count: usize) -> Vec<DynamicObject> {
    eventually(&format!("{count} deletions to wait"), async || {
        let all = world.api("ResourceServer", world.namespace()).list(&Default::default()).await.unwrap().items;
        let held = |object: &DynamicObject| {
            holdfast::crd::condition::find(&super::harness::conditions(object), "Synced")
                .is_some_and(|synced| synced.reason == "MassChangeBrake")
        };
        (all.len() == count && all.iter().all(held)).then_some(all)
    })
    .await
}

fn id_in(message: &str) -> String {
    let (_, rest) = message.split_once("holdfast brake confirm ").unwrap();
    rest.split('`').next().unwrap().to_owned()
}

/// mechanics §6: objects beyond the limit keep their finalizer and their policy, through a restart, until somebody confirms.
#[tokio::test]
async fn a_mass_deletion_waits_for_somebody() {
    let mut world = World::new().await;
    world.brake = limits();
    let operator = world.operator().await;
    let names = servers(&world, 4).await;
    for name in &names {
        world.delete("ResourceServer", name).await;
    }
    let held = waiting(&world, 2).await;
    let synced = condition(&held[0], "Synced");
    assert_eq!((synced.status.as_str(), condition(&held[0], "Ready").reason.as_str()), ("False", "MassChangeBrake"));
    assert_eq!(condition(&held[0], "Stalled").reason, "MassChangeBrake");
    let id = id_in(&synced.message);
    for object in &held {
        assert_eq!(object.finalizers(), ["holdfast.dev/cleanup"]);
        let server = object.data["status"]["resourceServerID"].as_str().unwrap();
        assert!(operator.store.snapshot().resource_server(server).is_some(), "its policy stays in force");
        let (_, note) = world.event(&object.name_any(), "MassChangeBrake").await;
        assert!(note.contains(&id), "{note}");
    }
    eventually("the gauges to say so", async || {
        let page = operator.metrics.render().unwrap();
        (page.contains("holdfast_mass_change_brakes_open 1")
            && page.contains("holdfast_deletions_held{kind=\"ResourceServer\"} 2"))
        .then_some(())
    })
    .await;
    operator.stop().await;

    let operator = world.operator().await;
    assert_eq!(id_in(&condition(&waiting(&world, 2).await[0], "Synced").message), id, "the next one knows it");
    let (admin, now) = (Actor::api_key("admin"), holdfast::app::system::SystemClock.now());
    assert_eq!(confirm_brake(&operator.store, "brake-0", &admin, now).await.unwrap(), None);
    let released = confirm_brake(&operator.store, &id, &admin, now).await.unwrap();
    assert_eq!(released.unwrap().len(), 2);
    for object in &held {
        world.until_gone("ResourceServer", &object.name_any()).await;
    }
    for object in &held {
        let events = world.events(&object.name_any()).await;
        assert_eq!(events.iter().filter(|event| event.1 == "MassChangeBrake").count(), 1, "told once: {events:?}");
    }
    operator.stop().await;
}

/// mechanics §6: the annotation lets a held object go without destroying anything.
#[tokio::test]
async fn a_held_object_can_be_released_instead() {
    let mut world = World::new().await;
    world.brake = Limits { per_namespace: 1, overall: 0 };
    let operator = world.operator().await;
    for name in &servers(&world, 2).await {
        world.delete("ResourceServer", name).await;
    }
    let held = waiting(&world, 1).await.remove(0);
    let note = Patch::Merge(json!({"metadata": {"annotations": {"holdfast.dev/deletion-policy": "Retain"}}}));
    let api = world.api("ResourceServer", world.namespace());
    api.patch(&held.name_any(), &PatchParams::default(), &note).await.unwrap();
    world.until_gone("ResourceServer", &held.name_any()).await;
    world.event(&held.name_any(), "Retained").await;
    let id = held.data["status"]["resourceServerID"].as_str().unwrap();
    assert!(operator.store.snapshot().resource_server(id).is_some());
    assert_eq!(world.count("SELECT count(*) FROM brake").await, 0, "and the brake is over");
    operator.stop().await;
}
