//! SQLite's own ways: one writer, an operating-system lock, `tx_actor`, `data_version`, a batch as VALUES.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, SqlSafeStr, SqlStr, SqliteConnection, SqlitePool};

use super::Error;
use super::issue::Waiting;

/// How long a writer waits for a writer in another process.
const BUSY: Duration = Duration::from_secs(5);

/// How long a caller waits for the one connection that writes.
const ACQUIRE: Duration = Duration::from_secs(10);

/// A database file: one connection that writes, some that read.
#[derive(Clone)]
pub(super) struct Pools {
    pub read: SqlitePool,
    pub write: SqlitePool,
    pub path: PathBuf,
    options: SqliteConnectOptions,
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
    Ok(Pools { read, write, path: path.clone(), options: reader })
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

/// One statement, one commit: inserts the tokens whose client and resource server have not moved.
pub(super) async fn issue(pools: &Pools, batch: &[&Waiting]) -> Result<Vec<Vec<u8>>, Error> {
    // sizes repeat, so that their statements are prepared once; what is missing is NULL and matches nothing
    let rows = batch.len().next_power_of_two();
    let mut query = sqlx::query_scalar::<_, Vec<u8>>(statement(rows));
    for waiting in batch {
        let i = &waiting.issuance;
        query = query
            .bind(i.jti.as_bytes().as_slice())
            .bind(i.handle.as_ref().map(|handle| handle.as_bytes().to_vec()))
            .bind(&i.client_id)
            .bind(&i.resource_server_id)
            .bind(&i.subject)
            .bind(&i.scope)
            .bind(i.issued_at.as_microsecond())
            .bind(i.expires_at.as_microsecond())
            .bind(i.client_revision)
            .bind(i.resource_server_revision);
    }
    for _ in 0..(rows - batch.len()) * COLUMNS {
        query = query.bind(None::<i64>);
    }
    Ok(query.fetch_all(&pools.write).await?)
}

const COLUMNS: usize = 10;

fn statement(rows: usize) -> SqlStr {
    static KNOWN: [OnceLock<SqlStr>; 9] = [const { OnceLock::new() }; 9];
    let size = rows.trailing_zeros() as usize;
    KNOWN.get(size).map_or_else(|| written(rows), |known| known.get_or_init(|| written(rows)).clone())
}

fn written(rows: usize) -> SqlStr {
    let row = |row: usize| {
        let places: Vec<String> = (1..=COLUMNS).map(|column| format!("${}", row * COLUMNS + column)).collect();
        format!("({})", places.join(", "))
    };
    let values: Vec<String> = (0..rows).map(row).collect();
    AssertSqlSafe(format!(
        "INSERT INTO access_token
            (jti, handle, client_id, resource_server_id, subject, scope, issued_at, expires_at)
        SELECT column1, column2, column3, column4, column5, column6, column7, column8 FROM (VALUES {})
        WHERE EXISTS (SELECT 1 FROM client WHERE id = column3 AND revision = column9)
            AND EXISTS (SELECT 1 FROM resource_server WHERE id = column4 AND revision = column10)
        ON CONFLICT (jti) DO NOTHING RETURNING jti",
        values.join(", ")
    ))
    .into_sql_str()
}
