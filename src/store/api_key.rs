//! API keys of the admin port: a name, a role and a SHA-256.

use jiff::Timestamp;

use crate::domain::secret::SecretHash;

use super::Error;
use super::time::{optional, stamp};
use super::tx::{Tx, on, row};

/// What a bearer of the key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ApiRole {
    /// Reads.
    Viewer,
    /// Reads and changes policy.
    Operator,
    /// Everything.
    Admin,
}

impl ApiRole {
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// A key without its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    pub name: String,
    pub role: ApiRole,
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

row!(ApiKeyRow { name: String, role: String, created_at: i64, revoked_at: Option<i64> });

impl ApiKeyRow {
    fn read(self) -> Result<ApiKey, Error> {
        let corrupt = || Error::Corrupt { table: "api_key", key: self.name.clone() };
        Ok(ApiKey {
            role: ApiRole::parse(&self.role).ok_or_else(corrupt)?,
            created_at: stamp(self.created_at, corrupt)?,
            revoked_at: optional(self.revoked_at, corrupt)?,
            name: self.name,
        })
    }
}

impl Tx {
    /// The key with this hash, unless it was revoked.
    pub async fn api_key(&mut self, hash: &SecretHash) -> Result<Option<ApiKey>, Error> {
        let sql = "SELECT name, role, created_at, revoked_at FROM api_key WHERE hash = $1 AND revoked_at IS NULL";
        let row = on!(self, c => sqlx::query_as::<_, ApiKeyRow>(sql)
            .bind(hash.as_bytes().as_slice()).fetch_optional(c).await)?;
        row.map(ApiKeyRow::read).transpose()
    }

    /// All keys by name, revoked ones too.
    pub async fn api_keys(&mut self) -> Result<Vec<ApiKey>, Error> {
        let sql = "SELECT name, role, created_at, revoked_at FROM api_key ORDER BY name";
        let rows = on!(self, c => sqlx::query_as::<_, ApiKeyRow>(sql).fetch_all(c).await)?;
        rows.into_iter().map(ApiKeyRow::read).collect()
    }

    /// Adds a key; [`Error::Conflict`] when the name is taken.
    pub async fn put_api_key(&mut self, key: &ApiKey, hash: &SecretHash) -> Result<(), Error> {
        let sql = "INSERT INTO api_key (name, hash, role, created_at, revoked_at) VALUES ($1, $2, $3, $4, $5)";
        on!(self, c => sqlx::query(sql)
            .bind(&key.name).bind(hash.as_bytes().as_slice()).bind(key.role.as_str())
            .bind(key.created_at.as_microsecond()).bind(super::time::micros(key.revoked_at))
            .execute(c).await.map(drop))?;
        Ok(())
    }

    /// False when no live key has that name.
    pub async fn revoke_api_key(&mut self, name: &str, now: Timestamp) -> Result<bool, Error> {
        let sql = "UPDATE api_key SET revoked_at = $2 WHERE name = $1 AND revoked_at IS NULL";
        let touched = on!(self, c => sqlx::query(sql).bind(name).bind(now.as_microsecond())
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(touched > 0)
    }
}
