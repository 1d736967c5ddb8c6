//! Scopes, tools, roles and who has them.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::rules;

/// A permission that a token can carry.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
pub struct Scope {
    /// The scope as tokens carry it (RFC 6749 §3.3): letters, digits and . _ : / ~ -
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9._:/~-]+$"))]
    pub name: String,
    /// What it allows, for people who give consent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub description: Option<String>,
    /// How much harm it can do. Unset: Low.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
    /// The provider's own scope, for tokens that are brokered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub upstream: Option<String>,
}

/// How much harm a scope can do.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Risk {
    #[default]
    Low,
    Medium,
    High,
}

/// What a tool needs.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[x_kube(validation = Rule::new("self.access != 'Public' || !has(self.scopes) || size(self.scopes) == 0")
    .message("scopes are forbidden with access: Public").field_path(".scopes"))]
pub struct Tool {
    /// The tool's name, as the server publishes it: letters, digits and . _ / -
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9._/-]+$"))]
    pub name: String,
    /// Scoped: a token needs the scopes. Public: any valid token will do.
    pub access: ToolAccess,
    /// The scopes it needs, all from spec.scopes. At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 128)))]
    #[x_kube(validation = rules::unique("scopes"))]
    pub scopes: Vec<String>,
    /// Whether one of the scopes is enough or all are needed. Unset: Any.
    #[serde(rename = "match", default, skip_serializing_if = "Option::is_none")]
    pub matching: Option<Match>,
}

/// Who may call a tool.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum ToolAccess {
    Scoped,
    Public,
}

/// How many of the scopes are needed.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Match {
    #[default]
    Any,
    All,
}

/// A named set of scopes.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
pub struct Role {
    /// The role's name.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"))]
    pub name: String,
    /// Its scopes, all from spec.scopes. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)))]
    #[x_kube(validation = rules::unique("scopes"))]
    pub scopes: Vec<String>,
}

/// What a new user gets.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessPolicy {
    /// The role a user gets at first login. Unset: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub default_role: Option<String>,
}

/// A role and who has it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
pub struct RoleBinding {
    /// Name of this item.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub name: String,
    /// A role of spec.roles.
    #[schemars(length(min = 1, max = 63))]
    pub role: String,
    /// Who has it. At most 64, and 512 in all bindings together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub subjects: Vec<Subject>,
}

/// Someone who has a role.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
pub struct Subject {
    /// User, Group or Client.
    pub kind: SubjectKind,
    /// User: a usr_ id, or issuer#sub of an OIDC Provider. Group: the Provider's namespace/name:group. Client: a
    /// client_id.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
}

/// What kind of subject it is.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum SubjectKind {
    User,
    Group,
    Client,
}
