//! The answer of a dry run: what would become of one object.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::domain::{Class, OwnerKey};
use crate::provision::Touches;

/// What would become of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Create,
    Update,
    /// A row that is there would be managed from now on.
    Adopt,
    /// With its object; what was issued ends.
    Delete,
    /// The row stays and is owned by nobody.
    Release,
    Unchanged,
    /// It would not come into force.
    Refused,
}

impl Action {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Adopt => "adopt",
            Self::Delete => "delete",
            Self::Release => "release",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
        }
    }
}

/// What would become of one object, and what that touches.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    pub owner: OwnerKey,
    /// Of the row; none as long as it is yet to be made.
    pub id: Option<String>,
    pub action: Action,
    /// Why it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What would be written, field by field.
    pub changes: Vec<PlannedChange>,
    /// What stands now although nobody applied it.
    pub drift: Vec<PlannedDrift>,
    pub secrets: Vec<PlannedSecret>,
    pub touches: Touches,
}

/// A change that is asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedChange {
    /// In the manifest's words, e.g. `spec.scopes[invoices.read]`.
    pub field: String,
    pub class: Class,
    pub before: Value,
    pub after: Value,
}

/// A field that is not what was applied.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedDrift {
    /// In the manifest's words; empty for the row itself and for its secrets.
    pub field: String,
    /// What kind of thing it is: the stored name of the field, or `row`, `secret`, `ownership`.
    pub what: String,
    pub class: Class,
    pub applied: Value,
    pub found: Value,
    /// `corrected`, `kept` or `ignored`.
    pub becomes: &'static str,
}

/// What would become of a secret; never its value, nor a hash of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedSecret {
    /// None of one that is yet to be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `generated`, `taken_in`, `retires`, `ends` or `revoked`.
    pub becomes: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}
