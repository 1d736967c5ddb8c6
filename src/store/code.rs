//! Authorization codes: bound to everything they were issued for, and used once.

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::secret::SecretHash;

use super::Error;
use super::grant::{policy, uuid};
use super::time::{micros, optional, stamp};
use super::tx::{Connection, Tx, on, row};

/// An authorization code (OAuth 2.1 §4.1.2) with what it is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeRow {
    pub client_id: String,
    pub subject: String,
    pub resource_server_id: String,
    /// Space-separated.
    pub scope: String,
    /// As the request had it; `None` when it had none.
    pub redirect_uri: Option<String>,
    /// Of method S256 (RFC 7636 §4.2).
    pub code_challenge: String,
    /// `dpop_jkt` (RFC 9449 §10).
    pub jkt: Option<String>,
    pub session_id: String,
    pub auth_time: Timestamp,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    pub used_at: Option<Timestamp>,
    /// What was issued for it; `None` when it was ended in vain.
    pub grant_id: Option<Uuid>,
}

row!(StoredCode {
    client_id: String,
    subject: String,
    resource_server_id: String,
    scope: String,
    redirect_uri: Option<String>,
    code_challenge: String,
    jkt: Option<String>,
    session_id: String,
    auth_time: i64,
    issued_at: i64,
    expires_at: i64,
    used_at: Option<i64>,
    grant_id: Option<Vec<u8>>,
});

impl StoredCode {
    fn read(self) -> Result<CodeRow, Error> {
        let corrupt = || Error::Corrupt { table: "authorization_code", key: format!("of client {}", self.client_id) };
        Ok(CodeRow {
            auth_time: stamp(self.auth_time, corrupt)?,
            issued_at: stamp(self.issued_at, corrupt)?,
            expires_at: stamp(self.expires_at, corrupt)?,
            used_at: optional(self.used_at, corrupt)?,
            grant_id: self.grant_id.map(|id| uuid(&id, "authorization_code")).transpose()?,
            client_id: self.client_id,
            subject: self.subject,
            resource_server_id: self.resource_server_id,
            scope: self.scope,
            redirect_uri: self.redirect_uri,
            code_challenge: self.code_challenge,
            jkt: self.jkt,
            session_id: self.session_id,
        })
    }
}

macro_rules! select {
    ($lock:literal) => {
        concat!(
            "SELECT a.client_id, a.subject, a.resource_server_id, a.scope, a.redirect_uri, a.code_challenge, a.jkt,
                a.session_id, a.auth_time, a.issued_at, a.expires_at, a.used_at, a.grant_id
            FROM authorization_code a ",
            policy!("a"),
            "WHERE a.hash = $1",
            $lock
        )
    };
}

impl Tx {
    /// The same one again, after a commit whose answer was lost, is no other.
    pub async fn put_code(&mut self, hash: &SecretHash, code: &CodeRow) -> Result<(), Error> {
        let sql = "INSERT INTO authorization_code (hash, client_id, subject, resource_server_id, scope, redirect_uri,
                code_challenge, jkt, session_id, auth_time, issued_at, expires_at, used_at, grant_id)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (hash) DO NOTHING";
        on!(self, c => sqlx::query(sql)
            .bind(hash.as_bytes().as_slice())
            .bind(&code.client_id)
            .bind(&code.subject)
            .bind(&code.resource_server_id)
            .bind(&code.scope)
            .bind(&code.redirect_uri)
            .bind(&code.code_challenge)
            .bind(&code.jkt)
            .bind(&code.session_id)
            .bind(code.auth_time.as_microsecond())
            .bind(code.issued_at.as_microsecond())
            .bind(code.expires_at.as_microsecond())
            .bind(micros(code.used_at))
            .bind(code.grant_id.map(|id| id.as_bytes().to_vec()))
            .execute(c).await.map(drop))?;
        Ok(())
    }

    /// Whether there is such a code, used or not.
    pub async fn has_code(&mut self, hash: &SecretHash) -> Result<bool, Error> {
        let sql = "SELECT count(*) FROM authorization_code WHERE hash = $1";
        let found = on!(self, c => sqlx::query_scalar::<_, i64>(sql)
            .bind(hash.as_bytes().as_slice()).fetch_one(c).await)?;
        Ok(found == 1)
    }

    /// A code that is about to be redeemed: its client and resource server, and itself, stay as they are until this
    /// transaction ends. `None` also when there is no such client or resource server any more.
    pub async fn code_to_use(&mut self, hash: &SecretHash) -> Result<Option<CodeRow>, Error> {
        let sql = match self.connection {
            Connection::Sqlite(_) => select!(""),
            Connection::Postgres(_) => select!(" FOR SHARE OF c, s FOR UPDATE OF a"),
        };
        let row = on!(self, c => sqlx::query_as::<_, StoredCode>(sql)
            .bind(hash.as_bytes().as_slice()).fetch_optional(c).await)?;
        row.map(StoredCode::read).transpose()
    }

    /// Uses a code for this grant, or ends it in vain; false when somebody was faster. Nobody is issued anything for
    /// a write that did nothing.
    pub async fn use_code(&mut self, hash: &SecretHash, grant: Option<Uuid>, now: Timestamp) -> Result<bool, Error> {
        let sql = "UPDATE authorization_code SET used_at = $2, grant_id = $3 WHERE hash = $1 AND used_at IS NULL";
        let used = on!(self, c => sqlx::query(sql)
            .bind(hash.as_bytes().as_slice())
            .bind(now.as_microsecond())
            .bind(grant.map(|id| id.as_bytes().to_vec()))
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(used == 1)
    }
}
