//! What Holdfast remembers of an object it manages, apart from the rows that it wrote for it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::desired::DeletionPolicy;
use super::drift::{Correction, OpenDrift};
use super::owner::{Owner, OwnerKey};
use super::reason::Reason;
use super::spec::Spec;

/// One row of the table `managed`: ownership, last applied, drift, tombstone.
#[derive(Debug, Clone, PartialEq)]
pub struct Managed {
    pub owner: Owner,
    /// Primary key of the policy row: client id, `rs_…` or `prv_…`.
    pub entity_id: String,
    pub deletion: DeletionPolicy,
    /// What was applied last; `None` once it is a tombstone.
    pub last_applied: Option<Spec>,
    /// Ids and hashes (base64url) of the credentials that were live when last written.
    pub credentials: Vec<KnownCredential>,
    pub drift: Option<OpenDrift>,
    pub correction: Option<Correction>,
    /// The change sequence up to which actors are accounted for.
    pub settled: i64,
    /// When `revokeIssuedBefore` was first stored with its present value, and that value.
    pub revoked_before: Option<(Timestamp, Timestamp)>,
    /// Set when the object was deleted: only the ids may come back.
    pub deleted_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownCredential {
    pub id: String,
    /// base64url of the SHA-256.
    pub hash: String,
}

/// Something to tell about an object: becomes one Event and one log line, then is marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Sequence in the outbox; 0 until stored.
    pub id: i64,
    pub owner: OwnerKey,
    /// uid of the object it regards.
    pub object_uid: String,
    pub reason: Reason,
    /// `spec.redirectURIs`, or empty.
    pub field_path: String,
    /// ≤ 1024 bytes, understandable on its own, no secret and no hash.
    pub note: String,
    pub at: Timestamp,
}
