//! `ResourceServer`: what tokens can be for, with its scopes, tools and roles.

pub mod access;
pub mod policy;
pub mod status;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{Common, SenderConstraint};
use super::reference::ObjectRef;
use super::rules;
use access::{Connect, Exchange, Fronting, Introspection, Runtime};
use policy::{AccessPolicy, Role, RoleBinding, Scope, Tool};
pub use status::ResourceServerStatus;

/// What a resource server is and who may do what there.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "holdfast.dev",
    version = "v1alpha1",
    kind = "ResourceServer",
    plural = "resourceservers",
    singular = "resourceserver",
    shortname = "rsrv",
    category = "holdfast",
    namespaced,
    status = "ResourceServerStatus",
    derive = "PartialEq",
    doc = "A resource server, such as an MCP server: what tokens can be for, with its scopes, tools and roles.",
    selectable = ".spec.resourceURI",
    selectable = ".spec.lifecycle",
    selectable = ".status.state",
    selectable = ".spec.reconciliation",
    printcolumn(name = "URI", type_ = "string", json_path = ".spec.resourceURI"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Drifted", type_ = "string", json_path = ".status.conditions[?(@.type==\"Drifted\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = rules::short_name(),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::immutable("installation"))]
#[x_kube(validation = rules::scopes_exist("tools", "tool"))]
#[x_kube(validation = rules::scopes_exist("roles", "role"))]
#[x_kube(validation = Rule::new("!has(self.roleBindings) || [has(self.roles) ? self.roles.map(x, x.name) : []].all(names, self.roleBindings.all(b, b.role in names))")
    .message(Message::Expression("'roleBinding %s names a role that spec.roles lacks'.format([has(self.roles) ? self.roles.map(x, x.name) : []].map(names, self.roleBindings.filter(b, !(b.role in names))[0].name))".to_owned()))
    .field_path(".roleBindings"))]
pub struct ResourceServerSpec {
    /// The resource's URI, which is the audience of its tokens (RFC 8707): https, or http on loopback; no fragment.
    /// Compared as an exact string, so a trailing slash counts. Unique in the installation. Immutable.
    #[serde(rename = "resourceURI")]
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = rules::web_url("resourceURI"))]
    #[x_kube(validation = rules::no_dot_segments("resourceURI"))]
    #[x_kube(validation = rules::immutable_value("resourceURI"))]
    pub resource_uri: String,
    /// The name that people see. Default: the object's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub display_name: Option<String>,
    /// Where its tokens come from. Default: Mint.
    #[serde(default)]
    pub token_source: TokenSource,
    /// Live: tokens are issued and metadata is served, once all activation gates pass. Draft: neither; tokens already
    /// issued live on. Default: Draft.
    #[serde(default)]
    pub lifecycle: Lifecycle,
    /// The catalogue of scopes. At most 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".to_owned()]))]
    pub scopes: Vec<Scope>,
    /// What each tool needs. A tool that is not listed is denied. At most 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".to_owned()]))]
    pub tools: Vec<Tool>,
    /// Named sets of scopes for people. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".to_owned()]))]
    pub roles: Vec<Role>,
    /// What a new user gets. Unset: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_policy: Option<AccessPolicy>,
    /// Who has which role. At most 256, with at most 512 subjects in all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".to_owned()]))]
    #[x_kube(validation = Rule::new("self.map(b, has(b.subjects) ? size(b.subjects) : 0).sum() <= 512")
        .message("roleBindings must not have more than 512 subjects in all"))]
    pub role_bindings: Vec<RoleBinding>,
    /// What its access tokens are like.
    #[serde(default)]
    pub access_token: AccessToken,
    /// Which clients that no OAuthClient describes may ask for tokens. Denied: none. CIMD: those with a client id
    /// metadata document. All: also dynamically registered ones. Default: Denied.
    #[serde(default)]
    pub dynamic_clients: DynamicClients,
    /// ImplicitAllowed: a client may ask for tokens without the user's consent. Default: Required.
    #[serde(default)]
    pub consent: ResourceConsent,
    /// Who may exchange other tokens into tokens for this resource. Unset: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<Exchange>,
    /// Who may act as this resource server: introspect its tokens, read its policy. Unset: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,
    /// Connecting users' accounts at an upstream provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<Connect>,
    /// As a gateway: which resource servers stand behind this one. At most 8, without a cycle.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".to_owned()]))]
    pub fronting: Vec<Fronting>,
    /// A credential of its own with which the resource server introspects its tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introspection: Option<Introspection>,
    #[serde(flatten)]
    pub common: Common<ResourceServerField>,
}

/// Where tokens come from.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::immutable_type("tokenSource"))]
#[x_kube(validation = rules::union_member("Broker", "providerRef"))]
pub struct TokenSource {
    /// Mint: Holdfast issues them. Broker: they are the user's tokens at an upstream provider. Immutable.
    #[serde(rename = "type")]
    pub kind: TokenSourceType,
    /// The upstream provider, with Broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_ref: Option<ObjectRef>,
}

/// Where tokens come from.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum TokenSourceType {
    #[default]
    Mint,
    Broker,
}

/// Whether a resource server is in use.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Lifecycle {
    #[default]
    Draft,
    Live,
}

/// What access tokens are like.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessToken {
    /// JWT: self-contained (RFC 9068). Opaque: a handle that must be introspected. Default: JWT.
    #[serde(default)]
    pub format: TokenFormat,
    /// Signature of JWTs. Default: ES256.
    #[serde(default)]
    pub signing_algorithm: SigningAlgorithm,
    /// Seconds that a token lives, 60 to 3600. Unset: the installation's tokens.default_lifetime_seconds (900 unless
    /// configured).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 3600))]
    pub lifetime_seconds: Option<i64>,
    /// Whether tokens are bound to a key of their holder (RFC 9449). Default: None.
    #[serde(default)]
    pub sender_constraint: SenderConstraint,
}

/// Shapes of an access token.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum TokenFormat {
    #[default]
    JWT,
    Opaque,
}

/// JWS algorithms (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum SigningAlgorithm {
    #[default]
    ES256,
    EdDSA,
    RS256,
}

/// Which clients that no object describes are admitted.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum DynamicClients {
    #[default]
    Denied,
    CIMD,
    All,
}

/// Whether a client may go without the user's consent.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum ResourceConsent {
    #[default]
    Required,
    ImplicitAllowed,
}

/// Fields of a resource server whose drift may be ignored.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ResourceServerField {
    DisplayName,
    AccessToken,
    Consent,
}
