//! The fields that every kind has, in spec and in status.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lenient;
use super::reference::AllowedNamespaces;

/// How Holdfast treats an object of any kind; `F` lists the fields whose drift may be ignored.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Common<F> {
    /// The installation this object belongs to. Unset: every installation that watches the namespace takes it.
    /// Immutable, also adding and removing it. An object of another installation is ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub installation: Option<String>,
    /// Paused: drift is still found and deletion still done, but nothing else is written. Default: Enabled.
    #[serde(default)]
    pub reconciliation: Reconciliation,
    /// What happens when somebody changes the server's rows behind the operator's back.
    #[serde(default = "Option::<DriftPolicy<F>>::default", skip_serializing_if = "Option::is_none")]
    pub drift_policy: Option<DriftPolicy<F>>,
    /// Delete: deleting this object deletes what it made and revokes what was issued. Retain: it stays, unowned.
    /// The annotation holdfast.dev/deletion-policy with value Retain does the same where spec can no longer be
    /// changed. Default: Delete.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// What happens when the id or URI already exists in the server. Never: refused. IfUnowned: taken over when nobody
    /// owns it and this namespace may. Force: taken over from its owner, in trusted namespaces only.
    /// Default: IfUnowned.
    #[serde(default)]
    pub adoption_policy: AdoptionPolicy,
    /// Which namespaces may refer to this object. Default: its own.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
}

impl<F> Default for Common<F> {
    fn default() -> Self {
        Self {
            installation: None,
            reconciliation: Reconciliation::default(),
            drift_policy: None,
            deletion_policy: DeletionPolicy::default(),
            adoption_policy: AdoptionPolicy::default(),
            allowed_namespaces: AllowedNamespaces::default(),
        }
    }
}

/// The annotation that retains what an object made, whatever its spec says.
pub const DELETION_POLICY_ANNOTATION: &str = "holdfast.dev/deletion-policy";
/// The label that lets a Secret be referenced; its value is `"true"`.
pub const REFERENCED_LABEL: &str = "holdfast.dev/referenced";

/// Whether the operator acts on an object.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Reconciliation {
    #[default]
    Enabled,
    Paused,
}

/// What becomes of the rows of a deleted object.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum DeletionPolicy {
    #[default]
    Delete,
    Retain,
}

/// What becomes of a row that is there before the object.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum AdoptionPolicy {
    Never,
    #[default]
    IfUnowned,
    Force,
}

/// What happens to drift.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftPolicy<F> {
    /// Enforce: reported and corrected. Warn: reported and kept. Ignore: only counted, except for fields that decide
    /// security, where Ignore is Warn. Default: the installation's operator.drift.mode (Enforce unless configured).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<DriftMode>,
    /// Fields whose drift is ignored. Fields that decide security cannot be listed. At most 16.
    #[serde(default = "Vec::<F>::new", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub ignore_fields: Vec<F>,
}

/// The three answers to drift.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum DriftMode {
    Enforce,
    Warn,
    Ignore,
}

/// Whether tokens are bound to a key of their holder (RFC 9449).
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum SenderConstraint {
    #[default]
    None,
    DPoPOptional,
    DPoPRequired,
}

/// What is known of drift, written together with other changes.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftStatus {
    /// The mode in force: of spec.driftPolicy, else of the installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The gravest class among the drifted fields: Security, Behavior or Cosmetic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The fields that differ, or that were corrected last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// When it was found.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::time")]
    pub detected_time: Option<Timestamp>,
    /// Who changed it, as far as the change says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Drift events that nobody dismissed yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undismissed: Option<i64>,
}
