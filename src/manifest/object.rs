//! An object of any of our kinds, and what all of them have in common.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use serde_json::Value;

use super::spelled;
use crate::crd;
use crate::crd::common::{AdoptionPolicy, Common, DeletionPolicy, DriftMode, Reconciliation};
use crate::crd::reference::AllowedNamespaces;
use crate::domain::{Kind, OwnerKey};

/// A custom resource of one of our kinds.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    ResourceServer(Box<crd::ResourceServer>),
    OAuthClient(Box<crd::OAuthClient>),
    Provider(Box<crd::Provider>),
}

impl From<crd::ResourceServer> for Object {
    fn from(object: crd::ResourceServer) -> Self {
        Self::ResourceServer(Box::new(object))
    }
}

impl From<crd::OAuthClient> for Object {
    fn from(object: crd::OAuthClient) -> Self {
        Self::OAuthClient(Box::new(object))
    }
}

impl From<crd::Provider> for Object {
    fn from(object: crd::Provider) -> Self {
        Self::Provider(Box::new(object))
    }
}

/// The common fields without the type parameter.
pub(super) struct CommonFields<'a> {
    pub(super) installation: Option<&'a str>,
    pub(super) reconciliation: Reconciliation,
    pub(super) drift_mode: Option<DriftMode>,
    pub(super) ignore_fields: BTreeSet<String>,
    pub(super) deletion_policy: DeletionPolicy,
    pub(super) adoption_policy: AdoptionPolicy,
}

impl Object {
    /// The object from JSON of any of our kinds, unvalidated.
    ///
    /// # Errors
    /// It is of another kind or does not have the kind's form.
    pub fn from_value(value: Value) -> Result<Self, serde_json::Error> {
        Ok(match value.get("kind").and_then(Value::as_str) {
            Some("ResourceServer") => serde_json::from_value::<crd::ResourceServer>(value)?.into(),
            Some("OAuthClient") => serde_json::from_value::<crd::OAuthClient>(value)?.into(),
            _ => serde_json::from_value::<crd::Provider>(value)?.into(),
        })
    }

    pub const fn kind(&self) -> Kind {
        match self {
            Self::ResourceServer(_) => Kind::ResourceServer,
            Self::OAuthClient(_) => Kind::OAuthClient,
            Self::Provider(_) => Kind::Provider,
        }
    }

    /// Kind, namespace and name.
    pub fn key(&self) -> OwnerKey {
        OwnerKey::new(self.kind(), self.namespace(), self.name())
    }

    pub fn namespace(&self) -> &str {
        self.metadata().namespace.as_deref().unwrap_or_default()
    }

    pub fn name(&self) -> &str {
        self.metadata().name.as_deref().unwrap_or_default()
    }

    /// Empty for an object that no API server made.
    pub fn uid(&self) -> &str {
        self.metadata().uid.as_deref().unwrap_or_default()
    }

    pub fn annotations(&self) -> &BTreeMap<String, String> {
        match self {
            Self::ResourceServer(object) => object.annotations(),
            Self::OAuthClient(object) => object.annotations(),
            Self::Provider(object) => object.annotations(),
        }
    }

    /// Who may refer to the object.
    pub fn allowed_namespaces(&self) -> &AllowedNamespaces {
        match self {
            Self::ResourceServer(object) => &object.spec.common.allowed_namespaces,
            Self::OAuthClient(object) => &object.spec.common.allowed_namespaces,
            Self::Provider(object) => &object.spec.common.allowed_namespaces,
        }
    }

    pub fn metadata(&self) -> &kube::api::ObjectMeta {
        match self {
            Self::ResourceServer(object) => &object.metadata,
            Self::OAuthClient(object) => &object.metadata,
            Self::Provider(object) => &object.metadata,
        }
    }

    pub(super) fn common(&self) -> CommonFields<'_> {
        fn of<F: serde::Serialize>(common: &Common<F>) -> CommonFields<'_> {
            CommonFields {
                installation: common.installation.as_deref(),
                reconciliation: common.reconciliation,
                drift_mode: common.drift_policy.as_ref().and_then(|policy| policy.mode),
                ignore_fields: common.drift_policy.iter().flat_map(|p| &p.ignore_fields).map(spelled).collect(),
                deletion_policy: common.deletion_policy,
                adoption_policy: common.adoption_policy,
            }
        }
        match self {
            Self::ResourceServer(object) => of(&object.spec.common),
            Self::OAuthClient(object) => of(&object.spec.common),
            Self::Provider(object) => of(&object.spec.common),
        }
    }
}
