//! Who owns a row: the custom resource it was made from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The kinds of custom resource that own policy rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    ResourceServer,
    OAuthClient,
    Provider,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::ResourceServer, Self::OAuthClient, Self::Provider];

    /// The Kubernetes kind, also the value of the metric label `kind` and of the column `owner_kind`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ResourceServer => "ResourceServer",
            Self::OAuthClient => "OAuthClient",
            Self::Provider => "Provider",
        }
    }

    /// The table that holds the kind's main row.
    pub const fn table(self) -> &'static str {
        match self {
            Self::ResourceServer => "resource_server",
            Self::OAuthClient => "client",
            Self::Provider => "provider",
        }
    }

    /// The short name of `kubectl get`, used in names of Events.
    pub const fn short(self) -> &'static str {
        match self {
            Self::ResourceServer => "rsrv",
            Self::OAuthClient => "oac",
            Self::Provider => "oap",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Kind, namespace and name: the ownership key in the database.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OwnerKey {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
}

impl OwnerKey {
    pub fn new(kind: Kind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for OwnerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
    }
}

/// Not `Kind/namespace/name`.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("an owner is written Kind/namespace/name, with Kind one of ResourceServer, OAuthClient, Provider")]
pub struct NotAnOwnerKey;

impl FromStr for OwnerKey {
    type Err = NotAnOwnerKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, '/');
        let (Some(kind), Some(namespace), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NotAnOwnerKey);
        };
        let kind = Kind::ALL.into_iter().find(|k| k.as_str() == kind).ok_or(NotAnOwnerKey)?;
        if namespace.is_empty() || name.is_empty() || name.contains('/') {
            return Err(NotAnOwnerKey);
        }
        Ok(Self::new(kind, namespace, name))
    }
}

/// The owner of a row with what proves that it is the same one after a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    pub key: OwnerKey,
    /// uid of the namespace; a recycled namespace is another one.
    pub namespace_uid: String,
    /// uid of the object; goes into Events, proves nothing about ownership.
    pub object_uid: String,
}
