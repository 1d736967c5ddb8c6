//! Documents that are looked at together: what one refers to is another of them, or is in force already.
//!
//! Whoever looks has no API server to ask. What only it knows — a Secret that is not among the documents, the labels of
//! a namespace, whom a client elsewhere lets refer to it — is called unknown and never guessed: a reference that is
//! live stays live, any other does not resolve.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::yaml::{self, Document, NamespaceDocument, SecretDocument};
use super::{Object, ObjectKey, References, Resolved, needs, permits};
use crate::crd::FieldError;
use crate::crd::reference::{AllowedNamespaces, From as Origin};
use crate::domain::{Kind, OwnerKey};

/// The label that every API server sets.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// What a set of documents says.
#[derive(Debug, Default)]
pub struct Together {
    /// Each with its first line, in the order in which they stand.
    pub objects: Vec<(usize, Object)>,
    pub faults: Vec<yaml::Error>,
    secrets: BTreeMap<ObjectKey, SecretDocument>,
    namespaces: BTreeMap<String, NamespaceDocument>,
}

/// An object that has an id, or will have one.
pub struct Known {
    pub id: String,
    /// Its `allowedNamespaces` as the database keeps it; of a client it keeps none.
    pub allowed: Option<Value>,
}

/// What the references of one object resolve to, and what of it cannot be known here.
pub struct Looked {
    pub references: References,
    pub unknown: Vec<FieldError>,
}

impl Together {
    /// Reads a stream of documents; kinds of other API groups are passed over. The second document of one object is a
    /// fault.
    pub fn read(text: &str, namespace: &str) -> Self {
        let mut read = Self::default();
        let mut lines: BTreeMap<OwnerKey, usize> = BTreeMap::new();
        for (line, document) in yaml::lines_in(text, namespace) {
            match document {
                Err(error) if error.foreign => {}
                Err(error) => read.faults.push(error),
                Ok(Document::Object(object)) => match lines.insert(object.key(), line) {
                    None => read.objects.push((line, object)),
                    Some(first) => {
                        let errors = vec![FieldError::new("", format!("is in line {first} already"))];
                        read.faults.push(yaml::Error { line, key: Some(object.key()), foreign: false, errors });
                    }
                },
                Ok(Document::Secret(secret)) => {
                    read.secrets.insert(ObjectKey::new(&secret.namespace, &secret.name), secret);
                }
                Ok(Document::Namespace(namespace)) => {
                    read.namespaces.insert(namespace.name.clone(), namespace);
                }
            }
        }
        read
    }

    /// Resolves all references of one object. `live` are the ids that are in force for it now.
    pub fn look(
        &self,
        object: &Object,
        known: impl Fn(&OwnerKey) -> Option<Known>,
        live: &BTreeSet<String>,
        namespace_uid: &str,
    ) -> Looked {
        let needs = needs(object);
        let mut unknown = Vec::new();
        let mut all = |kind: Kind, keys: &BTreeMap<ObjectKey, String>| {
            let mut resolved = BTreeMap::new();
            for (key, field) in keys {
                let owner = OwnerKey::new(kind, &key.namespace, &key.name);
                let found = match known(&owner) {
                    None => Resolved::Missing,
                    Some(target) => match self.lets(&owner, target.allowed.as_ref(), object.namespace()) {
                        Some(true) => Resolved::Found(target.id),
                        Some(false) => Resolved::NotPermitted,
                        None => {
                            let message = format!("whether {owner} allows this namespace is not known here");
                            unknown.push(FieldError::new(field, message));
                            if live.contains(&target.id) { Resolved::Found(target.id) } else { Resolved::NotPermitted }
                        }
                    },
                };
                resolved.insert(key.clone(), found);
            }
            resolved
        };
        let mut references = References {
            namespace_uid: namespace_uid.to_owned(),
            resource_servers: all(Kind::ResourceServer, &needs.resource_servers),
            clients: all(Kind::OAuthClient, &needs.clients),
            providers: all(Kind::Provider, &needs.providers),
            secrets: BTreeMap::new(),
        };
        for (key, field) in &needs.secrets {
            let secret = self.secrets.get(&ObjectKey::new(object.namespace(), &key.name));
            let found = secret.map_or(Resolved::Unreadable, |secret| secret.resolve(key));
            if secret.is_none() {
                let message = format!("what Secret {}, key {} holds is not known here", key.name, key.key);
                unknown.push(FieldError::new(field, message));
            }
            references.secrets.insert(key.clone(), found);
        }
        Looked { references, unknown }
    }

    /// Whether `target` lets objects of that namespace refer to it; `None` = nobody here knows.
    fn lets(&self, target: &OwnerKey, kept: Option<&Value>, from: &str) -> Option<bool> {
        if target.namespace == from {
            return Some(true);
        }
        let document = self.objects.iter().find(|(_, object)| object.key() == *target);
        let allowed: AllowedNamespaces = match document {
            Some((_, object)) => object.allowed_namespaces().clone(),
            None => serde_json::from_value(kept?.clone()).ok()?,
        };
        let document = self.namespaces.get(from);
        if allowed.from == Origin::Selector && document.is_none() && !is_by_name(&allowed) {
            return None;
        }
        let mut labels = document.map(|document| document.labels.clone()).unwrap_or_default();
        labels.insert(NAME_LABEL.to_owned(), from.to_owned());
        Some(permits(&allowed, &target.namespace, from, &labels))
    }
}

/// Whether a selector looks at nothing but the namespace's name.
fn is_by_name(allowed: &AllowedNamespaces) -> bool {
    allowed.selector.as_ref().is_some_and(|selector| {
        selector.match_labels.keys().all(|key| key == NAME_LABEL)
            && selector.match_expressions.iter().all(|requirement| requirement.key == NAME_LABEL)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENTS: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: web, labels: {tier: front}}
---
apiVersion: holdfast.dev/v1alpha1
kind: ResourceServer
metadata: {name: open, namespace: billing}
spec:
  resourceURI: https://open.example.com/mcp
  allowedNamespaces: {from: Selector, selector: {matchLabels: {tier: front}}}
---
apiVersion: holdfast.dev/v1alpha1
kind: OAuthClient
metadata: {name: portal}
spec:
  grantTypes: [client_credentials]
  authentication: {method: ClientSecretBasic, secret: {source: Referenced, name: mine}}
  resources:
  - {name: open, resourceServerRef: {name: open, namespace: billing}}
  - {name: far, resourceServerRef: {name: far, namespace: billing}}
  - {name: gone, resourceServerRef: {name: gone}}
";

    fn looked(namespace: &str, live: &[&str]) -> (Vec<String>, Vec<String>) {
        let together = Together::read(DOCUMENTS, namespace);
        assert_eq!((together.objects.len(), together.faults.len()), (2, 0), "{:?}", together.faults);
        let (_, client) = &together.objects[1];
        assert_eq!(client.namespace(), namespace);
        let known = |owner: &OwnerKey| {
            let selector = serde_json::json!({"from": "Selector", "selector": {"matchLabels": {"team": "x"}}});
            (owner.name != "gone").then(|| Known { id: format!("rs_{}", owner.name), allowed: Some(selector) })
        };
        let live = live.iter().map(|id| (*id).to_owned()).collect();
        let Looked { references, unknown } = together.look(client, known, &live, "");
        let found = references.resource_servers.values().filter_map(|found| found.found().cloned()).collect();
        (found, unknown.into_iter().map(|unknown| unknown.path).collect())
    }

    #[test]
    fn what_is_not_known_is_said_and_what_is_live_stays() {
        let (secret, open, far) = (
            "spec.authentication.secret.name",
            "spec.resources[open].resourceServerRef",
            "spec.resources[far].resourceServerRef",
        );
        let told = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        // the labels of web are among the documents
        assert_eq!(looked("web", &[]), (told(&["rs_open"]), told(&[secret])));
        // those of another namespace are not
        assert_eq!(looked("other", &[]), (vec![], told(&[far, open, secret])));
        assert_eq!(looked("other", &["rs_far"]), (told(&["rs_far"]), told(&[far, open, secret])));
    }

    #[test]
    fn the_second_document_of_an_object_is_a_fault() {
        let twice = format!("{DOCUMENTS}---\n{}", DOCUMENTS.split("---\n").nth(1).unwrap());
        let together = Together::read(&twice, "default");
        assert_eq!(together.faults[0].to_string(), "line 22: ResourceServer/billing/open: is in line 4 already");
    }
}
