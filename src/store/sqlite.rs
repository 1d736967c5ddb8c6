//! SQLite's own ways: one writer, an operating-system lock, `tx_actor`, `data_version`.

mod issue;

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Sqlite, SqliteConnection, SqlitePool, Transaction};

pub(super) use self::issue::{Turn, issue};
use super::Error;

/// How long a writer waits for a writer in another process.
const BUSY: Duration = Duration::from_secs(5);

/// How long a caller waits for the one connection that writes.
const ACQUIRE: Duration = Duration::from_secs(10);

/// A database file: one connection that writes, some that read.
pub(super) struct Pools {
    pub read: SqlitePool,
    pub write: SqlitePool,
    pub path: PathBuf,
    options: SqliteConnectOptions,
    /// Whoever waits for the writer holds a copy.
    wanted: Arc<()>,
}

impl Pools {
    /// A transaction that writes; issuance makes way for it.
    pub async fn begin(&self) -> sqlx::Result<Transaction<'static, Sqlite>> {
        let _wanted = Arc::clone(&self.wanted);
        self.write.begin_with("BEGIN IMMEDIATE").await
    }

    fn is_wanted(&self) -> bool {
        Arc::strong_count(&self.wanted) > 1
    }
}

/// The path in `sqlite:///path`, `sqlite://path` or `sqlite:path`.
pub(super) fn path_of(url: &str) -> Option<PathBuf> {
    let rest = url.strip_prefix("sqlite:")?;
    let path = rest.strip_prefix("//").unwrap_or(rest);
    (!path.is_empty() && !path.starts_with(':') && !path.contains('?')).then(|| PathBuf::from(path))
}

/// Opens the file, making it (0600) and its directory when they are not there.
pub(super) async fn open(path: PathBuf) -> Result<Pools, Error> {
    let invalid = |why: &dyn std::fmt::Display| Error::Invalid {
        what: format!("failed to open the database {}: {why}", path.display()),
    };
    if let Some(directory) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory).map_err(|error| invalid(&error))?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(|error| invalid(&error))?;
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY)
        .foreign_keys(true)
        .statement_cache_capacity(256)
        .pragma("journal_size_limit", "67108864")
        .pragma("temp_store", "memory")
        .disable_statement_logging();
    let opened = |error: sqlx::Error| match error {
        sqlx::Error::Database(refused) => invalid(&refused.message()),
        other => other.into(),
    };
    let pool = || {
        SqlitePoolOptions::new()
            .acquire_timeout(ACQUIRE)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
    };
    let write = pool().max_connections(1).min_connections(1).connect_with(options.clone()).await.map_err(opened)?;
    let reader = options.clone().read_only(true);
    let read = pool().max_connections(4).connect_with(reader.clone()).await.map_err(opened)?;
    Ok(Pools { read, write, path: path.clone(), options: reader, wanted: Arc::default() })
}

/// Holds the file for this process alone until the handle is dropped, also by SIGKILL.
pub(super) fn hold(path: &Path) -> Result<File, Error> {
    let beside = beside(path, "lock");
    let file = lock_file(&beside)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::AlreadyServed { path: path.display().to_string() }),
        Err(TryLockError::Error(error)) => {
            Err(Error::Invalid { what: format!("failed to lock {}: {error}", beside.display()) })
        }
    }
}

/// Waits until no other process migrates this file.
pub(super) async fn hold_migrations(path: &Path) -> Result<File, Error> {
    let beside = beside(path, "migrate.lock");
    let locked = tokio::task::spawn_blocking(move || {
        let file = lock_file(&beside)?;
        file.lock().map_err(|error| Error::Unavailable(error.into()))?;
        Ok(file)
    });
    locked.await.map_err(|error| Error::Unavailable(error.into()))?
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

fn lock_file(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| Error::Invalid { what: format!("failed to open {}: {error}", path.display()) })
}

/// Names the transaction. A name that is there already was left by somebody else.
pub(super) async fn name(connection: &mut SqliteConnection, actor: &str) -> Result<(), Error> {
    let left = sqlx::query_scalar::<_, String>("DELETE FROM tx_actor RETURNING actor");
    if let Some(left) = left.fetch_optional(&mut *connection).await? {
        tracing::warn!(actor = left, "somebody wrote a name into tx_actor: changes since may carry it");
    }
    let named = sqlx::query("INSERT INTO tx_actor (id, actor) VALUES (1, $1)");
    named.bind(actor).execute(connection).await?;
    Ok(())
}

pub(super) async fn unname(connection: &mut SqliteConnection) -> Result<(), Error> {
    sqlx::query("DELETE FROM tx_actor").execute(connection).await?;
    Ok(())
}

pub(super) async fn epoch(connection: &mut SqliteConnection) -> Result<i64, Error> {
    Ok(sqlx::query_scalar("SELECT epoch FROM leader_epoch WHERE id = 1").fetch_one(connection).await?)
}

/// The password hash of a person who is not disabled; there is one writer, who holds everything.
pub(super) async fn hold_account(
    connection: &mut SqliteConnection,
    user_id: &str,
) -> Result<Option<Option<String>>, Error> {
    let sql = "SELECT password_hash FROM account WHERE id = $1 AND disabled_at IS NULL";
    Ok(sqlx::query_scalar(sql).bind(user_id).fetch_optional(connection).await?)
}

/// Sees that another connection, of whatever process, has written.
pub(super) struct Watcher {
    connection: SqliteConnection,
    version: i64,
}

impl Watcher {
    const EVERY: Duration = Duration::from_millis(100);

    pub async fn start(pools: &Pools) -> Result<Self, Error> {
        let connection = pools.options.connect().await?;
        let mut watcher = Self { connection, version: 0 };
        watcher.version = watcher.read().await?;
        Ok(watcher)
    }

    /// Returns when something was written.
    pub async fn wait(&mut self) -> Result<(), Error> {
        loop {
            tokio::time::sleep(Self::EVERY).await;
            let version = self.read().await?;
            if version != self.version {
                self.version = version;
                return Ok(());
            }
        }
    }

    async fn read(&mut self) -> Result<i64, Error> {
        Ok(sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut self.connection).await?)
    }
}
