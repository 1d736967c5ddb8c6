//! What holds after every fault: OV-1 to OV-12, as far as a fault of the API server can touch them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use holdfast::domain::{OwnerKey, SecretText};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::api::{DynamicObject, ListParams};
use kube::{Api, ResourceExt};
use serde_json::Value;
use tokio::time::Instant;

use super::proxy::Call;
use super::site::{Site, objects};
use crate::controller::harness::{Operator, PATIENCE, World, conditions};

/// No object is written more often than once a second for longer than this.
const WINDOW: Duration = Duration::from_secs(10);
/// A burst of honest work in it.
const BURST: usize = 14;

/// Waits until the operator has done what there is to do, and checks everything.
pub async fn hold(site: &mut Site, operator: &Operator) {
    hold_but(site, operator, &[]).await;
}

/// The same, where these objects are not Ready, for this reason.
pub async fn hold_but(site: &mut Site, operator: &Operator, excepted: &[(&str, &str)]) {
    converges(&site.world, operator, excepted).await;
    site.steady.end().await;
    rests(site, operator).await;
    site.keys_are_untouched().await;
    let calls = site.proxy.calls();
    is_careful(&calls);
    is_patient(&calls);
    tells_no_secret(&site.world).await;
    tells_once(&site.world).await;
}

/// OV-1, OV-10: every status is true of its spec, and the database is what the specs say.
pub async fn converges(world: &World, operator: &Operator, excepted: &[(&str, &str)]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let complaints = complaints(world, operator, excepted).await;
        if complaints.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "OV-1: {complaints:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn complaints(world: &World, operator: &Operator, excepted: &[(&str, &str)]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut present = BTreeSet::new();
    for namespace in &world.namespaces {
        for object in objects(world, namespace).await {
            let kind = object.data["kind"].as_str().unwrap();
            let key: OwnerKey = format!("{kind}/{namespace}/{}", object.name_any()).parse().unwrap();
            let reason = excepted.iter().find(|(name, _)| *name == key.name).map(|(_, reason)| *reason);
            for complaint in about(world, operator, &key, &object, reason).await {
                complaints.push(format!("{key}: {complaint}"));
            }
            present.insert(key.to_string());
        }
    }
    let owners =
        "SELECT owner_kind || '/' || owner_namespace || '/' || owner_name FROM managed WHERE deleted_at IS NULL";
    let gone = world.texts(owners).await.into_iter().filter(|owner| !present.contains(owner));
    complaints.extend(gone.map(|owner| format!("{owner} is in force and gone")));
    complaints
}

async fn about(
    world: &World,
    operator: &Operator,
    key: &OwnerKey,
    object: &DynamicObject,
    excepted: Option<&str>,
) -> Vec<String> {
    let (status, spec) = (&object.data["status"], &object.data["spec"]);
    let mut complaints = Vec::new();
    let generation = object.metadata.generation;
    if status["observedGeneration"].as_i64() != generation {
        complaints.push(format!("generation {generation:?} is not observed: {status}"));
    }
    let conditions = conditions(object);
    let behind = conditions.iter().filter(|condition| condition.observed_generation != generation);
    complaints.extend(behind.map(|condition| format!("{} is not of generation {generation:?}", condition.type_)));
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    let (said, reason) = ready.map_or(("", ""), |ready| (ready.status.as_str(), ready.reason.as_str()));
    match excepted {
        Some(excepted) if said == "False" && reason == excepted => return complaints,
        None if said == "True" => {}
        _ => {
            complaints.push(format!("Ready is {said} for {reason}: {status}"));
            return complaints;
        }
    }
    let id = ["clientID", "resourceServerID", "providerID"].iter().find_map(|name| status[*name].as_str());
    let Some(id) = id else { return vec!["it has no id".to_owned()] };
    let Ok(Some(row)) = operator.store.read().await.unwrap().entity(key.kind, id).await else {
        return vec!["it has no row".to_owned()];
    };
    if row.owner.as_ref() != Some(key) {
        complaints.push(format!("its row belongs to {:?}", row.owner));
    }
    let applied = serde_json::to_value(&row.spec).unwrap();
    let applied = &applied["spec"];
    for name in ["displayName", "grantTypes", "redirectURIs", "state", "resourceURI", "lifecycle"] {
        if !spec[name].is_null() && spec[name] != applied[name] {
            complaints.push(format!("{name} is {} and should be {}", applied[name], spec[name]));
        }
    }
    let scopes = |of: &Value| -> Vec<Value> {
        let resources = of["resources"].as_array().into_iter().flatten().map(|r| r["scopes"].clone());
        resources.chain(of["scopes"].as_array().into_iter().flatten().map(|scope| scope["name"].clone())).collect()
    };
    if scopes(spec) != scopes(applied) {
        complaints.push(format!("scopes are {:?} and should be {:?}", scopes(applied), scopes(spec)));
    }
    let secret = &spec["authentication"]["secret"];
    if let (Some(name), Some("Generated")) = (secret["name"].as_str(), secret["source"].as_str()) {
        let value = value(world, &key.namespace, name).await.map(|value| SecretText::new(value).hash());
        let state = row.credentials.iter().find(|known| Some(known.hash) == value).map(|known| known.state.as_str());
        if state != Some("current") {
            complaints.push(format!("the credential in Secret {name} is {state:?}"));
        }
        if row.credentials.iter().any(|known| known.state.as_str() == "pending") {
            complaints.push("a credential is pending".to_owned());
        }
    }
    complaints
}

async fn value(world: &World, namespace: &str, secret: &str) -> Option<String> {
    let secret = Api::<Secret>::namespaced(world.client.clone(), namespace).get_opt(secret).await.unwrap()?;
    String::from_utf8(secret.data?.get("client_secret")?.0.clone()).ok()
}

/// OV-2: at rest nothing is written, however often it is looked at.
async fn rests(site: &Site, operator: &Operator) {
    let world = &site.world;
    let state = async || {
        let written = world.count("SELECT COALESCE(MAX(sequence), 0) FROM change").await;
        let heard = site.proxy.asked(|ask| ask.has_effect()).iter().filter(|call| call.heard).count();
        let untold = world.count("SELECT COUNT(*) FROM report WHERE reported_at IS NULL").await;
        (world.versions().await, written, heard, untold)
    };
    let deadline = Instant::now() + PATIENCE;
    let mut before = state().await;
    loop {
        site.looks(operator, 3).await;
        let now = state().await;
        if now == before && now.3 == 0 {
            break;
        }
        assert!(Instant::now() < deadline, "OV-2: it does not come to rest: {before:?} {now:?}");
        before = now;
    }
    let objects = objects(world, world.namespace()).await.len();
    site.looks(operator, 2 * objects as u64).await;
    let last: Vec<String> = site.proxy.asked(|ask| ask.has_effect()).iter().map(shown).rev().take(5).collect();
    assert_eq!(state().await, before, "OV-2: {last:?}");
}

/// OV-4, OV-5: nothing is deleted, and nothing is changed but what was read: by uid or resourceVersion.
pub fn is_careful(calls: &[Call]) {
    for call in calls.iter().filter(|call| call.ask.writes()) {
        let (ask, body) = (&call.ask, call.ask.json());
        let metadata = |name: &str| body["metadata"][name].is_string();
        let tests =
            body.as_array().into_iter().flatten().any(|step| step["op"] == "test" && step["path"] == "/metadata/uid");
        let careful = match ask.method.as_str() {
            "POST" => true,
            "PUT" => metadata("resourceVersion"),
            "PATCH" if ask.resource == "secrets" || ask.part == "status" => metadata("resourceVersion"),
            "PATCH" => tests || metadata("uid") || metadata("resourceVersion"),
            _ => false,
        };
        assert!(careful, "OV-5: {} {} {body}", ask.method, ask.path);
    }
}

/// FT-04: nobody writes the same over and over.
pub fn is_patient(calls: &[Call]) {
    let mut writes: BTreeMap<_, Vec<&Call>> = BTreeMap::new();
    for call in calls.iter().filter(|call| call.ask.has_effect() && call.ask.resource != "events") {
        let ask = &call.ask;
        writes.entry((&ask.resource, &ask.name, &ask.part)).or_default().push(call);
    }
    for (what, writes) in writes {
        for window in writes.windows(BURST + 1) {
            let took = window[BURST].at - window[0].at;
            let told: Vec<String> = window.iter().map(|call| shown(call)).collect();
            assert!(took > WINDOW, "{what:?} was written {} times in {took:?}: {told:#?}", BURST + 1);
        }
    }
}

fn shown(call: &Call) -> String {
    let text = String::from_utf8_lossy(&call.ask.body);
    format!("{} {} {} {}", call.ask.method, call.ask.path, call.status, text.chars().take(400).collect::<String>())
}

/// OV-10: no secret is in a status or in an Event.
async fn tells_no_secret(world: &World) {
    let secrets = world.secrets().list(&ListParams::default()).await.unwrap().items;
    let values: Vec<String> = secrets
        .into_iter()
        .filter_map(|secret| String::from_utf8(secret.data?.get("client_secret")?.0.clone()).ok())
        .filter(|value| value.len() > 8)
        .collect();
    let mut told: Vec<String> =
        objects(world, world.namespace()).await.iter().map(|object| object.data["status"].to_string()).collect();
    let events: Api<Event> = Api::namespaced(world.client.clone(), world.namespace());
    let events = events.list(&ListParams::default()).await.unwrap();
    told.extend(events.items.into_iter().filter_map(|event| event.note));
    for value in &values {
        assert!(!told.iter().any(|text| text.contains(value)), "OV-10");
    }
}

/// One change is one Event.
async fn tells_once(world: &World) {
    let events: Api<Event> = Api::namespaced(world.client.clone(), world.namespace());
    let mut told = BTreeSet::new();
    for event in events.list(&ListParams::default()).await.unwrap() {
        let uid = event.regarding.as_ref().and_then(|regarding| regarding.uid.clone());
        let this = (uid, event.reason.clone(), event.note.clone(), event.event_time.as_ref().map(|time| time.0));
        assert!(told.insert(this), "told twice: {:?} {:?}", event.reason, event.note);
    }
}
