//! What Argo CD and Flux make of real objects: the health script in Lua, the health expressions in CEL.

use std::path::Path;

use cel::{Context, Program, Value as CelValue};
use kube::api::DynamicObject;
use mlua::{Lua, LuaSerdeExt};
use serde::Deserialize;
use serde_json::{Value, json};

use super::harness::{World, client, resource_server};

const LUA: &str = include_str!("../../../config/argocd/health.lua");
const KINDS: [&str; 3] = ["ResourceServer", "OAuthClient", "Provider"];

/// As Argo CD runs it: a function body that sees `obj`.
fn argo(object: &Value) -> (String, String) {
    let lua = Lua::new();
    lua.globals().set("obj", lua.to_value(object).unwrap()).unwrap();
    let health: mlua::Table = lua.load(LUA).eval().unwrap();
    (health.get("status").unwrap(), health.get("message").unwrap())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Check {
    api_version: String,
    kind: String,
    in_progress: String,
    failed: String,
    current: String,
}

fn checks() -> Vec<Check> {
    let text = read("config/flux/kustomization.yaml");
    let kustomization = text.split("\n---\n").nth(1).unwrap();
    let kustomization: Value = serde_yaml::from_str(kustomization).unwrap();
    serde_json::from_value(kustomization["spec"]["healthCheckExprs"].clone()).unwrap()
}

/// As Flux asks: in progress, failed, current, and in progress again when nothing of these holds.
fn flux(object: &Value) -> &'static str {
    let checks = checks();
    let of_object = |check: &&Check| object["apiVersion"] == check.api_version && object["kind"] == check.kind;
    let check = checks.iter().find(of_object).unwrap();
    let mut context = Context::default();
    for (name, value) in object.as_object().unwrap() {
        context.add_variable(name.as_str(), value).unwrap();
    }
    let holds = |text: &str| Program::compile(text).unwrap().execute(&context).unwrap() == CelValue::Bool(true);
    let asked = [(&check.in_progress, "InProgress"), (&check.failed, "Failed"), (&check.current, "Current")];
    asked.into_iter().find(|(text, _)| holds(text)).map_or("InProgress", |(_, verdict)| verdict)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[track_caller]
fn seen(object: &DynamicObject, health: &str, says: &str, verdict: &str) {
    let object = serde_json::to_value(object).unwrap();
    let (status, message) = argo(&object);
    assert_eq!((status.as_str(), flux(&object)), (health, verdict), "{}", object["status"]);
    assert!(message.contains(says), "{message:?} lacks {says:?}");
}

/// K6
#[tokio::test]
async fn argo_and_flux_say_what_is_true_of_each_state() {
    let world = World::new().await;
    let new = world.apply("ResourceServer", "mcp", resource_server("https://gitops.example.com/mcp")).await;
    seen(&new, "Progressing", "Waiting for the operator", "InProgress");
    let operator = world.operator().await;
    seen(&world.ready("ResourceServer", "mcp").await, "Healthy", "", "Current");

    let mut waiting = client();
    waiting["resources"][0]["resourceServerRef"]["name"] = "absent".into();
    world.apply("OAuthClient", "waiting", waiting).await;
    let waiting = world.until("OAuthClient", "waiting", "Ready", "False", "RefNotFound").await;
    seen(&waiting, "Progressing", "absent", "InProgress");

    let mut refused = client();
    refused["clientID"] = json!("portal");
    refused["authentication"]["secret"]["name"] = json!("one");
    world.apply("OAuthClient", "first", refused.clone()).await;
    world.ready("OAuthClient", "first").await;
    refused["authentication"]["secret"]["name"] = json!("two");
    world.apply("OAuthClient", "second", refused).await;
    let refused = world.until("OAuthClient", "second", "Accepted", "False", "Conflict").await;
    seen(&refused, "Degraded", "portal", "Failed");

    let mut watched = resource_server("https://watched.example.com/mcp");
    watched["driftPolicy"] = json!({"mode": "Warn"});
    world.apply("ResourceServer", "watched", watched.clone()).await;
    world.ready("ResourceServer", "watched").await;
    let id = world.get("ResourceServer", "watched").await.data["status"]["resourceServerID"].clone();
    let sql = format!("UPDATE resource_server SET lifetime_seconds = 60 WHERE id = '{}'", id.as_str().unwrap());
    assert_eq!(world.sql(&sql).await, 1);
    let drifted = world.until("ResourceServer", "watched", "Drifted", "True", "DriftDetected").await;
    seen(&drifted, "Healthy", "Drifted: ", "Current");

    watched["reconciliation"] = "Paused".into();
    world.apply("ResourceServer", "watched", watched).await;
    let paused = world.until("ResourceServer", "watched", "Paused", "True", "Paused").await;
    seen(&paused, "Suspended", "paused", "Current");
    operator.stop().await;
}

#[test]
fn each_kind_has_the_script_and_its_expressions() {
    let patch: Value = serde_yaml::from_str(&read("config/argocd/argocd-cm.yaml")).unwrap();
    let scripts = patch["data"].as_object().unwrap();
    assert_eq!(scripts.len(), KINDS.len());
    for kind in KINDS {
        assert_eq!(scripts[&format!("resource.customizations.health.holdfast.dev_{kind}")], LUA, "{kind}");
    }
    assert_eq!(checks().iter().map(|check| check.kind.as_str()).collect::<Vec<_>>(), KINDS);
}
