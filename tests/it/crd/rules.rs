//! Every rule, on the real API server and in process: both say the same, and name the field.

use std::collections::BTreeSet;

use holdfast::crd;
use holdfast::manifest::Object;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;

use super::rows::{self, Row};
use crate::support::cluster;

pub fn api(client: &kube::Client, namespace: &str, object: &Value) -> Api<DynamicObject> {
    let kind = object["kind"].as_str().unwrap();
    let plural = if kind == "Provider" { "oauthproviders".to_owned() } else { format!("{}s", kind.to_lowercase()) };
    let gvk = GroupVersionKind::gvk(crd::GROUP, crd::VERSION, kind);
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk_with_plural(&gvk, &plural))
}

/// What the API server says; nothing is left behind.
async fn verdict(client: &kube::Client, namespace: &str, row: &Row) -> Result<(), String> {
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let object = row.object();
    let api = api(client, namespace, &object);
    let Some(old) = row.old() else {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        return api.create(&dry, &object).await.map(drop).map_err(words);
    };
    let old = api.create(&PostParams::default(), &serde_json::from_value(old).unwrap()).await.unwrap();
    let name = old.metadata.name.unwrap();
    let mut object: DynamicObject = serde_json::from_value(object).unwrap();
    object.metadata.resource_version = old.metadata.resource_version;
    let verdict = api.replace(&name, &dry, &object).await.map(drop).map_err(words);
    api.delete(&name, &DeleteParams::default()).await.unwrap();
    verdict
}

pub fn words(error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message,
        other => other.to_string(),
    }
}

fn compare(row: &Row, who: &str, verdict: Result<(), String>) -> Option<String> {
    let about = || format!("{} {}", row.base["kind"], serde_json::to_string(&row.after).unwrap_or_default());
    match (row.refused, verdict) {
        (None, Ok(())) => None,
        (None, Err(said)) => Some(format!("{who} refuses {}: {said}", about())),
        (Some((path, message)), Ok(())) => Some(format!("{who} accepts {}: expected {path}: {message}", about())),
        (Some((path, message)), Err(said)) => (!said.contains(path) || !said.contains(message))
            .then(|| format!("{who} says of {}: {said}\n    expected {path}: {message}", about())),
    }
}

/// OV-11
#[tokio::test]
async fn the_api_server_judges_every_row_as_the_table_says() {
    let client = cluster::client().await;
    cluster::install_crds(&client).await;
    let namespace = cluster::namespace(&client).await;
    let mut wrong = Vec::new();
    for row in rows::all() {
        let verdict = verdict(&client, &namespace, &row).await;
        wrong.extend(compare(&row, "the API server", verdict));
    }
    Api::<Namespace>::all(client).delete(&namespace, &DeleteParams::default()).await.unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// K12, OV-11
#[test]
fn the_validation_in_process_judges_every_row_as_the_table_says() {
    let mut wrong = Vec::new();
    for row in rows::all() {
        let verdict = crd::validate(&row.object(), row.old().as_ref());
        let verdict = verdict.map_err(|e| e.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
        wrong.extend(compare(&row, "the process", verdict));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Otherwise one object would stop the watch on all objects of its kind. OV-11
#[test]
fn whatever_is_accepted_can_be_read() {
    for row in rows::all().into_iter().filter(|row| row.refused.is_none()) {
        let mut object = row.object();
        crd::default(&mut object).unwrap();
        Object::from_value(object).unwrap_or_else(|e| panic!("{:?}: {e}", row.after));
    }
}

/// Kind and message; of a message that is computed, what stands before its first value.
fn messages(node: &Value, kind: &str, found: &mut BTreeSet<(String, String)>) {
    for rule in node["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let expression =
            rule["messageExpression"].as_str().map(|e| e.trim_start_matches('\'').split('%').next().unwrap());
        let message = rule["message"].as_str().or(expression).unwrap();
        found.insert((kind.to_owned(), message.to_owned()));
    }
    for (name, child) in node.as_object().into_iter().flatten() {
        match name.as_str() {
            "properties" => child.as_object().unwrap().values().for_each(|child| messages(child, kind, found)),
            "items" | "additionalProperties" => messages(child, kind, found),
            _ => {}
        }
    }
}

#[test]
fn every_rule_has_a_row_that_breaks_it() {
    let mut rules = BTreeSet::new();
    for definition in crd::all().unwrap() {
        let schema = serde_json::to_value(&definition).unwrap();
        messages(&schema["spec"]["versions"][0]["schema"]["openAPIV3Schema"], &definition.spec.names.kind, &mut rules);
    }
    assert!(rules.len() > 40, "{}", rules.len());
    let rows = rows::all();
    let broken = |kind: &str, message: &str| {
        rows.iter().any(|row| row.base["kind"] == kind && row.refused.is_some_and(|(_, m)| m.starts_with(message)))
    };
    let missing: Vec<_> = rules.iter().filter(|(kind, message)| !broken(kind, message)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
