//! Core objects that a policy directory may hold: Secrets that are referenced, Namespaces for their labels.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::metadata;
use crate::crd::FieldError;
use crate::crd::common::REFERENCED_LABEL;
use crate::domain::SecretText;
use crate::manifest::names;
use crate::manifest::reference::{Resolved, SecretKey};

/// A core Secret.
#[derive(Debug, Clone)]
pub struct SecretDocument {
    pub namespace: String,
    pub name: String,
    pub labels: BTreeMap<String, String>,
    /// By key.
    pub data: BTreeMap<String, SecretText>,
}

impl PartialEq for SecretDocument {
    fn eq(&self, other: &Self) -> bool {
        let hashes = |document: &Self| document.data.iter().map(|(k, v)| (k.clone(), v.hash())).collect::<Vec<_>>();
        (&self.namespace, &self.name, &self.labels) == (&other.namespace, &other.name, &other.labels)
            && hashes(self) == hashes(other)
    }
}

impl SecretDocument {
    /// What a reference to `key` of this Secret resolves to.
    pub fn resolve(&self, key: &SecretKey) -> Resolved<SecretText> {
        if self.labels.get(REFERENCED_LABEL).map(String::as_str) != Some("true") {
            return Resolved::NotPermitted;
        }
        self.data.get(&key.key).cloned().map_or(Resolved::Missing, Resolved::Found)
    }
}

/// A core Namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceDocument {
    pub name: String,
    pub labels: BTreeMap<String, String>,
}

pub(super) fn secret(members: &Map<String, Value>) -> Result<SecretDocument, Vec<FieldError>> {
    let known = ["apiVersion", "kind", "metadata", "type", "data", "stringData", "immutable"];
    let (metadata, mut errors) = metadata(members, names::is_subdomain);
    errors.extend(unknown(members, &known));
    let mut data = BTreeMap::new();
    for field in ["data", "stringData"] {
        let given = match members.get(field) {
            None | Some(Value::Null) => continue,
            Some(Value::Object(given)) => given,
            Some(_) => {
                errors.push(FieldError::new(field, "must be a mapping of strings"));
                continue;
            }
        };
        for (key, value) in given {
            let path = format!("{field}.{key}");
            if !names::is_secret_key(key) {
                errors.push(FieldError::new(path, "is not a key: letters, digits and - _ ."));
                continue;
            }
            match text(field, value) {
                Ok(text) => drop(data.insert(key.clone(), text)),
                Err(message) => errors.push(FieldError::new(path, message)),
            }
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(SecretDocument {
        namespace: metadata.namespace.unwrap_or_default(),
        name: metadata.name.unwrap_or_default(),
        labels: metadata.labels.unwrap_or_default(),
        data,
    })
}

/// The text of one key. No message repeats any of it.
fn text(field: &str, value: &Value) -> Result<SecretText, &'static str> {
    let Value::String(text) = value else { return Err("must be a string; put it in quotes") };
    if field == "stringData" {
        return Ok(SecretText::new(text));
    }
    let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let bytes = STANDARD.decode(compact).map_err(|_| "must be base64; use stringData for plain text")?;
    String::from_utf8(bytes).map(SecretText::new).map_err(|_| "must be text")
}

pub(super) fn namespace(members: &Map<String, Value>) -> Result<NamespaceDocument, Vec<FieldError>> {
    let (metadata, mut errors) = metadata(members, names::is_label);
    errors.extend(unknown(members, &["apiVersion", "kind", "metadata", "spec", "status"]));
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(NamespaceDocument { name: metadata.name.unwrap_or_default(), labels: metadata.labels.unwrap_or_default() })
}

fn unknown(members: &Map<String, Value>, known: &[&str]) -> Vec<FieldError> {
    let strangers = members.keys().filter(|name| !known.contains(&name.as_str()));
    strangers.map(|name| FieldError::new(name, "unknown field")).collect()
}
