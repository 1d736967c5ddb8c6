//! Fencing: every leader raises the epoch, and writes only while it is still its own.

use crate::domain::leadership::Epoch;

use super::Error;
use super::tx::{Connection, Tx, on};

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
}
