//! Issued access tokens, by jti (RFC 9068 §2.2) or by the hash of an opaque handle.

use std::time::Instant;

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::observer::DatabaseOperation;
use crate::domain::secret::SecretHash;

use super::Error;
use super::grant::uuid;
use super::issue::Lineage;
use super::time::{optional, stamp};
use super::tx::{Connection, Tx, on, row};

/// An access token that was issued; it is active until `expires_at` unless `revoked_at` is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    pub jti: Uuid,
    pub client_id: String,
    pub resource_server_id: String,
    pub subject: String,
    /// Space-separated.
    pub scope: String,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
    pub lineage: Lineage,
}

macro_rules! select {
    ($filter:literal) => {
        concat!(
            "SELECT jti, client_id, resource_server_id, subject, scope, issued_at, expires_at, revoked_at, grant_id,
                parent_jti, jkt, auth_time, act, depth
            FROM access_token WHERE ",
            $filter
        )
    };
}

row!(StoredToken {
    jti: Vec<u8>,
    client_id: String,
    resource_server_id: String,
    subject: String,
    scope: String,
    issued_at: i64,
    expires_at: i64,
    revoked_at: Option<i64>,
    grant_id: Option<Vec<u8>>,
    parent_jti: Option<Vec<u8>>,
    jkt: Option<String>,
    auth_time: Option<i64>,
    act: Option<String>,
    depth: Option<i64>,
});

impl StoredToken {
    fn read(self) -> Result<TokenRow, Error> {
        let unreadable = || Error::Corrupt { table: "access_token", key: "with a jti that is no UUID".to_owned() };
        let jti = Uuid::from_slice(&self.jti).map_err(|_| unreadable())?;
        let corrupt = || Error::Corrupt { table: "access_token", key: jti.to_string() };
        Ok(TokenRow {
            jti,
            client_id: self.client_id,
            resource_server_id: self.resource_server_id,
            subject: self.subject,
            scope: self.scope,
            issued_at: stamp(self.issued_at, corrupt)?,
            expires_at: stamp(self.expires_at, corrupt)?,
            revoked_at: optional(self.revoked_at, corrupt)?,
            lineage: Lineage {
                grant_id: self.grant_id.map(|id| uuid(&id, "access_token")).transpose()?,
                parent_jti: self.parent_jti.map(|id| uuid(&id, "access_token")).transpose()?,
                jkt: self.jkt,
                auth_time: optional(self.auth_time, corrupt)?,
                act: self.act.map(|act| serde_json::from_str(&act).map_err(|_| corrupt())).transpose()?,
                depth: self.depth,
            },
        })
    }
}

impl Tx {
    pub async fn token(&mut self, jti: Uuid) -> Result<Option<TokenRow>, Error> {
        self.token_where(select!("jti = $1"), jti.as_bytes()).await
    }

    /// A token that another is about to be made from: it stays as it is until this transaction ends, so that whoever
    /// ends it ends the other, too.
    pub async fn token_to_use(&mut self, jti: Uuid) -> Result<Option<TokenRow>, Error> {
        let sql = match self.connection {
            Connection::Sqlite(_) => select!("jti = $1"),
            Connection::Postgres(_) => select!("jti = $1 FOR SHARE"),
        };
        self.token_where(sql, jti.as_bytes()).await
    }

    pub async fn token_by_handle(&mut self, handle: &SecretHash) -> Result<Option<TokenRow>, Error> {
        self.token_where(select!("handle = $1"), handle.as_bytes()).await
    }

    async fn token_where(&mut self, sql: &'static str, key: &[u8]) -> Result<Option<TokenRow>, Error> {
        let started = Instant::now();
        let row = on!(self, c => sqlx::query_as::<_, StoredToken>(sql).bind(key).fetch_optional(c).await);
        self.observe(DatabaseOperation::Introspect, started, &row);
        row?.map(StoredToken::read).transpose()
    }
}
