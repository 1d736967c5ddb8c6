//! What may be used once: identifiers of DPoP proofs and client assertions, shared by all replicas.

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Error;
use super::tx::{Tx, on};

/// What was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnceKind {
    /// `jti` of a DPoP proof (RFC 9449 §11.1), of a key and an endpoint.
    DpopProof,
    /// `jti` of a client assertion (RFC 7523 §3), of a client.
    ClientAssertion,
}

impl OnceKind {
    pub const ALL: [Self; 2] = [Self::DpopProof, Self::ClientAssertion];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DpopProof => "dpop_proof",
            Self::ClientAssertion => "client_assertion",
        }
    }
}

/// One use of something that has no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    pub kind: OnceKind,
    /// Whose identifier it is: two principals may choose the same.
    pub principal: String,
    pub id: String,
    /// Afterwards it is refused for its age, and need not be known any more.
    pub expires_at: Timestamp,
    /// The request that uses it: one whose commit was answered by nobody may try again.
    pub by: Uuid,
}

impl Once {
    /// All of it in 32 bytes, so that no stranger fills the disk with long identifiers.
    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for part in [self.kind.as_str(), &self.principal, &self.id] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }
}

impl Tx {
    /// Uses it up; false when another request has used it. Of many at once, on whichever replicas, one gets true: the others
    /// wait for that transaction, and if it is rolled back the next one wins.
    pub async fn use_once(&mut self, once: &Once, now: Timestamp) -> Result<bool, Error> {
        let sql = "INSERT INTO used_proof (id, kind, expires_at, used_by) VALUES ($1, $2, $3, $4)
            ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at, used_by = excluded.used_by
            WHERE used_proof.expires_at <= $5 OR used_proof.used_by = excluded.used_by";
        let touched = on!(self, c => sqlx::query(sql)
            .bind(once.digest().as_slice()).bind(once.kind.as_str())
            .bind(once.expires_at.as_microsecond()).bind(once.by.as_bytes().as_slice()).bind(now.as_microsecond())
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(touched == 1)
    }

    /// Forgets at most `limit` that have expired; how many they were.
    pub async fn purge_used(&mut self, kind: OnceKind, now: Timestamp, limit: i64) -> Result<u64, Error> {
        let sql = "DELETE FROM used_proof WHERE id IN
            (SELECT id FROM used_proof WHERE kind = $1 AND expires_at <= $2 ORDER BY expires_at LIMIT $3)";
        Ok(on!(self, c => sqlx::query(sql)
            .bind(kind.as_str()).bind(now.as_microsecond()).bind(limit)
            .execute(c).await.map(|done| done.rows_affected()))?)
    }
}
