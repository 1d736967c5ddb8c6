//! Rows in force whose object is gone, remembered so that a restart does not begin to count anew.

use jiff::Timestamp;

use crate::domain::orphan::Orphan;
use crate::domain::owner::OwnerKey;

use super::Error;
use super::time::{optional, stamp};
use super::tx::{Tx, on, row};

row!(OrphanRow {
    owner_kind: String,
    owner_namespace: String,
    owner_name: String,
    first_seen: i64,
    looks: i64,
    suspended_at: Option<i64>,
});

impl OrphanRow {
    fn read(self) -> Result<Orphan, Error> {
        let key = format!("{}/{}/{}", self.owner_kind, self.owner_namespace, self.owner_name);
        let corrupt = || Error::Corrupt { table: "orphan", key: key.clone() };
        Ok(Orphan {
            owner: key.parse::<OwnerKey>().map_err(|_| corrupt())?,
            first_seen: stamp(self.first_seen, corrupt)?,
            looks: self.looks,
            suspended_at: optional(self.suspended_at, corrupt)?,
        })
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT owner_kind, owner_namespace, owner_name, first_seen, looks, suspended_at FROM orphan ", $rest)
    };
}

impl Tx {
    pub async fn orphans(&mut self) -> Result<Vec<Orphan>, Error> {
        let sql = select!("ORDER BY owner_kind, owner_namespace, owner_name");
        let rows = on!(self, c => sqlx::query_as::<_, OrphanRow>(sql).fetch_all(c).await)?;
        rows.into_iter().map(OrphanRow::read).collect()
    }

    pub async fn orphan(&mut self, owner: &OwnerKey) -> Result<Option<Orphan>, Error> {
        let sql = select!("WHERE owner_kind = $1 AND owner_namespace = $2 AND owner_name = $3");
        let row = on!(self, c => sqlx::query_as::<_, OrphanRow>(sql)
            .bind(owner.kind.as_str()).bind(&owner.namespace).bind(&owner.name).fetch_optional(c).await)?;
        row.map(OrphanRow::read).transpose()
    }

    /// Another complete look did not find the object.
    pub async fn miss_object(&mut self, owner: &OwnerKey, now: Timestamp) -> Result<(), Error> {
        let sql = "INSERT INTO orphan (owner_kind, owner_namespace, owner_name, first_seen, looks)
            VALUES ($1, $2, $3, $4, 1)
            ON CONFLICT (owner_kind, owner_namespace, owner_name) DO UPDATE SET looks = orphan.looks + 1";
        on!(self, c => sqlx::query(sql)
            .bind(owner.kind.as_str()).bind(&owner.namespace).bind(&owner.name).bind(now.as_microsecond())
            .execute(c).await.map(drop))?;
        Ok(())
    }

    pub async fn orphan_suspended(&mut self, owner: &OwnerKey, now: Timestamp) -> Result<(), Error> {
        let sql = "UPDATE orphan SET suspended_at = $4
            WHERE owner_kind = $1 AND owner_namespace = $2 AND owner_name = $3";
        on!(self, c => sqlx::query(sql)
            .bind(owner.kind.as_str()).bind(&owner.namespace).bind(&owner.name).bind(now.as_microsecond())
            .execute(c).await.map(drop))?;
        Ok(())
    }

    /// The object is there again, or its row is gone, too.
    pub async fn forget_orphan(&mut self, owner: &OwnerKey) -> Result<(), Error> {
        let sql = "DELETE FROM orphan WHERE owner_kind = $1 AND owner_namespace = $2 AND owner_name = $3";
        on!(self, c => sqlx::query(sql)
            .bind(owner.kind.as_str()).bind(&owner.namespace).bind(&owner.name).execute(c).await.map(drop))?;
        Ok(())
    }
}
