//! Either engine: where transactions begin.

use std::sync::Arc;

use sqlx::PgPool;

use crate::domain::observer::Observer;

use super::tx::{Connection, Tx, timely};
use super::{Error, sqlite};

/// The connections, and who is told how long they take.
#[derive(Clone)]
pub(super) struct Database {
    pub engine: Engine,
    pub observer: Arc<dyn Observer>,
}

#[derive(Clone)]
pub(super) enum Engine {
    Sqlite(Arc<sqlite::Pools>),
    Postgres(PgPool),
}

impl Database {
    /// A transaction that sees one state of the database and writes nothing.
    pub async fn read(&self) -> Result<Tx, Error> {
        let connection = match &self.engine {
            Engine::Sqlite(pools) => Connection::Sqlite(timely(pools.read.begin()).await?),
            Engine::Postgres(pool) => {
                let begin = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
                Connection::Postgres(timely(begin).await?)
            }
        };
        Ok(Tx::new(connection, self.observer.clone()))
    }

    /// A transaction that writes. SQLite takes the writer at once: a read that turns into a write fails at once after
    /// somebody else wrote, whatever the timeout.
    pub async fn write(&self) -> Result<Tx, Error> {
        let connection = match &self.engine {
            Engine::Sqlite(pools) => Connection::Sqlite(timely(pools.begin()).await?),
            Engine::Postgres(pool) => Connection::Postgres(timely(pool.begin()).await?),
        };
        Ok(Tx::new(connection, self.observer.clone()))
    }
}
