//! One policy entity as a map of fields: what is compared, what is reported, what is merged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::client::Client;
use super::owner::Kind;
use super::provider::Provider;
use super::resource_server::ResourceServer;

/// The desired, last applied or observed policy of one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "spec")]
#[expect(clippy::large_enum_variant, reason = "few live at once; a box would show in every match")]
pub enum Spec {
    ResourceServer(ResourceServer),
    #[serde(rename = "OAuthClient")]
    Client(Client),
    Provider(Provider),
}

/// Field path → value. Lists of named items give a path an item (`scopes[invoices.read]`), all else one a member.
pub type FieldMap = BTreeMap<String, Value>;

/// How much a drifted field matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    Security,
    Behavior,
    Cosmetic,
}

impl Class {
    /// The value of the metric label `class`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Security => "security",
            Self::Behavior => "behavior",
            Self::Cosmetic => "cosmetic",
        }
    }
}

/// One row a member of each kind's struct; a test below finds a member without a row.
const FIELDS: &[(Kind, &str, Class)] = &[
    (Kind::ResourceServer, "resourceURI", Class::Security),
    (Kind::ResourceServer, "displayName", Class::Cosmetic),
    (Kind::ResourceServer, "lifecycle", Class::Security),
    (Kind::ResourceServer, "tokenSource", Class::Security),
    (Kind::ResourceServer, "scopes", Class::Security),
    (Kind::ResourceServer, "tools", Class::Security),
    (Kind::ResourceServer, "roles", Class::Security),
    (Kind::ResourceServer, "defaultRole", Class::Security),
    (Kind::ResourceServer, "roleBindings", Class::Security),
    (Kind::ResourceServer, "accessToken", Class::Behavior),
    (Kind::ResourceServer, "allowedNamespaces", Class::Security),
    (Kind::ResourceServer, "dynamicClients", Class::Security),
    (Kind::ResourceServer, "consent", Class::Behavior),
    (Kind::ResourceServer, "exchange", Class::Security),
    (Kind::ResourceServer, "runtimeClients", Class::Security),
    (Kind::ResourceServer, "runtimeServiceAccounts", Class::Security),
    (Kind::ResourceServer, "connect", Class::Security),
    (Kind::ResourceServer, "fronting", Class::Security),
    (Kind::OAuthClient, "displayName", Class::Cosmetic),
    (Kind::OAuthClient, "state", Class::Security),
    (Kind::OAuthClient, "grantTypes", Class::Security),
    (Kind::OAuthClient, "redirectURIs", Class::Security),
    (Kind::OAuthClient, "authenticationMethod", Class::Security),
    (Kind::OAuthClient, "jwks", Class::Security),
    (Kind::OAuthClient, "jwksURI", Class::Security),
    (Kind::OAuthClient, "workloadIdentity", Class::Security),
    (Kind::OAuthClient, "agent", Class::Behavior),
    (Kind::OAuthClient, "resources", Class::Security),
    (Kind::OAuthClient, "consent", Class::Behavior),
    (Kind::OAuthClient, "tokens", Class::Behavior),
    (Kind::Provider, "type", Class::Security),
    (Kind::Provider, "purposes", Class::Security),
    (Kind::Provider, "displayName", Class::Cosmetic),
    (Kind::Provider, "settings", Class::Security),
    (Kind::Provider, "clientID", Class::Security),
    (Kind::Provider, "clientSecretRef", Class::Security),
    (Kind::Provider, "scopes", Class::Security),
    (Kind::Provider, "subjectClaim", Class::Security),
    (Kind::Provider, "claimMappings", Class::Security),
    (Kind::Provider, "allowedNamespaces", Class::Security),
];

/// Members that are lists of items with a `name`, compared item by item.
const LIST_MAPS: &[(Kind, &str)] = &[
    (Kind::ResourceServer, "scopes"),
    (Kind::ResourceServer, "tools"),
    (Kind::ResourceServer, "roles"),
    (Kind::ResourceServer, "roleBindings"),
    (Kind::ResourceServer, "fronting"),
    (Kind::OAuthClient, "resources"),
];

/// The member at the front of a path: `scopes[a.b]` → `scopes`.
fn member(path: &str) -> &str {
    path.split(['[', '.']).next().unwrap_or(path)
}

/// The class of the field at `path`; what is not declared is taken most seriously.
pub fn class(kind: Kind, path: &str) -> Class {
    let member = member(path);
    FIELDS.iter().find(|(k, name, _)| *k == kind && *name == member).map_or(Class::Security, |(_, _, class)| *class)
}

impl Spec {
    pub const fn kind(&self) -> Kind {
        match self {
            Self::ResourceServer(_) => Kind::ResourceServer,
            Self::Client(_) => Kind::OAuthClient,
            Self::Provider(_) => Kind::Provider,
        }
    }

    /// The entity as its fields. Two specs are equal exactly when their fields are.
    pub fn fields(&self) -> FieldMap {
        let value = match self {
            Self::ResourceServer(spec) => serde_json::to_value(spec),
            Self::Client(spec) => serde_json::to_value(spec),
            Self::Provider(spec) => serde_json::to_value(spec),
        };
        // plain structs of strings, numbers, lists and maps always serialise
        let Ok(Value::Object(members)) = value else { return FieldMap::new() };
        let mut fields = FieldMap::new();
        for (name, value) in members {
            match value {
                Value::Array(items) if LIST_MAPS.contains(&(self.kind(), name.as_str())) => {
                    for item in items {
                        let key = item.get("name").and_then(Value::as_str).unwrap_or_default();
                        fields.insert(format!("{name}[{key}]"), item);
                    }
                }
                other => {
                    fields.insert(name, other);
                }
            }
        }
        fields
    }

    /// The entity that has these fields.
    pub fn from_fields(kind: Kind, fields: &FieldMap) -> Result<Self, serde_json::Error> {
        let mut members = Map::new();
        for (_, name) in LIST_MAPS.iter().filter(|(k, _)| *k == kind) {
            members.insert((*name).to_owned(), Value::Array(Vec::new()));
        }
        for (path, value) in fields {
            let name = member(path);
            match members.get_mut(name) {
                Some(Value::Array(items)) if path.ends_with(']') => items.push(value.clone()),
                _ => {
                    members.insert(path.clone(), value.clone());
                }
            }
        }
        let value = Value::Object(members);
        Ok(match kind {
            Kind::ResourceServer => Self::ResourceServer(serde_json::from_value(value)?),
            Kind::OAuthClient => Self::Client(serde_json::from_value(value)?),
            Kind::Provider => Self::Provider(serde_json::from_value(value)?),
        })
    }
}

#[cfg(test)]
pub mod tests;
