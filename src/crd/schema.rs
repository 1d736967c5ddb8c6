//! The one transform that makes a derived schema what an API server and its users need.
//!
//! Removed: `nullable`, empty defaults, unsigned formats. Added: list types, bounds of lists and strings in status and
//! in types that are not ours, and the default of status, without which an untouched object would count as current.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::Rule;
use schemars::Schema;
use serde_json::{Map, Value, json};

use super::Error;

/// Strings of status that declare no bound of their own, in characters.
const STATUS_STRING: u64 = 1024;
/// The bound that Kubernetes itself sets for a condition's message.
const MESSAGE: u64 = 32_768;
/// Items of a status list.
const STATUS_ITEMS: u64 = 256;
/// RFC 3339 with nanoseconds and an offset needs 35.
const TIME: u64 = 40;

/// A list of strings of at most `max` characters under CEL rules.
pub(super) fn strings<const N: usize>(max: u64, rules: [Rule; N]) -> Schema {
    let rules: Vec<Value> = rules.iter().filter_map(|rule| serde_json::to_value(rule).ok()).collect();
    schemars::json_schema!({
        "type": "array",
        "items": { "type": "string", "minLength": 1, "maxLength": max, "x-kubernetes-validations": rules },
    })
}

/// A map of at most `properties` strings of at most `max` characters.
pub(super) fn string_map(properties: u64, max: u64) -> Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": properties,
        "additionalProperties": { "type": "string", "maxLength": max },
    })
}

/// The definition with its schema transformed.
pub fn transform(crd: CustomResourceDefinition) -> Result<CustomResourceDefinition, Error> {
    let mut value = serde_json::to_value(crd)?;
    let versions = value.pointer_mut("/spec/versions").and_then(Value::as_array_mut);
    for version in versions.into_iter().flatten() {
        if let Some(root) = version.pointer_mut("/schema/openAPIV3Schema").and_then(Value::as_object_mut) {
            walk(root, Part::Spec);
            let Some(Value::Object(properties)) = root.get_mut("properties") else { continue };
            if let Some(Value::Object(status)) = properties.get_mut("status") {
                walk(status, Part::Status);
                status.insert("default".into(), status_default());
                status.insert("description".into(), "What the operator observed; written by it alone.".into());
            }
        }
    }
    Ok(serde_json::from_value(value)?)
}

/// kstatus then says InProgress and the READY column is never blank.
fn status_default() -> Value {
    json!({
        "observedGeneration": -1,
        "conditions": [{
            "type": "Ready",
            "status": "Unknown",
            "reason": "Pending",
            "message": "Waiting for the operator",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }],
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Spec,
    Status,
}

fn walk(node: &mut Map<String, Value>, part: Part) {
    node.remove("nullable");
    if node.get("default").is_some_and(is_empty) {
        node.remove("default");
    }
    if let Some(Value::String(text)) = node.get_mut("description") {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    if let Some(Value::Array(values)) = node.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    match node.get("type").and_then(Value::as_str) {
        Some("string") => string(node, part),
        Some("array") => array(node, part),
        Some("integer") if !matches!(node.get("format").and_then(Value::as_str), Some("int32" | "int64")) => {
            node.insert("format".into(), "int64".into());
        }
        _ => {}
    }
    if part == Part::Status {
        // an older definition would answer an unknown value with an error that loses the whole status
        for key in ["enum", "pattern", "minLength", "minimum", "maximum", "required", "default"] {
            node.remove(key);
        }
    }
    if let Some(Value::Object(properties)) = node.get_mut("properties") {
        for (name, property) in properties.iter_mut().filter(|(name, _)| part == Part::Status || *name != "status") {
            let Value::Object(property) = property else { continue };
            walk(property, part);
            if part == Part::Status && name == "message" {
                property.insert("maxLength".into(), MESSAGE.into());
            }
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(Value::Object(inner)) = node.get_mut(key) {
            walk(inner, part);
        }
    }
    if part == Part::Status && is_condition_list(node) {
        conditions(node);
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

fn string(node: &mut Map<String, Value>, part: Part) {
    if node.get("format").and_then(Value::as_str) == Some("date-time") {
        node.insert("maxLength".into(), TIME.into());
    } else if part == Part::Status && !node.contains_key("maxLength") {
        node.insert("maxLength".into(), STATUS_STRING.into());
    }
}

fn array(node: &mut Map<String, Value>, part: Part) {
    if part == Part::Status && !node.contains_key("maxItems") {
        node.insert("maxItems".into(), STATUS_ITEMS.into());
    }
    if !node.contains_key("x-kubernetes-list-type") {
        node.insert("x-kubernetes-list-type".into(), "atomic".into());
    }
}

fn is_condition_list(node: &Map<String, Value>) -> bool {
    let of = |name: &str| node.get("items").and_then(|items| items.pointer(&format!("/properties/{name}"))).is_some();
    of("lastTransitionTime") && of("type")
}

/// A list-map by type, whose key must be required.
fn conditions(node: &mut Map<String, Value>) {
    node.insert("x-kubernetes-list-type".into(), "map".into());
    node.insert("x-kubernetes-list-map-keys".into(), json!(["type"]));
    node.insert("maxItems".into(), 32.into());
    if let Some(Value::Object(items)) = node.get_mut("items") {
        items.insert("required".into(), json!(["type"]));
    }
}
