//! Live secret hashes of clients and resource servers, and when each was last used.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::domain::credential::{Credential, CredentialState};
use crate::domain::secret::SecretHash;

use super::issue::hour;
use super::time::{micros, optional, stamp};
use super::tx::{Readable, Tx, on, row};
use super::{Error, Store};

row!(CredentialRow {
    id: String,
    principal: String,
    hash: Vec<u8>,
    state: String,
    issued_at: i64,
    retire_at: Option<i64>,
    last_used_at: Option<i64>,
});

impl CredentialRow {
    fn read(self) -> Result<(String, Credential), Error> {
        let corrupt = || Error::Corrupt { table: "credential", key: self.id.clone() };
        let credential = Credential {
            hash: SecretHash::from_bytes(&self.hash).ok_or_else(corrupt)?,
            state: CredentialState::parse(&self.state).ok_or_else(corrupt)?,
            issued_at: stamp(self.issued_at, corrupt)?,
            retire_at: optional(self.retire_at, corrupt)?,
            last_used_at: optional(self.last_used_at, corrupt)?,
            id: self.id,
        };
        Ok((self.principal, credential))
    }
}

impl Store {
    /// Notes the hour in which a credential was used where nothing is issued for it.
    ///
    /// # Errors
    /// The database is away.
    pub async fn credential_used(&self, id: &str, at: Timestamp) -> Result<(), Error> {
        let mut tx = self.inner.database.write().await?;
        tx.stamp_credential(id, hour(at)).await?;
        tx.commit().await
    }
}

impl Tx {
    /// Inserts the credential of a client or resource server, or changes it; a second time writes nothing.
    pub async fn put_credential(&mut self, principal: &str, credential: &Credential) -> Result<(), Error> {
        self.touch().await?;
        let sql = "INSERT INTO credential (id, principal, hash, state, issued_at, retire_at)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (id) DO UPDATE SET principal = excluded.principal, hash = excluded.hash,
                state = excluded.state, issued_at = excluded.issued_at, retire_at = excluded.retire_at
            WHERE credential.principal <> excluded.principal OR credential.hash <> excluded.hash
                OR credential.state <> excluded.state OR credential.issued_at <> excluded.issued_at
                OR coalesce(credential.retire_at, -1) <> coalesce(excluded.retire_at, -1)";
        on!(self, c => sqlx::query(sql)
            .bind(&credential.id)
            .bind(principal)
            .bind(credential.hash.as_bytes().as_slice())
            .bind(credential.state.as_str())
            .bind(credential.issued_at.as_microsecond())
            .bind(micros(credential.retire_at))
            .execute(c).await.map(drop))?;
        Ok(())
    }

    /// False when there was none.
    pub async fn delete_credential(&mut self, id: &str) -> Result<bool, Error> {
        self.touch().await?;
        let used = "DELETE FROM credential_use WHERE credential_id = $1";
        on!(self, c => sqlx::query(used).bind(id).execute(c).await.map(drop))?;
        let sql = "DELETE FROM credential WHERE id = $1";
        Ok(on!(self, c => sqlx::query(sql).bind(id).execute(c).await.map(|done| done.rows_affected()))? > 0)
    }

    pub(super) async fn delete_credentials(&mut self, principal: &str) -> Result<(), Error> {
        let sql = "SELECT id FROM credential WHERE principal = $1";
        let ids = on!(self, c => sqlx::query_scalar::<_, String>(sql).bind(principal).fetch_all(c).await)?;
        for id in ids {
            self.delete_credential(&id).await?;
        }
        Ok(())
    }

    /// Notes that a credential was used in the hour that began then; never goes back.
    pub(super) async fn stamp_credential(&mut self, id: &str, hour: i64) -> Result<(), Error> {
        let sql = "INSERT INTO credential_use (credential_id, last_used_at) VALUES ($1, $2)
            ON CONFLICT (credential_id) DO UPDATE SET last_used_at = excluded.last_used_at
            WHERE credential_use.last_used_at < excluded.last_used_at";
        on!(self, c => sqlx::query(sql).bind(id).bind(hour).execute(c).await.map(drop))?;
        Ok(())
    }

    /// The credentials of one principal or of all; one that cannot be read authenticates nobody.
    pub(super) async fn credentials(
        &mut self,
        principal: Option<&str>,
    ) -> Result<HashMap<String, Vec<Credential>>, Error> {
        let sql = "SELECT c.id, c.principal, c.hash, c.state, c.issued_at, c.retire_at, u.last_used_at
            FROM credential c LEFT JOIN credential_use u ON u.credential_id = c.id
            WHERE c.principal = $1 OR $1 = '' ORDER BY c.issued_at, c.id";
        let principal = principal.unwrap_or_default();
        let rows = on!(self, c => sqlx::query_as::<_, Readable<CredentialRow>>(sql)
            .bind(principal).fetch_all(c).await)?;
        let mut found: HashMap<String, Vec<Credential>> = HashMap::new();
        let corrupt = || Error::Corrupt { table: "credential", key: principal.to_owned() };
        for Readable(row) in rows {
            match row.ok_or_else(corrupt).and_then(CredentialRow::read) {
                Ok((principal, credential)) => found.entry(principal).or_default().push(credential),
                Err(error) => tracing::error!(%error, "a credential that cannot be read authenticates nobody"),
            }
        }
        Ok(found)
    }
}
