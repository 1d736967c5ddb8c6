//! Clients that nobody applied: registered by themselves, or described by a document elsewhere. Their policy is in
//! `client`, as that of every other; here is what is special about them, and when they end.

use jiff::{SignedDuration, Timestamp};

use crate::domain::owner::Kind;
use crate::domain::secret::SecretHash;

use super::Error;
use super::time::stamp;
use super::tx::{Tx, on, row};

/// A client that registered itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    pub client_id: String,
    /// What is told back (RFC 7591 §3.2.1), as JSON.
    pub metadata: String,
    pub issued_at: Timestamp,
}

/// A client that a document describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientDocument {
    pub client_id: String,
    /// What is believed of the document, as JSON.
    pub metadata: String,
    pub fetched_at: Timestamp,
    /// Afterwards it is fetched again.
    pub fresh_until: Timestamp,
}

/// Where such clients come from, which is also the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dynamic {
    Registration,
    Document,
}

impl Dynamic {
    const fn table(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::Document => "client_document",
        }
    }

    const fn since(self) -> &'static str {
        match self {
            Self::Registration => "issued_at",
            Self::Document => "first_seen_at",
        }
    }
}

/// How long clients that nobody applied stay without being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idle {
    /// Never used at all. Default 24 h.
    pub never_used: SignedDuration,
    /// Since the last token. Default 90 days.
    pub last_used: SignedDuration,
}

row!(RegistrationRow { client_id: String, metadata: String, issued_at: i64 });
row!(DocumentRow { client_id: String, metadata: String, fetched_at: i64, fresh_until: i64 });

impl RegistrationRow {
    fn read(self) -> Result<Registration, Error> {
        let corrupt = || Error::Corrupt { table: "registration", key: self.client_id.clone() };
        Ok(Registration {
            issued_at: stamp(self.issued_at, corrupt)?,
            client_id: self.client_id,
            metadata: self.metadata,
        })
    }
}

/// A grant that lives, or a token that does: whoever has one is still using the client.
const ALIVE: &str = "EXISTS (SELECT 1 FROM token_grant g WHERE g.client_id = d.client_id AND g.revoked_at IS NULL AND g.expires_at > $1)";

impl Tx {
    pub async fn put_registration(&mut self, registration: &Registration, hash: &SecretHash) -> Result<(), Error> {
        let sql = "INSERT INTO registration (client_id, hash, metadata, issued_at) VALUES ($1, $2, $3, $4)
            ON CONFLICT (client_id) DO UPDATE SET hash = excluded.hash, metadata = excluded.metadata";
        on!(self, c => sqlx::query(sql)
            .bind(&registration.client_id).bind(hash.as_bytes().as_slice()).bind(&registration.metadata)
            .bind(registration.issued_at.as_microsecond()).execute(c).await.map(drop))?;
        Ok(())
    }

    /// The client whose registration access token has this hash.
    pub async fn registration(&mut self, hash: &SecretHash) -> Result<Option<Registration>, Error> {
        let sql = "SELECT client_id, metadata, issued_at FROM registration WHERE hash = $1";
        let row = on!(self, c => sqlx::query_as::<_, RegistrationRow>(sql)
            .bind(hash.as_bytes().as_slice()).fetch_optional(c).await)?;
        row.map(RegistrationRow::read).transpose()
    }

    /// What is believed of a client that nobody applied, as JSON.
    pub async fn dynamic_metadata(&mut self, kind: Dynamic, client_id: &str) -> Result<Option<String>, Error> {
        let sql = format!("SELECT metadata FROM {} WHERE client_id = $1", kind.table());
        Ok(on!(self, c => sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(sql))
            .bind(client_id).fetch_optional(c).await)?)
    }

    pub async fn client_document(&mut self, client_id: &str) -> Result<Option<ClientDocument>, Error> {
        let sql = "SELECT client_id, metadata, fetched_at, fresh_until FROM client_document WHERE client_id = $1";
        let row = on!(self, c => sqlx::query_as::<_, DocumentRow>(sql).bind(client_id).fetch_optional(c).await)?;
        row.map(|row| {
            let corrupt = || Error::Corrupt { table: "client_document", key: row.client_id.clone() };
            Ok(ClientDocument {
                fetched_at: stamp(row.fetched_at, corrupt)?,
                fresh_until: stamp(row.fresh_until, corrupt)?,
                client_id: row.client_id,
                metadata: row.metadata,
            })
        })
        .transpose()
    }

    pub async fn put_client_document(&mut self, document: &ClientDocument) -> Result<(), Error> {
        let sql = "INSERT INTO client_document (client_id, metadata, first_seen_at, fetched_at, fresh_until)
            VALUES ($1, $2, $3, $3, $4)
            ON CONFLICT (client_id) DO UPDATE
            SET metadata = excluded.metadata, fetched_at = excluded.fetched_at, fresh_until = excluded.fresh_until";
        on!(self, c => sqlx::query(sql)
            .bind(&document.client_id).bind(&document.metadata)
            .bind(document.fetched_at.as_microsecond()).bind(document.fresh_until.as_microsecond())
            .execute(c).await.map(drop))?;
        Ok(())
    }

    /// A client that nobody applied got a token.
    pub async fn use_dynamic(&mut self, kind: Dynamic, client_id: &str, now: Timestamp) -> Result<(), Error> {
        let sql = format!("UPDATE {} SET used_at = $2 WHERE client_id = $1", kind.table());
        on!(self, c => sqlx::query(sqlx::AssertSqlSafe(sql)).bind(client_id).bind(now.as_microsecond())
            .execute(c).await.map(drop))?;
        Ok(())
    }

    pub async fn count_dynamic(&mut self, kind: Dynamic) -> Result<i64, Error> {
        let sql = format!("SELECT count(*) FROM {}", kind.table());
        Ok(on!(self, c => sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(sql)).fetch_one(c).await)?)
    }

    /// Makes room for one more: ends the oldest client that was never used, if there is one. H-06
    pub async fn evict_dynamic(&mut self, kind: Dynamic, now: Timestamp) -> Result<Option<String>, Error> {
        let (table, since) = (kind.table(), kind.since());
        let sql = format!(
            "SELECT d.client_id FROM {table} d WHERE d.used_at IS NULL AND NOT {ALIVE} ORDER BY d.{since} LIMIT 1"
        );
        let oldest = on!(self, c => sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(sql))
            .bind(now.as_microsecond()).fetch_optional(c).await)?;
        if let Some(client_id) = &oldest {
            self.end_dynamic(kind, client_id).await?;
        }
        Ok(oldest)
    }

    /// Deletes such a client with all its rows but what was issued, which is revoked apart.
    pub async fn end_dynamic(&mut self, kind: Dynamic, client_id: &str) -> Result<bool, Error> {
        let sql = format!("DELETE FROM {} WHERE client_id = $1", kind.table());
        on!(self, c => sqlx::query(sqlx::AssertSqlSafe(sql)).bind(client_id).execute(c).await.map(drop))?;
        self.delete(Kind::OAuthClient, client_id).await
    }

    async fn idle_dynamic(
        &mut self,
        kind: Dynamic,
        idle: Idle,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<String>, Error> {
        let (table, since) = (kind.table(), kind.since());
        let sql = format!(
            "SELECT d.client_id FROM {table} d WHERE NOT {ALIVE}
                AND ((d.used_at IS NULL AND d.{since} < $2) OR d.used_at < $3) ORDER BY d.{since} LIMIT $4"
        );
        let before = |age: SignedDuration| now.saturating_sub(age).unwrap_or(Timestamp::MIN).as_microsecond();
        Ok(on!(self, c => sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(sql))
            .bind(now.as_microsecond()).bind(before(idle.never_used)).bind(before(idle.last_used)).bind(limit)
            .fetch_all(c).await)?)
    }

    /// Deletes at most `limit` clients of each kind that nobody uses, and what invites nobody any more; how many
    /// clients. One with a grant that lives is used (H-06). The purge target `unused-clients`.
    pub async fn purge_unused_clients(&mut self, idle: Idle, now: Timestamp, limit: i64) -> Result<u64, Error> {
        let mut ended = 0;
        for kind in [Dynamic::Registration, Dynamic::Document] {
            for client_id in self.idle_dynamic(kind, idle, now, limit).await? {
                self.end_dynamic(kind, &client_id).await?;
                ended += 1;
            }
        }
        let sql = "DELETE FROM invitation WHERE expires_at <= $1 OR uses_left <= 0";
        on!(self, c => sqlx::query(sql).bind(now.as_microsecond()).execute(c).await.map(drop))?;
        Ok(ended)
    }
}
