//! `crds/` is what the types say, and keeps the limits that an API server and its users need.

use std::path::{Path, PathBuf};

use holdfast::crd;
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crds")
}

/// With HOLDFAST_GENERATE=1 the files are written instead of compared.
#[test]
fn the_committed_definitions_are_the_generated_ones() {
    let definitions = crd::all().unwrap();
    for definition in &definitions {
        let path = folder().join(crd::file_name(definition));
        let generated = crd::yaml(definition).unwrap();
        if std::env::var("HOLDFAST_GENERATE").is_ok_and(|v| v == "1") {
            std::fs::write(&path, &generated).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == generated, "{} differs: run `make crds`", path.display());
    }
    assert_eq!(std::fs::read_dir(folder()).unwrap().count(), definitions.len(), "a file in crds/ is nobody's");
}

/// Two readers of YAML, one of the older kind, find the same in the file as in the definition.
#[test]
fn the_files_read_alike_everywhere() {
    for definition in crd::all().unwrap() {
        let text = crd::yaml(&definition).unwrap();
        let meant = serde_json::to_value(&definition).unwrap();
        assert_eq!(serde_saphyr::from_str::<Value>(&text).unwrap(), meant);
        assert_eq!(serde_yaml::from_str::<Value>(&text).unwrap(), meant);
    }
}

/// Where it stands, what it is, and whether it is in status or below a list.
struct Place<'a> {
    path: String,
    node: &'a Value,
    in_status: bool,
    in_list: bool,
}

fn places<'a>(place: Place<'a>, found: &mut Vec<Place<'a>>) {
    let Place { node, in_status, in_list, .. } = place;
    for (name, child) in node["properties"].as_object().into_iter().flatten() {
        let path = format!("{}.{name}", place.path);
        places(Place { in_status: in_status || path == ".status", path, node: child, in_list }, found);
    }
    for (key, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if node[key].is_object() {
            places(Place { path: format!("{}{mark}", place.path), node: &node[key], in_status, in_list: true }, found);
        }
    }
    found.push(place);
}

fn faults(place: &Place<'_>) -> Vec<String> {
    let node = place.node;
    let has = |key: &str| !node[key].is_null();
    let mut faults = Vec::new();
    let mut fault = |wrong: bool, what: &str| faults.extend(wrong.then(|| format!("{}: {what}", place.path)));
    let kind = node["type"].as_str().unwrap_or_default();
    fault(kind.is_empty(), "no type");
    fault(has("nullable"), "nullable");
    fault(kind == "string" && !has("maxLength") && !has("enum"), "a string without bound");
    fault(kind == "array" && !has("maxItems"), "a list without bound");
    fault(kind == "array" && !has("x-kubernetes-list-type"), "a list without type");
    fault(node["x-kubernetes-list-type"] == "set", "a set");
    fault(has("additionalProperties") && !has("maxProperties"), "a map without bound");
    fault(node["format"].as_str().is_some_and(|f| !["int32", "int64", "date-time"].contains(&f)), "a strange format");
    let bounded = has("minimum") && has("maximum");
    fault(kind == "integer" && !place.in_status && !bounded, "a number without range");
    fault(place.in_status && place.path != ".status" && has("default"), "a default in status");
    for key in ["enum", "pattern"] {
        fault(place.in_status && has(key), key);
    }
    let conditions = place.path == ".status.conditions[]";
    fault(place.in_status && has("required") && !conditions, "a required field in status");
    let described = place.path.is_empty() || place.path.ends_with(['[', ']', '{', '}']) || has("description");
    fault(!described && ![".apiVersion", ".kind", ".metadata"].contains(&place.path.as_str()), "no description");
    faults
}

#[test]
fn the_definitions_are_bounded_typed_described_and_small() {
    let mut found = Vec::new();
    for definition in crd::all().unwrap() {
        let size = crd::yaml(&definition).unwrap().len();
        assert!(size < 128 * 1024, "{} has {size} bytes", definition.spec.names.kind);
        let schema = serde_json::to_value(&definition.spec.versions[0].schema).unwrap();
        let root = Place { path: String::new(), node: &schema["openAPIV3Schema"], in_status: false, in_list: false };
        let mut all = Vec::new();
        places(root, &mut all);
        assert!(all.len() > 80, "{}", all.len());
        let kind = &definition.spec.names.kind;
        found.extend(all.iter().flat_map(faults).map(|fault| format!("{kind}{fault}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// An API server would fill such a default in, and GitOps would see a difference for ever.
#[test]
fn no_item_of_a_list_has_defaults() {
    for definition in crd::all().unwrap() {
        let schema = serde_json::to_value(&definition.spec.versions[0].schema).unwrap();
        let mut all = Vec::new();
        let root = Place { path: String::new(), node: &schema["openAPIV3Schema"], in_status: false, in_list: false };
        places(root, &mut all);
        let bad: Vec<_> = all.iter().filter(|p| p.in_list && !p.node["default"].is_null()).map(|p| &p.path).collect();
        assert!(bad.is_empty(), "{bad:?}");
    }
}
