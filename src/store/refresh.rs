//! Refresh tokens: a chain in which each is used once, by a write whose row count is checked.

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::secret::SecretHash;

use super::Error;
use super::grant::{self, GrantRow, StoredGrant, policy};
use super::time::{optional, stamp};
use super::tx::{Connection, Tx, on, row};

/// A refresh token with the grant that it continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshRow {
    pub grant: GrantRow,
    pub issued_at: Timestamp,
    /// Unused for so long it is over.
    pub idle_expires_at: Timestamp,
    pub used_at: Option<Timestamp>,
}

row!(StoredRefresh { issued_at: i64, idle_expires_at: i64, used_at: Option<i64> });

/// Both halves of a joined row.
struct Joined(StoredRefresh, StoredGrant);

impl<'r, R: sqlx::Row> sqlx::FromRow<'r, R> for Joined
where
    StoredRefresh: sqlx::FromRow<'r, R>,
    StoredGrant: sqlx::FromRow<'r, R>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        Ok(Self(StoredRefresh::from_row(row)?, StoredGrant::from_row(row)?))
    }
}

impl Joined {
    fn read(self) -> Result<RefreshRow, Error> {
        let Self(own, grant) = self;
        let grant = grant.read()?;
        let corrupt = || Error::Corrupt { table: "refresh_token", key: format!("of grant {}", grant.id) };
        Ok(RefreshRow {
            issued_at: stamp(own.issued_at, corrupt)?,
            idle_expires_at: stamp(own.idle_expires_at, corrupt)?,
            used_at: optional(own.used_at, corrupt)?,
            grant,
        })
    }
}

impl Tx {
    /// A refresh token as it is.
    pub async fn refresh_token(&mut self, hash: &SecretHash) -> Result<Option<RefreshRow>, Error> {
        self.refresh_token_where(hash, "WHERE r.hash = $1").await
    }

    /// A refresh token that is about to be used: its client and resource server, its grant and itself stay as they are
    /// until this transaction ends. They are held in the order in which every change takes them, policy first. `None`
    /// also when there is no such client or resource server any more.
    pub async fn refresh_token_to_use(&mut self, hash: &SecretHash) -> Result<Option<RefreshRow>, Error> {
        let found = match self.connection {
            Connection::Sqlite(_) => concat!(policy!("g"), "WHERE r.hash = $1"),
            Connection::Postgres(_) => {
                concat!(policy!("g"), "WHERE r.hash = $1 FOR SHARE OF c, s FOR UPDATE OF g, r")
            }
        };
        self.refresh_token_where(hash, found).await
    }

    async fn refresh_token_where(&mut self, hash: &SecretHash, found: &str) -> Result<Option<RefreshRow>, Error> {
        let columns = grant::COLUMNS;
        let sql = sqlx::AssertSqlSafe(format!(
            "SELECT r.issued_at, r.idle_expires_at, r.used_at, {columns}
            FROM refresh_token r JOIN token_grant g ON g.id = r.grant_id {found}"
        ));
        let row = on!(self, c => sqlx::query_as::<_, Joined>(sql)
            .bind(hash.as_bytes().as_slice()).fetch_optional(c).await)?;
        row.map(Joined::read).transpose()
    }

    /// Adds the last one of a family; false when it is there already.
    pub async fn put_refresh_token(
        &mut self,
        hash: &SecretHash,
        grant: Uuid,
        issued_at: Timestamp,
        idle_expires_at: Timestamp,
    ) -> Result<bool, Error> {
        let sql = "INSERT INTO refresh_token (hash, grant_id, issued_at, idle_expires_at) VALUES ($1, $2, $3, $4)
            ON CONFLICT (hash) DO NOTHING";
        let added = on!(self, c => sqlx::query(sql)
            .bind(hash.as_bytes().as_slice())
            .bind(grant.as_bytes().as_slice())
            .bind(issued_at.as_microsecond())
            .bind(idle_expires_at.as_microsecond())
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(added == 1)
    }

    /// Uses a refresh token; false when somebody was faster. Nobody is issued anything for a write that did nothing.
    pub async fn use_refresh_token(
        &mut self,
        hash: &SecretHash,
        successor: &SecretHash,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let sql = "UPDATE refresh_token SET used_at = $2, successor = $3 WHERE hash = $1 AND used_at IS NULL";
        let used = on!(self, c => sqlx::query(sql)
            .bind(hash.as_bytes().as_slice())
            .bind(now.as_microsecond())
            .bind(successor.as_bytes().as_slice())
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(used == 1)
    }
}
