//! What is known of a resource server.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::common::DriftStatus;
use crate::crd::lenient;
use crate::crd::secret::SecretStatus;

/// What is known of a resource server.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceServerStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Its id in the server, also the user name of its introspection credential.
    #[serde(rename = "resourceServerID", default, skip_serializing_if = "Option::is_none")]
    pub resource_server_id: Option<String>,
    /// Draft, NeedsSetup or Ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Raised with each change of scopes, tools or roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<i64>,
    /// Enforcement points that report, and those that have the newest policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforcement_points: Option<EnforcementPoints>,
    /// Tools by what is known of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<ToolCounts>,
    /// Where its protected-resource metadata is served (RFC 9728).
    #[serde(rename = "metadataURI", default, skip_serializing_if = "Option::is_none")]
    pub metadata_uri: Option<String>,
    /// OAuthClients that may ask for its tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attached_clients: Option<i64>,
    /// The introspection credential, without its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretStatus>,
    /// Drift, found or corrected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftStatus>,
    /// Ready, Accepted, ResolvedRefs, Synced, Drifted, Launched, PolicySynced, SecretCurrent; Reconciling, Stalled and
    /// Paused while True.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::conditions")]
    pub conditions: Vec<Condition>,
}

/// Enforcement points that report.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
pub struct EnforcementPoints {
    /// Heard of lately.
    #[serde(default)]
    pub reporting: i64,
    /// With the newest policy.
    #[serde(default)]
    pub current: i64,
}

/// Tools by what is known of them.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
pub struct ToolCounts {
    /// Listed with scopes.
    #[serde(default)]
    pub mapped: i64,
    /// Listed as public.
    #[serde(default)]
    pub public: i64,
    /// Published by the server and not listed, hence denied.
    #[serde(default)]
    pub unmapped: i64,
    /// Suggested by the server's manifest.
    #[serde(default)]
    pub suggested: i64,
}
