//! A resource server: what a token can be for, and what its scopes, tools and roles are.
//!
//! Member names are those of the custom resource, so that a path in an Event reads like the manifest.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The policy of one resource server as it is applied, compared and stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResourceServer {
    /// RFC 8707 audience, in its registered form.
    #[serde(rename = "resourceURI")]
    pub resource_uri: String,
    pub display_name: String,
    pub lifecycle: Lifecycle,
    pub token_source: Value,
    pub scopes: Vec<Scope>,
    pub tools: Vec<Tool>,
    pub roles: Vec<Role>,
    pub default_role: Option<String>,
    pub role_bindings: Vec<Named>,
    pub access_token: AccessToken,
    pub allowed_namespaces: Value,
    pub dynamic_clients: String,
    pub consent: String,
    pub exchange: Value,
    /// Client ids that may act as this resource: introspect its tokens.
    pub runtime_clients: BTreeSet<String>,
    pub runtime_service_accounts: Value,
    pub connect: Value,
    pub fronting: Vec<Named>,
}

impl ResourceServer {
    /// The scope catalogue, by name.
    pub fn scope_names(&self) -> BTreeSet<&str> {
        self.scopes.iter().map(|s| s.name.as_str()).collect()
    }

    /// All reasons why this cannot go live, at once; empty = it can.
    pub fn activation_failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        if self.scopes.is_empty() {
            failures.push("spec.scopes is empty".to_owned());
        }
        for tool in self.tools.iter().filter(|t| t.access == ToolAccess::Scoped && t.scopes.is_empty()) {
            failures.push(format!("tool {} is Scoped and names no scope", tool.name));
        }
        if let Some(role) = &self.default_role {
            match self.roles.iter().find(|r| &r.name == role) {
                None => failures.push(format!("default role {role} is not in spec.roles")),
                Some(r) if r.scopes.is_empty() => failures.push(format!("default role {role} has no scopes")),
                Some(_) => {}
            }
        }
        failures
    }
}

/// Only a Live one issues tokens and serves metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lifecycle {
    Draft,
    /// Meant to be live, and something keeps it from it.
    NeedsSetup,
    Live,
}

impl Lifecycle {
    /// As a policy answer spells it.
    pub const fn state(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::NeedsSetup => "needs_setup",
            Self::Live => "ready",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scope {
    pub name: String,
    pub description: String,
    /// Low, Medium or High.
    pub risk: String,
    /// The provider's own scope, for tokens that are brokered; empty otherwise.
    pub upstream: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tool {
    pub name: String,
    pub access: ToolAccess,
    pub scopes: Vec<String>,
    /// Any or All of the scopes.
    #[serde(rename = "match")]
    pub matching: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToolAccess {
    Scoped,
    Public,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Role {
    pub name: String,
    pub scopes: Vec<String>,
}

/// An item of a list-map whose members are stored and compared as they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Named {
    pub name: String,
    #[serde(flatten)]
    pub members: serde_json::Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessToken {
    /// JWT or Opaque.
    pub format: String,
    pub signing_algorithm: SigningAlgorithm,
    /// Seconds, 60 to 3600. Default 900.
    pub lifetime_seconds: i64,
    /// None, DPoPOptional or DPoPRequired.
    pub sender_constraint: String,
}

impl AccessToken {
    /// Lifetimes that are issued, in seconds.
    pub const LIFETIMES: RangeInclusive<i64> = 60..=3600;

    /// What is not one of the values that there are, if anything.
    pub fn fault(&self) -> Option<&'static str> {
        if !Self::LIFETIMES.contains(&self.lifetime_seconds) {
            return Some("lifetimeSeconds must be 60 to 3600");
        }
        if !["JWT", "Opaque"].contains(&self.format.as_str()) {
            return Some("format must be JWT or Opaque");
        }
        let constraints = ["None", "DPoPOptional", "DPoPRequired"];
        let known = constraints.contains(&self.sender_constraint.as_str());
        (!known).then_some("senderConstraint must be None, DPoPOptional or DPoPRequired")
    }
}

/// JWS algorithms that tokens are signed with (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SigningAlgorithm {
    ES256,
    EdDSA,
    RS256,
}

impl SigningAlgorithm {
    pub const ALL: [Self; 3] = [Self::ES256, Self::EdDSA, Self::RS256];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ES256 => "ES256",
            Self::EdDSA => "EdDSA",
            Self::RS256 => "RS256",
        }
    }
}
