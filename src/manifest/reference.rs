//! References: which an object has, what became of each, and who may refer to whom.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::crd::FieldError;
use crate::crd::reference::{AllowedNamespaces, From as Origin, ObjectRef};
use crate::domain::SecretText;

use super::selector;

/// Namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    pub namespace: String,
    pub name: String,
}

impl ObjectKey {
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The object that `reference`, in an object of `namespace`, names.
    pub fn of(reference: &ObjectRef, namespace: &str) -> Self {
        Self::new(reference.namespace.as_deref().unwrap_or(namespace), &reference.name)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One key of a Secret in the object's own namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretKey {
    pub name: String,
    pub key: String,
}

/// What became of one reference.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolved<T> {
    Found(T),
    /// There is no such object, it has no id yet, or no such key in the Secret.
    Missing,
    /// The other side does not allow it.
    NotPermitted,
    /// It could not be read, which says nothing about whether it is there.
    Unreadable,
}

impl<T> Resolved<T> {
    pub const fn found(&self) -> Option<&T> {
        match self {
            Self::Found(value) => Some(value),
            _ => None,
        }
    }
}

/// The references of one object, with the field that has each. An object is named once however often it is used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    pub resource_servers: BTreeMap<ObjectKey, String>,
    pub clients: BTreeMap<ObjectKey, String>,
    pub providers: BTreeMap<ObjectKey, String>,
    /// In the object's namespace; they must carry the label `holdfast.dev/referenced: "true"`.
    pub secrets: BTreeMap<SecretKey, String>,
}

/// What the references of one object resolved to.
#[derive(Debug, Clone, Default)]
pub struct References {
    /// uid of the object's namespace.
    pub namespace_uid: String,
    /// Ids (`rs_…`) of resource servers.
    pub resource_servers: BTreeMap<ObjectKey, Resolved<String>>,
    /// Client ids.
    pub clients: BTreeMap<ObjectKey, Resolved<String>>,
    /// Ids (`prv_…`) of providers.
    pub providers: BTreeMap<ObjectKey, Resolved<String>>,
    pub secrets: BTreeMap<SecretKey, Resolved<SecretText>>,
}

impl Needs {
    /// Objects that could not be read. A Secret that could not be read leaves the live credential alone instead.
    pub(super) fn unreadable(&self, references: &References) -> Vec<FieldError> {
        let of = |needs: &BTreeMap<ObjectKey, String>, found: &BTreeMap<ObjectKey, Resolved<String>>| {
            needs
                .iter()
                .filter(|(key, _)| matches!(found.get(key), Some(Resolved::Unreadable)))
                .map(|(key, field)| FieldError::new(field, format!("{key} could not be read")))
                .collect::<Vec<_>>()
        };
        [
            of(&self.resource_servers, &references.resource_servers),
            of(&self.clients, &references.clients),
            of(&self.providers, &references.providers),
        ]
        .concat()
    }

    /// Whether every object is there.
    pub(super) fn are_met(&self, references: &References) -> bool {
        let met = |needs: &BTreeMap<ObjectKey, String>, found: &BTreeMap<ObjectKey, Resolved<String>>| {
            needs.keys().all(|key| found.get(key).is_some_and(|resolved| resolved.found().is_some()))
        };
        met(&self.resource_servers, &references.resource_servers)
            && met(&self.clients, &references.clients)
            && met(&self.providers, &references.providers)
    }

    /// Adds a reference to an object; the first field that has it is kept.
    pub(super) fn add(map: &mut BTreeMap<ObjectKey, String>, reference: &ObjectRef, namespace: &str, field: String) {
        map.entry(ObjectKey::of(reference, namespace)).or_insert(field);
    }
}

/// Ids of the references among `list` that resolved.
pub(super) fn ids(
    list: &[ObjectRef],
    namespace: &str,
    found: &BTreeMap<ObjectKey, Resolved<String>>,
) -> BTreeSet<String> {
    list.iter().filter_map(|r| found.get(&ObjectKey::of(r, namespace))?.found().cloned()).collect()
}

/// Whether an object in namespace `target` lets objects of namespace `from`, which has `labels`, refer to it.
pub fn permits(allowed: &AllowedNamespaces, target: &str, from: &str, labels: &BTreeMap<String, String>) -> bool {
    if target == from {
        return true;
    }
    match allowed.from {
        Origin::Same => false,
        Origin::All => true,
        Origin::Selector => allowed.selector.as_ref().is_some_and(|selector| selector::matches(selector, labels)),
    }
}
