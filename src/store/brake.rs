//! The brake on mass deletion as rows, so that window, id and what is held survive a restart and a takeover.

use jiff::Timestamp;

use crate::domain::brake::{Brake, Hold, Scope, Tally};
use crate::domain::owner::OwnerKey;

use super::Error;
use super::time::stamp;
use super::tx::{Tx, on, row};

row!(BrakeRow { id: String, namespace: String, opened_at: i64 });

row!(HoldRow {
    owner_kind: String,
    owner_namespace: String,
    owner_name: String,
    brake_id: String,
    held_at: i64,
    released_at: Option<i64>,
});

row!(TallyRow { in_namespace: i64, overall: i64 });

impl BrakeRow {
    fn read(self) -> Result<Brake, Error> {
        let opened_at = stamp(self.opened_at, || Error::Corrupt { table: "brake", key: self.id.clone() })?;
        Ok(Brake { scope: Scope::parse(&self.namespace), opened_at, id: self.id })
    }
}

impl HoldRow {
    fn read(self) -> Result<Hold, Error> {
        let key = format!("{}/{}/{}", self.owner_kind, self.owner_namespace, self.owner_name);
        let corrupt = || Error::Corrupt { table: "brake_hold", key: key.clone() };
        Ok(Hold {
            owner: key.parse::<OwnerKey>().map_err(|_| corrupt())?,
            held_at: stamp(self.held_at, corrupt)?,
            brake_id: self.brake_id,
            released: self.released_at.is_some(),
        })
    }
}

macro_rules! holds {
    ($rest:literal) => {
        concat!(
            "SELECT owner_kind, owner_namespace, owner_name, brake_id, held_at, released_at FROM brake_hold ",
            $rest
        )
    };
}

impl Tx {
    /// Until this transaction ends nobody else weighs a deletion or confirms a brake.
    pub async fn pass_gate(&mut self) -> Result<(), Error> {
        let sql = "UPDATE brake_gate SET passed = passed + 1 WHERE id = 1";
        on!(self, c => sqlx::query(sql).execute(c).await.map(drop))?;
        Ok(())
    }

    /// How many were deleted after `since`; what is older is forgotten.
    pub async fn deletions(&mut self, namespace: &str, since: Timestamp) -> Result<Tally, Error> {
        let since = since.as_microsecond();
        let old = "DELETE FROM brake_deletion WHERE at <= $1";
        on!(self, c => sqlx::query(old).bind(since).execute(c).await.map(drop))?;
        let sql = "SELECT count(*) AS overall, coalesce(sum(CASE WHEN owner_namespace = $1 THEN 1 ELSE 0 END), 0) AS in_namespace
            FROM brake_deletion";
        let row = on!(self, c => sqlx::query_as::<_, TallyRow>(sql).bind(namespace).fetch_one(c).await)?;
        let count = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(Tally { in_namespace: count(row.in_namespace), overall: count(row.overall) })
    }

    /// This one is deleted in this transaction.
    pub async fn count_deletion(&mut self, owner: &OwnerKey, now: Timestamp) -> Result<(), Error> {
        let sql = "INSERT INTO brake_deletion (owner_kind, owner_namespace, owner_name, at) VALUES ($1, $2, $3, $4)";
        on!(self, c => sqlx::query(sql)
            .bind(owner.kind.as_str()).bind(&owner.namespace).bind(&owner.name).bind(now.as_microsecond())
            .execute(c).await.map(drop))?;
        Ok(())
    }

    /// The brake that holds deletions of this namespace now; that of all before its own.
    pub async fn brake_of(&mut self, namespace: &str) -> Result<Option<Brake>, Error> {
        let sql = "SELECT id, namespace, opened_at FROM brake WHERE namespace IN ('', $1) ORDER BY namespace LIMIT 1";
        let row = on!(self, c => sqlx::query_as::<_, BrakeRow>(sql).bind(namespace).fetch_optional(c).await)?;
        row.map(BrakeRow::read).transpose()
    }

    /// Every brake that is open, the oldest first.
    pub async fn brakes(&mut self) -> Result<Vec<Brake>, Error> {
        let sql = "SELECT id, namespace, opened_at FROM brake ORDER BY opened_at, id";
        let rows = on!(self, c => sqlx::query_as::<_, BrakeRow>(sql).fetch_all(c).await)?;
        rows.into_iter().map(BrakeRow::read).collect()
    }

    pub async fn open_brake(&mut self, brake: &Brake) -> Result<(), Error> {
        let sql = "INSERT INTO brake (id, namespace, opened_at) VALUES ($1, $2, $3)";
        on!(self, c => sqlx::query(sql)
            .bind(&brake.id).bind(brake.scope.as_str()).bind(brake.opened_at.as_microsecond())
            .execute(c).await.map(drop))?;
        Ok(())
    }

    /// The deletion of this owner that waits, or may go by now.
    pub async fn hold_of(&mut self, owner: &OwnerKey) -> Result<Option<Hold>, Error> {
        let sql = holds!("WHERE owner_kind = $1 AND owner_namespace = $2 AND owner_name = $3");
        let row = on!(self, c => sqlx::query_as::<_, HoldRow>(sql)
            .bind(owner.kind.as_str()).bind(&owner.namespace).bind(&owner.name).fetch_optional(c).await)?;
        row.map(HoldRow::read).transpose()
    }

    /// Every deletion that waits, or may go and did not yet.
    pub async fn holds(&mut self) -> Result<Vec<Hold>, Error> {
        let sql = holds!("ORDER BY owner_kind, owner_namespace, owner_name");
        let rows = on!(self, c => sqlx::query_as::<_, HoldRow>(sql).fetch_all(c).await)?;
        rows.into_iter().map(HoldRow::read).collect()
    }

    pub async fn hold(&mut self, owner: &OwnerKey, brake: &Brake, now: Timestamp) -> Result<(), Error> {
        let sql = "INSERT INTO brake_hold (owner_kind, owner_namespace, owner_name, brake_id, held_at)
            VALUES ($1, $2, $3, $4, $5)";
        on!(self, c => sqlx::query(sql)
            .bind(owner.kind.as_str()).bind(&owner.namespace).bind(&owner.name)
            .bind(&brake.id).bind(now.as_microsecond())
            .execute(c).await.map(drop))?;
        Ok(())
    }

    /// This owner's deletion waits no more; a brake that holds nothing any more is over.
    pub async fn drop_hold(&mut self, owner: &OwnerKey) -> Result<(), Error> {
        let sql = "DELETE FROM brake_hold WHERE owner_kind = $1 AND owner_namespace = $2 AND owner_name = $3";
        let dropped = on!(self, c => sqlx::query(sql)
            .bind(owner.kind.as_str()).bind(&owner.namespace).bind(&owner.name).execute(c).await
            .map(|done| done.rows_affected()))?;
        if dropped > 0 {
            let idle = "DELETE FROM brake WHERE NOT EXISTS (SELECT 1 FROM brake_hold h WHERE h.brake_id = brake.id)";
            on!(self, c => sqlx::query(idle).execute(c).await.map(drop))?;
        }
        Ok(())
    }

    /// Ends the brake and lets go what it holds; `None` = there is no such brake.
    pub async fn release_brake(&mut self, id: &str, now: Timestamp) -> Result<Option<Vec<OwnerKey>>, Error> {
        let end = "DELETE FROM brake WHERE id = $1";
        let ended = on!(self, c => sqlx::query(end).bind(id).execute(c).await.map(|done| done.rows_affected()))?;
        if ended == 0 {
            return Ok(None);
        }
        let held: Vec<OwnerKey> =
            self.holds().await?.into_iter().filter(|hold| hold.brake_id == id).map(|hold| hold.owner).collect();
        let sql = "UPDATE brake_hold SET released_at = $2 WHERE brake_id = $1";
        on!(self, c => sqlx::query(sql).bind(id).bind(now.as_microsecond()).execute(c).await.map(drop))?;
        Ok(Some(held))
    }
}
