//! Fencing: every leader raises the epoch, and writes only while it is still its own.

use std::time::Duration;

use crate::domain::leadership::Epoch;

use super::tx::{Connection, Tx, on};
use super::{Error, Store};

/// The database's clock, in microseconds.
const SQLITE_NOW: &str = "CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)";
const POSTGRES_NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

impl Store {
    /// Begins the next epoch, if no lease is in force, and holds it for so long.
    pub async fn campaign(&self, hold: Duration) -> Result<Option<Epoch>, Error> {
        let mut tx = self.inner.database.write().await?;
        let epoch = tx.campaign(hold).await?;
        tx.commit().await?;
        Ok(epoch)
    }

    /// Holds the lease for so long from now; false = another leads. Zero gives it back.
    pub async fn renew(&self, epoch: Epoch, hold: Duration) -> Result<bool, Error> {
        let mut tx = self.inner.database.write().await?;
        let renewed = tx.renew(epoch, hold).await?;
        tx.commit().await?;
        Ok(renewed)
    }
}

impl Tx {
    /// Holds the epoch until the transaction ends, or says that it is another's.
    pub(super) async fn fence(&mut self, epoch: Epoch) -> Result<(), Error> {
        let present = match &mut self.connection {
            Connection::Sqlite(transaction) => super::sqlite::epoch(transaction).await?,
            Connection::Postgres(transaction) => super::postgres::hold_epoch(transaction).await?,
        };
        if present == epoch.0 { Ok(()) } else { Err(Error::Fenced) }
    }

    /// Begins the next epoch; whoever leads by an earlier one cannot commit any more.
    pub(super) async fn take_over(&mut self) -> Result<Epoch, Error> {
        let sql = "UPDATE leader_epoch SET epoch = epoch + 1 WHERE id = 1 RETURNING epoch";
        Ok(Epoch(on!(self, c => sqlx::query_scalar::<_, i64>(sql).fetch_one(c).await)?))
    }

    async fn campaign(&mut self, hold: Duration) -> Result<Option<Epoch>, Error> {
        let now = self.database_now();
        let sql = sqlx::AssertSqlSafe(format!(
            "UPDATE leader_epoch SET epoch = epoch + 1, held_until = {now} + $1
            WHERE id = 1 AND held_until <= {now} RETURNING epoch"
        ));
        let micros = micros(hold);
        Ok(on!(self, c => sqlx::query_scalar::<_, i64>(sql).bind(micros).fetch_optional(c).await)?.map(Epoch))
    }

    async fn renew(&mut self, epoch: Epoch, hold: Duration) -> Result<bool, Error> {
        let now = self.database_now();
        let sql =
            sqlx::AssertSqlSafe(format!("UPDATE leader_epoch SET held_until = {now} + $1 WHERE id = 1 AND epoch = $2"));
        let micros = micros(hold);
        let renewed = on!(self, c => sqlx::query(sql).bind(micros).bind(epoch.0).execute(c).await
            .map(|done| done.rows_affected()))?;
        Ok(renewed == 1)
    }

    fn database_now(&self) -> &'static str {
        match self.connection {
            Connection::Sqlite(_) => SQLITE_NOW,
            Connection::Postgres(_) => POSTGRES_NOW,
        }
    }
}

fn micros(hold: Duration) -> i64 {
    i64::try_from(hold.as_micros()).unwrap_or(i64::MAX)
}
