//! One transaction on either engine; dropping it rolls back. Each table's file adds what it can do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::domain::Actor;
use crate::domain::activity::ActivityType;
use crate::domain::audit::AuditKind;
use crate::domain::observer::{DatabaseOperation, Observer};

use super::Error;
use super::revoke::GrantsEnded;

/// A transaction. Reads see one state of the database; writes carry the name of who makes them.
#[must_use = "dropping a transaction rolls it back"]
pub struct Tx {
    pub(super) connection: Connection,
    pub(super) observer: Arc<dyn Observer>,
    /// Set in a transaction that has a name.
    pub(super) named: Option<Named>,
    /// What was written to the audit, to be counted once it is committed.
    pub(super) audited: Vec<AuditKind>,
    /// What happened to live policies, to be counted then, too.
    pub(super) active: Vec<ActivityType>,
    /// Set once policy is written: changes of this transaction come after this.
    pub(super) touched: Option<i64>,
    /// Grants that were ended, to be told then, too.
    pub(super) grants_ended: Vec<GrantsEnded>,
}

/// A transaction that writes: when it began, and the change feed, which is woken by its end.
pub(super) struct Named {
    pub begun: Instant,
    pub wake: Arc<Notify>,
}

pub(super) enum Connection {
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

/// A statement that takes longer is given up: a server that stopped, or a network that swallows packets, must not
/// hold a caller for ever.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The result, or that it took too long.
pub(super) async fn timely<T>(work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Runs one statement on whichever engine the transaction is of.
macro_rules! on {
    ($tx:expr, $connection:ident => $body:expr) => {
        match &mut $tx.connection {
            $crate::store::tx::Connection::Sqlite(transaction) => {
                let $connection = &mut **transaction;
                $crate::store::tx::timely(async { $body }).await
            }
            $crate::store::tx::Connection::Postgres(transaction) => {
                let $connection = &mut **transaction;
                $crate::store::tx::timely(async { $body }).await
            }
        }
    };
}
pub(super) use on;

/// A private row struct that reads from both engines, without the macros of sqlx.
macro_rules! row {
    ($visible:vis $name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        $visible struct $name { $($field: $type),* }
        $crate::store::tx::row!(@from sqlx::sqlite::SqliteRow, $name { $($field),* });
        $crate::store::tx::row!(@from sqlx::postgres::PgRow, $name { $($field),* });
    };
    (@from $row:ty, $name:ident { $($field:ident),* }) => {
        impl<'r> sqlx::FromRow<'r, $row> for $name {
            fn from_row(row: &'r $row) -> sqlx::Result<Self> {
                use sqlx::Row;
                Ok(Self { $($field: row.try_get(stringify!($field))?),* })
            }
        }
    };
}
pub(super) use row;

/// A row, or nothing when a column holds what it cannot: SQLite lets anybody put anything anywhere.
pub(super) struct Readable<T>(pub Option<T>);

impl<'r, R: sqlx::Row, T: sqlx::FromRow<'r, R>> sqlx::FromRow<'r, R> for Readable<T> {
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        Ok(Self(T::from_row(row).ok()))
    }
}

impl Tx {
    pub(super) fn new(connection: Connection, observer: Arc<dyn Observer>) -> Self {
        Self {
            connection,
            observer,
            named: None,
            audited: Vec::new(),
            active: Vec::new(),
            touched: None,
            grants_ended: Vec::new(),
        }
    }

    /// Records what follows from what was changed, makes everything that was written durable and wakes the change feed.
    pub async fn commit(mut self) -> Result<(), Error> {
        if self.touched.is_some() {
            // only a change of policy is as large
            Box::pin(self.settle_own()).await?;
        }
        let named = self.named.take();
        if named.is_some() {
            self.unname().await?;
        }
        let committed = match self.connection {
            Connection::Sqlite(transaction) => timely(transaction.commit()).await,
            Connection::Postgres(transaction) => timely(transaction.commit()).await,
        };
        if let Some(Named { wake, begun }) = named {
            self.observer.database(DatabaseOperation::Write, begun.elapsed(), committed.is_ok());
            wake.notify_one();
        }
        committed?;
        for kind in self.audited {
            self.observer.audited(kind, 1);
        }
        for event in self.active {
            self.observer.activity(event);
        }
        for ended in self.grants_ended {
            self.observer.grants_revoked(ended.cause, ended.grants);
            ended.tell();
        }
        Ok(())
    }

    /// Counts, once this is committed, what has its record in a table of its own.
    pub fn count_audited(&mut self, kind: AuditKind) {
        self.audited.push(kind);
    }

    /// Tells of a statement that counts by itself.
    pub(super) fn observe<T, E>(&self, operation: DatabaseOperation, started: Instant, result: &Result<T, E>) {
        self.observer.database(operation, started.elapsed(), result.is_ok());
    }

    /// Puts a name to the changes of this transaction, for the triggers to read.
    pub(super) async fn name(&mut self, actor: &Actor) -> Result<(), Error> {
        match &mut self.connection {
            Connection::Sqlite(transaction) => super::sqlite::name(transaction, actor.as_str()).await,
            Connection::Postgres(transaction) => super::postgres::name(transaction, actor.as_str()).await,
        }
    }

    async fn unname(&mut self) -> Result<(), Error> {
        match &mut self.connection {
            Connection::Sqlite(transaction) => super::sqlite::unname(transaction).await,
            Connection::Postgres(_) => Ok(()),
        }
    }
}
