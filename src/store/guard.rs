//! The triggers that see every change: missing, altered or disabled ones are put back, and that is said loudly.
//!
//! Who takes a trigger away changes policy unseen until it is back. A start, and each full scan, puts it back before
//! anything is compared, so that the blind time is bounded and what happened in it is found by comparison.

mod postgres;
mod sqlite;

use super::database::Engine;
use super::{Error, Store, migrate};

impl Store {
    /// Puts back what is missing or altered; the names of the triggers and functions that were.
    ///
    /// # Errors
    /// The database is away, or refuses them: then changes would go unseen.
    pub async fn guard_triggers(&self) -> Result<Vec<String>, Error> {
        let restored = match &self.inner.database.engine {
            Engine::Sqlite(pools) => {
                let mut tx = pools.begin().await?;
                let restored = sqlite::guard(&mut tx, &sqlite::triggers(&migrate::sqlite())).await?;
                tx.commit().await?;
                restored
            }
            Engine::Postgres(pool) => {
                let mut tx = pool.begin().await?;
                let restored = postgres::guard(&mut tx, &postgres::functions(&migrate::postgres())).await?;
                tx.commit().await?;
                restored
            }
        };
        if !restored.is_empty() {
            let triggers = restored.join(", ");
            tracing::error!(event = "triggers_restored", triggers, "somebody took away what sees changes of policy");
        }
        Ok(restored)
    }
}
