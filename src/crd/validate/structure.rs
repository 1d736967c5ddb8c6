//! What a plain JSON schema does not know: nulls, defaults, unknown fields and the keys of lists.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::FieldError;

/// The schema of a member: a declared property, else the map's values.
fn member<'s>(schema: &'s Value, name: &str) -> Option<&'s Value> {
    schema.pointer("/properties").and_then(|p| p.get(name)).or_else(|| schema.get("additionalProperties"))
}

fn keeps_unknown(schema: &Value) -> bool {
    schema.get("x-kubernetes-preserve-unknown-fields").and_then(Value::as_bool) == Some(true)
}

/// No field of ours is nullable, so a null is the same as nothing.
pub(super) fn drop_nulls(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(members) if !keeps_unknown(schema) => {
            members.retain(|name, value| !value.is_null() || member(schema, name).is_none());
            for (name, value) in members {
                if let Some(schema) = member(schema, name) {
                    drop_nulls(schema, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                items.iter_mut().for_each(|item| drop_nulls(schema, item));
            }
        }
        _ => {}
    }
}

/// Fills in defaults from the outside in, so that an object that came from a default gets its own.
pub(super) fn fill_defaults(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = schema.get("properties") {
                for (name, property) in properties {
                    if let Some(default) = property.get("default").filter(|_| !members.contains_key(name)) {
                        members.insert(name.clone(), default.clone());
                    }
                }
            }
            for (name, value) in members {
                if let Some(schema) = member(schema, name) {
                    fill_defaults(schema, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                items.iter_mut().for_each(|item| fill_defaults(schema, item));
            }
        }
        _ => {}
    }
}

/// Unknown fields, and repeated keys of list-maps.
pub(super) fn check(schema: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(members) if !keeps_unknown(schema) => object(schema, members, path, errors),
        Value::Array(items) => {
            unique_keys(schema, items, path, errors);
            if let Some(schema) = schema.get("items") {
                for (index, item) in items.iter().enumerate() {
                    check(schema, item, &format!("{path}[{index}]"), errors);
                }
            }
        }
        _ => {}
    }
}

fn object(schema: &Value, members: &Map<String, Value>, path: &str, errors: &mut Vec<FieldError>) {
    let declares = schema.get("properties").is_some() || schema.get("additionalProperties").is_some();
    for (name, value) in members {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match member(schema, name) {
            Some(schema) => check(schema, value, &path, errors),
            None if declares && !matches!(path.as_str(), "apiVersion" | "kind" | "metadata") => {
                errors.push(FieldError::new(path, "unknown field"));
            }
            None => {}
        }
    }
}

fn unique_keys(schema: &Value, items: &[Value], path: &str, errors: &mut Vec<FieldError>) {
    let Some(keys) = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array) else { return };
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let key: Vec<String> = keys.iter().filter_map(|key| item.get(key.as_str()?).map(ToString::to_string)).collect();
        if !seen.insert(key.clone()) {
            errors.push(FieldError::new(format!("{path}[{index}]"), format!("duplicate value: {}", key.join(", "))));
        }
    }
}
