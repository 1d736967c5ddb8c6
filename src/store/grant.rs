//! Grants of users: what was granted to whom, from when until when, and whether it was ended.

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::client::GrantType;

use super::Error;
use super::time::{micros, optional, stamp};
use super::tx::{Tx, on, row};

/// A grant with all that was issued under it. It lives until `expires_at` unless `revoked_at` is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRow {
    /// UUIDv7.
    pub id: Uuid,
    /// How it was obtained.
    pub kind: GrantType,
    pub client_id: String,
    pub subject: String,
    pub resource_server_id: String,
    /// Space-separated; what refresh tokens stand for, whatever an access token was narrowed to.
    pub scope: String,
    /// The login session that it began in.
    pub session_id: Option<String>,
    pub auth_time: Option<Timestamp>,
    /// RFC 7638 thumbprint of the key that its refresh tokens are bound to.
    pub jkt: Option<String>,
    /// The grant that it was made from; it ends with that one.
    pub parent: Option<Uuid>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

impl GrantRow {
    /// Neither ended nor over.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}

row!(pub(super) StoredGrant {
    id: Vec<u8>,
    kind: String,
    client_id: String,
    subject: String,
    resource_server_id: String,
    scope: String,
    session_id: Option<String>,
    auth_time: Option<i64>,
    jkt: Option<String>,
    parent: Option<Vec<u8>>,
    created_at: i64,
    grant_expires_at: i64,
    revoked_at: Option<i64>,
});

/// The columns of [`StoredGrant`], of a table that is called `g`.
pub(super) const COLUMNS: &str = "g.id, g.kind, g.client_id, g.subject, g.resource_server_id, g.scope, g.session_id,
    g.auth_time, g.jkt, g.parent, g.created_at, g.expires_at AS grant_expires_at, g.revoked_at";

/// Joins client and resource server of a row that a table's alias names, to be held with it.
macro_rules! policy {
    ($of:literal) => {
        concat!(
            "JOIN client c ON c.id = ",
            $of,
            ".client_id JOIN resource_server s ON s.id = ",
            $of,
            ".resource_server_id "
        )
    };
}
pub(super) use policy;

/// An id from its column.
pub(super) fn uuid(bytes: &[u8], table: &'static str) -> Result<Uuid, Error> {
    Uuid::from_slice(bytes).map_err(|_| Error::Corrupt { table, key: "with an id that is no UUID".to_owned() })
}

impl StoredGrant {
    pub(super) fn read(self) -> Result<GrantRow, Error> {
        let id = uuid(&self.id, "token_grant")?;
        let corrupt = || Error::Corrupt { table: "token_grant", key: id.to_string() };
        Ok(GrantRow {
            id,
            kind: GrantType::parse(&self.kind).ok_or_else(corrupt)?,
            client_id: self.client_id,
            subject: self.subject,
            resource_server_id: self.resource_server_id,
            scope: self.scope,
            session_id: self.session_id,
            auth_time: optional(self.auth_time, corrupt)?,
            jkt: self.jkt,
            parent: self.parent.map(|parent| uuid(&parent, "token_grant")).transpose()?,
            created_at: stamp(self.created_at, corrupt)?,
            expires_at: stamp(self.grant_expires_at, corrupt)?,
            revoked_at: optional(self.revoked_at, corrupt)?,
        })
    }
}

impl Tx {
    /// False when it is there already.
    pub async fn put_grant(&mut self, grant: &GrantRow) -> Result<bool, Error> {
        let sql = "INSERT INTO token_grant (id, kind, client_id, subject, resource_server_id, scope, session_id,
                auth_time, jkt, parent, created_at, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (id) DO NOTHING";
        let added = on!(self, c => sqlx::query(sql)
            .bind(grant.id.as_bytes().as_slice())
            .bind(grant.kind.as_str())
            .bind(&grant.client_id)
            .bind(&grant.subject)
            .bind(&grant.resource_server_id)
            .bind(&grant.scope)
            .bind(&grant.session_id)
            .bind(micros(grant.auth_time))
            .bind(&grant.jkt)
            .bind(grant.parent.map(|parent| parent.as_bytes().to_vec()))
            .bind(grant.created_at.as_microsecond())
            .bind(grant.expires_at.as_microsecond())
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(added == 1)
    }

    pub async fn grant(&mut self, id: Uuid) -> Result<Option<GrantRow>, Error> {
        let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM token_grant g WHERE g.id = $1"));
        let row = on!(self, c => sqlx::query_as::<_, StoredGrant>(sql)
            .bind(id.as_bytes().as_slice()).fetch_optional(c).await)?;
        row.map(StoredGrant::read).transpose()
    }

    /// What a user has granted and still lives, the newest first.
    pub async fn live_grants(&mut self, subject: &str, now: Timestamp) -> Result<Vec<GrantRow>, Error> {
        let sql = sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM token_grant g
            WHERE g.subject = $1 AND g.revoked_at IS NULL AND g.expires_at > $2 ORDER BY g.created_at DESC, g.id"
        ));
        let rows = on!(self, c => sqlx::query_as::<_, StoredGrant>(sql)
            .bind(subject).bind(now.as_microsecond()).fetch_all(c).await)?;
        rows.into_iter().map(StoredGrant::read).collect()
    }
}
