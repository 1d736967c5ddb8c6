//! The schema, embedded: applied under a lock, and tolerant of a newer program's migrations.

use std::borrow::Cow;

use sqlx::SqlStr;
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};

use super::Error;
use super::database::{Database, Engine};

macro_rules! migrations {
    ($($version:literal $name:literal $file:literal,)*) => {
        vec![$(Migration::new(
            $version,
            Cow::Borrowed($name),
            MigrationType::Simple,
            SqlStr::from_static(include_str!($file)),
            false,
        ),)*]
    };
}

pub(super) fn sqlite() -> Vec<Migration> {
    migrations![
        1 "log" "migrations/sqlite/0001_log.sql",
        2 "policy" "migrations/common/0002_policy.sql",
        3 "triggers" "migrations/sqlite/0003_triggers.sql",
        4 "grant" "migrations/common/0004_grant.sql",
        5 "identity" "migrations/common/0005_identity.sql",
        6 "authorize" "migrations/common/0006_authorize.sql",
        7 "registration" "migrations/common/0007_registration.sql",
        8 "replay" "migrations/common/0008_replay.sql",
        9 "device" "migrations/common/0009_device.sql",
        10 "keys" "migrations/sqlite/0010_keys.sql",
        11 "audit" "migrations/sqlite/0011_audit.sql",
        12 "population" "migrations/common/0012_population.sql",
        13 "activity" "migrations/sqlite/0013_activity.sql",
        14 "enforcement" "migrations/common/0014_enforcement.sql",
        15 "adoption" "migrations/common/0015_adoption.sql",
        16 "lifecycle" "migrations/common/0016_lifecycle.sql",
        17 "access_log" "migrations/common/0017_access_log.sql",
    ]
}

pub(super) fn postgres() -> Vec<Migration> {
    migrations![
        1 "log" "migrations/postgres/0001_log.sql",
        2 "policy" "migrations/common/0002_policy.sql",
        3 "triggers" "migrations/postgres/0003_triggers.sql",
        4 "grant" "migrations/common/0004_grant.sql",
        5 "identity" "migrations/common/0005_identity.sql",
        6 "authorize" "migrations/common/0006_authorize.sql",
        7 "registration" "migrations/common/0007_registration.sql",
        8 "replay" "migrations/common/0008_replay.sql",
        9 "device" "migrations/common/0009_device.sql",
        10 "keys" "migrations/postgres/0010_keys.sql",
        11 "audit" "migrations/postgres/0011_audit.sql",
        12 "population" "migrations/common/0012_population.sql",
        13 "activity" "migrations/postgres/0013_activity.sql",
        14 "enforcement" "migrations/common/0014_enforcement.sql",
        15 "adoption" "migrations/common/0015_adoption.sql",
        16 "lifecycle" "migrations/common/0016_lifecycle.sql",
        17 "access_log" "migrations/common/0017_access_log.sql",
    ]
}

/// Brings the schema up to this program's; returns how many migrations that took.
pub(super) async fn migrate(database: &Database) -> Result<usize, Error> {
    match &database.engine {
        // a file that came out of a backup is whole, and nobody reads on in it from where they were: each start loads all,
        // and what is settled is counted by the file's own numbers. So it needs no new incarnation.
        Engine::Sqlite(pools) => {
            let _held = super::sqlite::hold_migrations(&pools.path).await?;
            let mut connection = pools.write.acquire().await?;
            run(sqlite(), &mut *connection).await
        }
        Engine::Postgres(pool) => {
            let mut connection = pool.acquire().await?;
            let applied = run(postgres(), &mut *connection).await?;
            super::postgres::check_incarnation(&mut connection).await?;
            Ok(applied)
        }
    }
}

async fn run<C: Migrate>(migrations: Vec<Migration>, connection: &mut C) -> Result<usize, Error> {
    let mut migrator = Migrator::with_migrations(migrations);
    migrator.set_ignore_missing(true).set_locking(false);
    connection.lock().await?;
    let applied = apply(&migrator, connection).await;
    // the lock is the session's: it must not stay on a connection that goes back to the pool
    connection.unlock().await?;
    applied
}

async fn apply<C: Migrate>(migrator: &Migrator, connection: &mut C) -> Result<usize, Error> {
    const TABLE: &str = "_sqlx_migrations";
    connection.ensure_migrations_table(TABLE).await?;
    let before = connection.list_applied_migrations(TABLE).await?.len();
    migrator.run_direct(None, connection, false).await?;
    let after = connection.list_applied_migrations(TABLE).await?.len();
    Ok(after.saturating_sub(before))
}

impl From<MigrateError> for Error {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) => match Self::from(error) {
                Self::Unavailable(cause) => Self::Unavailable(cause),
                Self::Query(cause) => Self::Migration(cause),
                other => Self::Migration(other.into()),
            },
            other => Self::Migration(other.into()),
        }
    }
}
