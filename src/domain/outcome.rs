//! What became of an object at its last look: the answer of `GET /admin/resources`, and of one log line.

use serde::Serialize;

use super::drift::OpenDrift;
use super::owner::OwnerKey;

/// The last word on one object.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStatus {
    pub owner: OwnerKey,
    pub ready: bool,
    /// A condition reason: `Ready`, `Draft`, `Suspended`, else why it is not ready, e.g. `RefNotFound`.
    pub reason: String,
    /// One sentence for people; no secret and no hash. Empty when there is nothing to add.
    pub message: String,
    /// Client id, `rs_…` or `prv_…`; `None` until there is a row.
    pub entity_id: Option<String>,
    /// Drift that stands.
    pub drift: Option<OpenDrift>,
}

/// Where the admin port looks up what a door (controller or directory) last made of each object.
pub trait StatusBoard: Send + Sync {
    /// The last word on every object that is known now, by owner.
    fn statuses(&self) -> Vec<ObjectStatus>;

    /// What the cluster's custom resource definitions lack of what this program knows, in one line.
    fn definitions_lacking(&self) -> Option<String> {
        None
    }
}
