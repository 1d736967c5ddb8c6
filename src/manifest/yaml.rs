//! Files of a policy directory: YAML documents of our kinds, and the core Secrets and Namespaces they need.
//!
//! A directory has no API server before it, so what that one would do is done here: defaults, schema, CEL, names.

mod core;
mod split;

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value};

use super::names;
use super::object::Object;
use crate::crd;
use crate::crd::FieldError;
use crate::domain::{Kind, OwnerKey};
pub use core::{NamespaceDocument, SecretDocument};

/// The namespace of a document that names none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// The most documents that a file may have.
const MAX_DOCUMENTS: usize = 10_000;

/// One document that can be used.
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    /// A validated object of our kinds, with defaults filled in and a namespace.
    Object(Object),
    Secret(SecretDocument),
    Namespace(NamespaceDocument),
}

/// One document that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    /// The document's first line in the file, from 1.
    pub line: usize,
    /// Whose document it is, as far as it can be read: that object is invalid, not absent.
    pub key: Option<OwnerKey>,
    /// It is well-formed and of somebody else's API group.
    pub foreign: bool,
    /// All that is wrong with it; never empty, and without any value of a Secret.
    pub errors: Vec<FieldError>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        for (index, error) in self.errors.iter().enumerate() {
            write!(f, "{}{error}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// Reads each document of a file by itself, so that one that is wrong spoils no other.
pub fn read(text: &str) -> Vec<Result<Document, Error>> {
    lines(text).into_iter().map(|(_, document)| document).collect()
}

/// The same, each with its first line in the file, from 1.
pub fn lines(text: &str) -> Vec<(usize, Result<Document, Error>)> {
    lines_in(text, DEFAULT_NAMESPACE)
}

/// The same for documents whose namespace, where they name none, is `namespace`.
pub fn lines_in(text: &str, namespace: &str) -> Vec<(usize, Result<Document, Error>)> {
    let documents = split::documents(text);
    if documents.len() > MAX_DOCUMENTS {
        let error = FieldError::new("", format!("more than {MAX_DOCUMENTS} documents in one file"));
        return vec![(1, Err(Error { line: 1, key: None, foreign: false, errors: vec![error] }))];
    }
    documents
        .into_iter()
        .filter_map(|(line, text)| match parse(text) {
            Ok(Value::Null) => None,
            Ok(mut value) => {
                put_into(&mut value, namespace);
                let told = document(&value).map_err(|errors| {
                    let (key, foreign) = (owner_key(&value), is_foreign(&value));
                    Error { line, key, foreign, errors }
                });
                Some((line, told))
            }
            Err(error) => Some((line, Err(Error { line, key: None, foreign: false, errors: vec![error] }))),
        })
        .collect()
}

/// Whether an API server would take it for the name of a namespace.
pub fn is_namespace(text: &str) -> bool {
    names::is_label(text)
}

/// What `kubectl -n` does with an object that names no namespace and could have one.
fn put_into(value: &mut Value, namespace: &str) {
    if namespace == DEFAULT_NAMESPACE || value.get("kind").and_then(Value::as_str) == Some("Namespace") {
        return;
    }
    if let Some(Value::Object(metadata)) = value.get_mut("metadata")
        && metadata.get("namespace").is_none_or(Value::is_null)
    {
        metadata.insert("namespace".to_owned(), namespace.into());
    }
}

fn parse(text: &str) -> Result<Value, FieldError> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| FieldError::new("", format!("not YAML: {}", error.to_string().replace('\n', " "))))
}

/// The object that a document is about, when kind, name and namespace can be read.
fn owner_key(value: &Value) -> Option<OwnerKey> {
    let kind = Kind::ALL.into_iter().find(|kind| value.get("kind").and_then(Value::as_str) == Some(kind.as_str()))?;
    let name = value.pointer("/metadata/name")?.as_str()?;
    let namespace = value.pointer("/metadata/namespace").map_or(Some(DEFAULT_NAMESPACE), Value::as_str)?;
    Some(OwnerKey::new(kind, namespace, name))
}

fn is_foreign(value: &Value) -> bool {
    let group = |version: &str| version.split_once('/').map_or(String::new(), |(group, _)| group.to_owned());
    let version = value.get("apiVersion").and_then(Value::as_str).filter(|version| !version.is_empty());
    let core = ["Secret", "Namespace"].map(Value::from);
    version.is_some_and(|version| match group(version).as_str() {
        "" => !core.iter().any(|kind| value.get("kind") == Some(kind)),
        other => other != group(crd::API_VERSION),
    })
}

fn document(value: &Value) -> Result<Document, Vec<FieldError>> {
    let Value::Object(members) = value else {
        return Err(vec![FieldError::new("", "a document must be a mapping with apiVersion and kind")]);
    };
    let of = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default();
    match (of("apiVersion"), of("kind")) {
        ("v1", "Secret") => core::secret(members).map(Document::Secret),
        ("v1", "Namespace") => core::namespace(members).map(Document::Namespace),
        (crd::API_VERSION, _) => object(members).map(Document::Object),
        ("", _) => Err(vec![FieldError::new("apiVersion", "required value")]),
        (version, kind) => {
            let message = format!(
                "{kind} of {version} is not read here: only kinds of {}, and Secret and Namespace of v1",
                crd::API_VERSION
            );
            Err(vec![FieldError::new("kind", message)])
        }
    }
}

fn object(members: &Map<String, Value>) -> Result<Object, Vec<FieldError>> {
    let mut value = Value::Object(members.clone());
    if let Some(members) = value.as_object_mut() {
        members.remove("status"); // the API server ignores it too
    }
    let (metadata, mut errors) = metadata(members, names::is_subdomain);
    if let Err(found) = crd::validate(&value, None) {
        errors.extend(found);
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    crd::default(&mut value).map_err(|error| vec![error])?;
    value["metadata"] = super::json(&metadata);
    Object::from_value(value).map_err(|error| vec![FieldError::new("", error.to_string())])
}

/// Fields of metadata that an API server fills in; a file that was exported from one has them.
const SERVER_FIELDS: &[&str] = &[
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "ownerReferences",
    "finalizers",
    "selfLink",
];

/// Name, namespace, labels and annotations, checked; the namespace is there afterwards.
fn metadata(members: &Map<String, Value>, is_name: fn(&str) -> bool) -> (ObjectMeta, Vec<FieldError>) {
    let mut errors = Vec::new();
    let empty = Map::new();
    let given = members.get("metadata").and_then(Value::as_object).unwrap_or(&empty);
    let known =
        |name: &str| matches!(name, "name" | "namespace" | "labels" | "annotations") || SERVER_FIELDS.contains(&name);
    for name in given.keys().filter(|name| !known(name)) {
        errors.push(FieldError::new(format!("metadata.{name}"), "unknown field"));
    }
    let name = given.get("name").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() {
        errors.push(FieldError::new("metadata.name", "required value"));
    } else if !is_name(name) {
        errors.push(FieldError::new("metadata.name", "must be lower-case letters, digits, - and . (RFC 1123)"));
    }
    let namespace = match given.get("namespace") {
        None | Some(Value::Null) => DEFAULT_NAMESPACE,
        Some(namespace) => namespace.as_str().unwrap_or_default(),
    };
    if !names::is_label(namespace) {
        errors.push(FieldError::new(
            "metadata.namespace",
            "must be at most 63 lower-case letters, digits and - (RFC 1123)",
        ));
    }
    let labels = string_map(given, "labels", &mut errors);
    for (key, value) in &labels {
        errors.extend(names::label("metadata.labels", key, value));
    }
    let annotations = string_map(given, "annotations", &mut errors);
    for key in annotations.keys().filter(|key| !names::is_qualified_name(key)) {
        errors.push(FieldError::new("metadata.annotations", format!("{key:?} is not an annotation key")));
    }
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        labels: (!labels.is_empty()).then_some(labels),
        annotations: (!annotations.is_empty()).then_some(annotations),
        ..ObjectMeta::default()
    };
    (metadata, errors)
}

fn string_map(given: &Map<String, Value>, field: &str, errors: &mut Vec<FieldError>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    match given.get(field) {
        None | Some(Value::Null) => {}
        Some(Value::Object(members)) => {
            for (key, value) in members {
                match value {
                    Value::String(text) => drop(found.insert(key.clone(), text.clone())),
                    _ => errors
                        .push(FieldError::new(format!("metadata.{field}.{key}"), "must be a string; put it in quotes")),
                }
            }
        }
        Some(_) => errors.push(FieldError::new(format!("metadata.{field}"), "must be a mapping of strings")),
    }
    found
}

#[cfg(test)]
mod tests;
