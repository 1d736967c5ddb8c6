//! The Secret that carries a credential: generated here or brought by the user.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lenient;
use super::rules;
use super::schema;

/// Where a client's secret comes from and where it is kept.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[x_kube(validation = Rule::new("self.source == 'Generated' || !has(self.template)")
    .message("template is forbidden with source: Referenced").field_path(".template"))]
pub struct ClientSecret {
    /// Generated: Holdfast makes the secret and writes it into the Secret. Referenced: it is read from the user's
    /// Secret, which carries the label holdfast.dev/referenced with value "true". Default: Generated.
    #[serde(default)]
    pub source: SecretSource,
    /// Name of the Secret, in this namespace.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub name: String,
    /// Names of the keys in the Secret.
    #[serde(default)]
    pub keys: SecretKeys,
    /// Labels and annotations of a generated Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<SecretTemplate>,
    /// When the secret is replaced. Unset: only by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<SecretRotation>,
}

/// Whose Secret it is.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum SecretSource {
    #[default]
    Generated,
    Referenced,
}

/// The keys under which a credential is found in its Secret.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.clientID != self.clientSecret && self.clientID != self.issuer && self.clientSecret != self.issuer")
    .message("keys must be three different names"))]
pub struct SecretKeys {
    /// Key of the client id. Default: client_id.
    #[serde(rename = "clientID", default = "client_id_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9._-]+$"))]
    pub client_id: String,
    /// Key of the client secret. Default: client_secret.
    #[serde(default = "client_secret_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9._-]+$"))]
    pub client_secret: String,
    /// Key of the issuer URL. Default: issuer.
    #[serde(default = "issuer_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9._-]+$"))]
    pub issuer: String,
}

fn client_id_key() -> String {
    "client_id".to_owned()
}

fn client_secret_key() -> String {
    "client_secret".to_owned()
}

fn issuer_key() -> String {
    "issuer".to_owned()
}

impl Default for SecretKeys {
    fn default() -> Self {
        Self { client_id: client_id_key(), client_secret: client_secret_key(), issuer: issuer_key() }
    }
}

/// What a generated Secret carries beside the credential.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
pub struct SecretTemplate {
    /// Labels of the Secret. At most 32, none under kubernetes.io/, holdfast.dev/ or argocd.argoproj.io/.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels")]
    #[x_kube(validation = rules::no_reserved_keys("labels"))]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the Secret. At most 32, none under kubernetes.io/, holdfast.dev/ or argocd.argoproj.io/.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "annotations")]
    #[x_kube(validation = rules::no_reserved_keys("annotations"))]
    pub annotations: BTreeMap<String, String>,
}

fn labels(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schema::string_map(32, 63)
}

fn annotations(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schema::string_map(32, 4096)
}

/// When a secret is replaced, and for how long the replaced one still works.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.periodSeconds) || self.overlapSeconds < self.periodSeconds")
    .message(Message::Expression("'overlapSeconds (%d, 86400 unless set) must be smaller than periodSeconds (%d)'.format([self.overlapSeconds, self.periodSeconds])".to_owned()))
    .field_path(".overlapSeconds"))]
pub struct SecretRotation {
    /// Seconds between two rotations, 10 to 315360000 (ten years). Unset: no rotation by time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 315_360_000))]
    pub period_seconds: Option<i64>,
    /// Seconds for which the replaced secret still works, 0 to 31536000 (a year). Default: 86400 (a day).
    #[serde(default = "overlap_seconds")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub overlap_seconds: i64,
    /// A secret issued before this time is replaced once this time has passed; the old one works for the overlap.
    /// A level, not a trigger: it never acts on what replaced it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 40),
        regex(
            pattern = "^2[0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
        )
    )]
    pub rotate_issued_before: Option<Timestamp>,
    /// For a leak: every secret issued before this time stops working at once, without overlap, and so does every
    /// token issued to the client before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 40),
        regex(
            pattern = "^2[0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
        )
    )]
    pub revoke_issued_before: Option<Timestamp>,
}

/// Seconds of overlap unless set.
pub const OVERLAP_SECONDS: i64 = 86_400;

fn overlap_seconds() -> i64 {
    OVERLAP_SECONDS
}

/// What is known of a generated or referenced secret; never its value or a hash of it.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretStatus {
    /// Name of the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Id of the secret in force; says nothing about its value.
    #[serde(rename = "currentID", default, skip_serializing_if = "Option::is_none")]
    pub current_id: Option<String>,
    /// When the secret in force was issued.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::time")]
    pub issued_time: Option<Timestamp>,
    /// When it will be replaced, if by time.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::time")]
    pub next_rotation_time: Option<Timestamp>,
    /// Replaced secrets that still work.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retiring: Vec<RetiringSecret>,
}

/// A replaced secret that still works.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetiringSecret {
    /// Id of the secret.
    #[serde(default)]
    pub id: String,
    /// When it stops working.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::time")]
    pub retire_time: Option<Timestamp>,
    /// When it was last used, to the hour.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::time")]
    pub last_used_time: Option<Timestamp>,
}
