//! Who may act towards a resource server: exchange, runtime, connect, fronting, introspection.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::reference::{LocalRef, ObjectRef};
use crate::crd::rules;
use crate::crd::schema;
use crate::crd::secret::SecretRotation;

/// Who may exchange other tokens into tokens for this resource (RFC 8693).
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.mode == 'Listed' || (!has(self.clientRefs) && !has(self.clientIDs))")
    .message("clientRefs and clientIDs are forbidden with mode: Any").field_path(".clientRefs"))]
pub struct Exchange {
    /// Listed: the clients named here; none when the lists are empty. Any: every client, in trusted namespaces only.
    pub mode: ExchangeMode,
    /// OAuthClients. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub client_refs: Vec<ObjectRef>,
    /// Client ids. At most 32.
    #[serde(rename = "clientIDs", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 512)))]
    pub client_ids: Vec<String>,
}

/// Which clients may exchange.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum ExchangeMode {
    Listed,
    Any,
}

/// Who may act as this resource server.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Runtime {
    /// OAuthClients. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub client_refs: Vec<ObjectRef>,
    /// Client ids. At most 32.
    #[serde(rename = "clientIDs", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 512)))]
    pub client_ids: Vec<String>,
    /// Service accounts of this namespace, which authenticate with their own tokens. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub service_account_refs: Vec<LocalRef>,
}

/// Connecting users' accounts at an upstream provider.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Connect {
    /// Where users may be sent afterwards, compared as exact strings. At most 32 of at most 1024 characters.
    #[serde(rename = "allowedReturnURLs", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), schema_with = "return_urls")]
    #[x_kube(validation = rules::unique("allowedReturnURLs"))]
    pub allowed_return_urls: Vec<String>,
}

fn return_urls(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schema::strings(1024, [rules::web_url("allowedReturnURLs"), rules::no_dot_segments("allowedReturnURLs")])
}

/// A resource server that stands behind this one.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fronting {
    /// Name of this item.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub name: String,
    /// The ResourceServer behind.
    pub target_ref: ObjectRef,
    /// Which scopes here become which scopes there. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub scope_map: Vec<ScopeMapping>,
}

/// A scope here and what it becomes behind.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
pub struct ScopeMapping {
    /// A scope of this resource server.
    #[schemars(length(min = 1, max = 128))]
    pub source: String,
    /// Scopes of the target. At most 4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), inner(length(min = 1, max = 128)))]
    pub target: Vec<String>,
}

/// A credential of the resource server's own.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
pub struct Introspection {
    /// The Secret it is written into, with keys client_id, client_secret and issuer.
    pub secret: IntrospectionSecret,
}

/// The generated Secret of an introspection credential.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
pub struct IntrospectionSecret {
    /// Name of the Secret, in this namespace.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub name: String,
    /// When the secret is replaced. Unset: only by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<SecretRotation>,
}
