//! What is remembered of drift: what is open, and what was last corrected.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::actor::Actor;
use super::spec::Class;

/// One field that is not what was applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DriftedField {
    /// `scopes[invoices.read]`; `row` when the whole row is missing.
    pub path: String,
    pub class: Class,
    /// What was applied; null = nothing.
    pub expected: Value,
    /// What was found; null = nothing.
    pub observed: Value,
}

/// The path of a row that is not there at all (category MissingRow).
pub const ROW: &str = "row";
/// What is observed of a row that is there and makes no sense.
pub const UNREADABLE: &str = "unreadable";
/// What is observed of something that was changed and cannot be shown, or is as it was by now.
pub const CHANGED: &str = "changed";
/// The path of the live secret hashes (category SecretMismatch).
pub const SECRETS: &str = "secret";
/// The path of the memory that the row is ours (category OwnershipLost).
pub const OWNERSHIP: &str = "ownership";

/// Drift that stands, reported once for each distinct observed value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenDrift {
    pub fields: Vec<DriftedField>,
    pub since: Timestamp,
    pub actor: Actor,
}

impl OpenDrift {
    /// The gravest class among the fields.
    pub fn class(&self) -> Class {
        gravest(&self.fields)
    }
}

/// The gravest class among the fields.
pub fn gravest(fields: &[DriftedField]) -> Class {
    fields.iter().map(|f| f.class).min().unwrap_or(Class::Cosmetic)
}

/// The last drift that was put right; the condition tells of it when the Event has expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Correction {
    pub fields: Vec<String>,
    pub actor: Actor,
    pub at: Timestamp,
    /// False when it went away by itself.
    pub corrected: bool,
}
