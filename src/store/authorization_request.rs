//! Authorization requests between their beginning and their code: each is completed once.

use jiff::Timestamp;

use crate::domain::authorize::Parameters;
use crate::domain::secret::SecretHash;

use super::Error;
use super::time::{optional, stamp};
use super::tx::{Tx, on, row};

/// Who began it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// A client, at the PAR endpoint (RFC 9126).
    Pushed,
    /// A browser, at the authorization endpoint.
    Browser,
}

impl RequestKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pushed => "pushed",
            Self::Browser => "browser",
        }
    }
}

/// An authorization request on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationRequest {
    /// SHA-256 of the handle.
    pub hash: SecretHash,
    pub kind: RequestKind,
    pub client_id: String,
    pub parameters: Parameters,
    /// Thumbprint of the key that the client proved when it pushed the request.
    pub jkt: Option<String>,
    /// SHA-256 of the cookie that ties the request to a browser.
    pub binding: Option<SecretHash>,
    /// The pushed request that this one continues.
    pub pushed: Option<SecretHash>,
    /// The login session that was shown the consent page.
    pub session_id: Option<String>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// When it was completed; nothing comes of it any more.
    pub used_at: Option<Timestamp>,
}

row!(RequestRow {
    client_id: String,
    parameters: String,
    jkt: Option<String>,
    binding: Option<Vec<u8>>,
    pushed: Option<Vec<u8>>,
    session_id: Option<String>,
    created_at: i64,
    expires_at: i64,
    used_at: Option<i64>,
});

impl RequestRow {
    fn read(self, hash: &SecretHash, kind: RequestKind) -> Result<AuthorizationRequest, Error> {
        let corrupt = || Error::Corrupt { table: "authorization_request", key: self.client_id.clone() };
        let bytes = |bytes: &Option<Vec<u8>>| match bytes {
            Some(bytes) => SecretHash::from_bytes(bytes).map(Some).ok_or_else(corrupt),
            None => Ok(None),
        };
        Ok(AuthorizationRequest {
            hash: *hash,
            kind,
            parameters: serde_json::from_str(&self.parameters).map_err(|_| corrupt())?,
            jkt: self.jkt.clone(),
            binding: bytes(&self.binding)?,
            pushed: bytes(&self.pushed)?,
            session_id: self.session_id.clone(),
            created_at: stamp(self.created_at, corrupt)?,
            expires_at: stamp(self.expires_at, corrupt)?,
            used_at: optional(self.used_at, corrupt)?,
            client_id: self.client_id,
        })
    }
}

impl Tx {
    /// The same one again, after a commit whose answer was lost, is no other.
    pub async fn put_authorization_request(&mut self, request: &AuthorizationRequest) -> Result<(), Error> {
        let sql = "INSERT INTO authorization_request
            (hash, kind, client_id, parameters, jkt, binding, pushed, created_at, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (hash) DO NOTHING";
        let parameters = serde_json::to_string(&request.parameters).map_err(|error| Error::Query(error.into()))?;
        on!(self, c => sqlx::query(sql)
            .bind(request.hash.as_bytes().as_slice())
            .bind(request.kind.as_str())
            .bind(&request.client_id)
            .bind(&parameters)
            .bind(&request.jkt)
            .bind(request.binding.map(|hash| hash.as_bytes().to_vec()))
            .bind(request.pushed.map(|hash| hash.as_bytes().to_vec()))
            .bind(request.created_at.as_microsecond())
            .bind(request.expires_at.as_microsecond())
            .execute(c).await.map(drop))?;
        Ok(())
    }

    /// The request of that kind with this handle, used or expired as it may be.
    pub async fn authorization_request(
        &mut self,
        kind: RequestKind,
        hash: &SecretHash,
    ) -> Result<Option<AuthorizationRequest>, Error> {
        let sql = "SELECT client_id, parameters, jkt, binding, pushed, session_id, created_at, expires_at, used_at
            FROM authorization_request WHERE hash = $1 AND kind = $2";
        let row = on!(self, c => sqlx::query_as::<_, RequestRow>(sql)
            .bind(hash.as_bytes().as_slice()).bind(kind.as_str()).fetch_optional(c).await)?;
        row.map(|row| row.read(hash, kind)).transpose()
    }

    /// Notes whose session is asked for consent; false when the request is over.
    pub async fn ask_session(&mut self, hash: &SecretHash, session_id: &str) -> Result<bool, Error> {
        let sql = "UPDATE authorization_request SET session_id = $2 WHERE hash = $1 AND used_at IS NULL";
        let touched = on!(self, c => sqlx::query(sql).bind(hash.as_bytes().as_slice()).bind(session_id)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(touched == 1)
    }

    /// Completes a request; false when somebody has done so before. Of all who try, one succeeds.
    pub async fn use_authorization_request(&mut self, hash: &SecretHash, now: Timestamp) -> Result<bool, Error> {
        let sql = "UPDATE authorization_request SET used_at = $2 WHERE hash = $1 AND used_at IS NULL";
        let touched = on!(self, c => sqlx::query(sql).bind(hash.as_bytes().as_slice()).bind(now.as_microsecond())
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(touched == 1)
    }

    /// Removes up to `limit` requests of a kind that expired before; returns how many.
    pub async fn purge_authorization_requests(
        &mut self,
        kind: RequestKind,
        before: Timestamp,
        limit: i64,
    ) -> Result<u64, Error> {
        let sql = "DELETE FROM authorization_request WHERE hash IN (
            SELECT hash FROM authorization_request WHERE expires_at < $1 AND kind = $2 LIMIT $3)";
        Ok(on!(self, c => sqlx::query(sql).bind(before.as_microsecond()).bind(kind.as_str()).bind(limit)
            .execute(c).await.map(|done| done.rows_affected()))?)
    }
}
