//! Invitations to register a client: of the token there is the hash alone, and an id that is a part of it.

use jiff::Timestamp;

use crate::domain::Actor;
use crate::domain::secret::SecretHash;

use super::Error;
use super::time::stamp;
use super::tx::{Tx, on, row};

/// What an id begins with.
const PREFIX: &str = "inv_";
/// So many bytes of the hash follow: enough to tell them apart, of no use to whoever guesses.
const BYTES: usize = 8;

/// An invitation that still invites somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    pub id: String,
    /// Who made it.
    pub by: String,
    pub expires_at: Timestamp,
    pub uses_left: i64,
}

impl Invitation {
    /// What an invitation is called, by the hash of its token.
    pub fn id_of(hash: &SecretHash) -> String {
        id(hash.as_bytes())
    }
}

fn id(hash: &[u8]) -> String {
    let digits: String = hash.iter().take(BYTES).map(|byte| format!("{byte:02x}")).collect();
    format!("{PREFIX}{digits}")
}

/// The beginning of the hash that an id names.
fn beginning(id: &str) -> Option<Vec<u8>> {
    let digits = id.strip_prefix(PREFIX).filter(|digits| digits.len() == 2 * BYTES && digits.is_ascii())?;
    (0..BYTES).map(|at| u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()).collect()
}

row!(InvitationRow { hash: Vec<u8>, actor: String, expires_at: i64, uses_left: i64 });

impl InvitationRow {
    fn read(self) -> Result<Invitation, Error> {
        let id = id(&self.hash);
        let corrupt = || Error::Corrupt { table: "invitation", key: id.clone() };
        let expires_at = stamp(self.expires_at, corrupt)?;
        Ok(Invitation { expires_at, by: self.actor, uses_left: self.uses_left, id })
    }
}

impl Tx {
    /// Those that still invite somebody, the first to end first.
    pub async fn invitations(&mut self, now: Timestamp) -> Result<Vec<Invitation>, Error> {
        let sql = "SELECT hash, actor, expires_at, uses_left FROM invitation
            WHERE expires_at > $1 AND uses_left > 0 ORDER BY expires_at";
        let rows = on!(self, c => sqlx::query_as::<_, InvitationRow>(sql).bind(now.as_microsecond())
            .fetch_all(c).await)?;
        rows.into_iter().map(InvitationRow::read).collect()
    }

    /// Ends an invitation; false when there is none of that id.
    pub async fn end_invitation(&mut self, id: &str) -> Result<bool, Error> {
        let Some(beginning) = beginning(id) else { return Ok(false) };
        let sql = "DELETE FROM invitation WHERE substr(hash, 1, 8) = $1";
        let touched = on!(self, c => sqlx::query(sql).bind(&beginning).execute(c).await
            .map(|done| done.rows_affected()))?;
        Ok(touched > 0)
    }

    /// An invitation to register, spent by one; false when there is none that is good.
    pub async fn use_invitation(&mut self, hash: &SecretHash, now: Timestamp) -> Result<bool, Error> {
        let sql =
            "UPDATE invitation SET uses_left = uses_left - 1 WHERE hash = $1 AND uses_left > 0 AND expires_at > $2";
        let touched = on!(self, c => sqlx::query(sql).bind(hash.as_bytes().as_slice()).bind(now.as_microsecond())
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(touched == 1)
    }

    pub async fn put_invitation(
        &mut self,
        hash: &SecretHash,
        actor: &Actor,
        (uses, expires_at): (i64, Timestamp),
    ) -> Result<(), Error> {
        let sql = "INSERT INTO invitation (hash, actor, expires_at, uses_left) VALUES ($1, $2, $3, $4)";
        on!(self, c => sqlx::query(sql).bind(hash.as_bytes().as_slice()).bind(actor.as_str())
            .bind(expires_at.as_microsecond()).bind(uses).execute(c).await.map(drop))?;
        Ok(())
    }
}
