//! What Holdfast remembers of an object it manages, apart from the rows that it wrote for it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::credential::{Credential, CredentialState};
use super::desired::DeletionPolicy;
use super::drift::{Correction, OpenDrift};
use super::owner::{Owner, OwnerKey};
use super::reason::Reason;
use super::secret::SecretHash;
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
    /// The present value of `revokeIssuedBefore`, and when it was first stored.
    pub revoked_before: Option<(Timestamp, Timestamp)>,
    /// Set when the object was deleted: only the ids may come back.
    pub deleted_at: Option<Timestamp>,
}

/// A credential as it was last written, in full, so that one that was tampered with can be put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KnownCredential {
    pub id: String,
    /// base64url of the SHA-256.
    pub hash: String,
    pub state: CredentialState,
    pub issued_at: Timestamp,
    pub retire_at: Option<Timestamp>,
}

impl KnownCredential {
    pub fn of(credential: &Credential) -> Self {
        Self {
            id: credential.id.clone(),
            hash: URL_SAFE_NO_PAD.encode(credential.hash.as_bytes()),
            state: credential.state,
            issued_at: credential.issued_at,
            retire_at: credential.retire_at,
        }
    }

    /// The credential again; `None` if the text is not a hash.
    pub fn restore(&self) -> Option<Credential> {
        let bytes = URL_SAFE_NO_PAD.decode(&self.hash).ok()?;
        Some(Credential {
            id: self.id.clone(),
            hash: SecretHash::from_bytes(&bytes)?,
            state: self.state,
            issued_at: self.issued_at,
            retire_at: self.retire_at,
            last_used_at: None,
        })
    }
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

impl Report {
    /// The API server refuses a longer note (bytes).
    const NOTE: usize = 1024;

    /// A report that is not stored yet, about the object and no field of it.
    pub fn new(owner: OwnerKey, object_uid: &str, reason: Reason, note: String, at: Timestamp) -> Self {
        Self { id: 0, owner, object_uid: object_uid.to_owned(), reason, field_path: String::new(), note, at }
    }

    /// About this field.
    #[must_use]
    pub fn at_field(self, path: &str) -> Self {
        Self { field_path: path.to_owned(), ..self }
    }

    /// With as much of its note as an Event can hold.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        if self.note.len() > Self::NOTE {
            let ends = (0..=Self::NOTE - '…'.len_utf8()).rev();
            let end = ends.into_iter().find(|end| self.note.is_char_boundary(*end)).unwrap_or(0);
            self.note.truncate(end);
            self.note.push('…');
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::owner::Kind;

    #[test]
    fn a_note_fits_into_an_event() {
        let owner = OwnerKey::new(Kind::Provider, "a", "b");
        let long = Report::new(owner, "", Reason::Updated, "é".repeat(2000), Timestamp::UNIX_EPOCH);
        let note = long.bounded().note;
        assert!(note.len() <= Report::NOTE && note.ends_with('…'));
    }
}
