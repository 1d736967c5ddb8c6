//! Why the store could not do what it was asked.

use crate::domain::owner::Kind;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What went wrong, as far as a caller can act on it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, a busy database, a timeout: nothing was decided, try again (503).
    #[error("failed to reach the database")]
    Unavailable(#[source] Cause),
    /// Another leader took over; this process must not write for the controller any more.
    #[error("failed to write: another leader has taken over")]
    Fenced,
    /// A row with this key exists already.
    #[error("failed to write to {table}: a row with this key exists already")]
    Conflict { table: String },
    /// Another `serve` holds this SQLite file.
    #[error("failed to open {path}: another process serves this database")]
    AlreadyServed { path: String },
    /// The database belongs to somebody else.
    #[error(
        "failed to bind the database: it belongs to installation {installation} in cluster {cluster}; see holdfast adopt --cluster"
    )]
    OtherInstallation { installation: String, cluster: String },
    /// The URL, the path or its permissions are wrong; says which and why, in one line.
    #[error("{what}")]
    Invalid { what: String },
    /// A row that cannot be read as what it should be; `put` overwrites it.
    #[error("failed to read {table} {key}: not what was written there")]
    Corrupt { table: &'static str, key: String },
    /// A migration failed, or the database was migrated by a program that disagrees.
    #[error("failed to migrate the database")]
    Migration(#[source] Cause),
    /// The database refused a statement.
    #[error("failed to query the database")]
    Query(#[source] Cause),
}

impl Error {
    /// Nothing was decided because the database was away or busy.
    pub const fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    pub(super) fn unavailable(why: &str) -> Self {
        Self::Unavailable(why.into())
    }

    pub(super) fn corrupt(kind: Kind, key: &str) -> Self {
        Self::Corrupt { table: kind.table(), key: key.to_owned() }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(refused) if refused.is_unique_violation() => {
                Self::Conflict { table: table_of(refused.table(), refused.message()) }
            }
            sqlx::Error::Database(refused) if refused.code().is_some_and(|code| is_passing(&code)) => {
                Self::Unavailable(error.into())
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => Self::Unavailable(error.into()),
            _ => Self::Query(error.into()),
        }
    }
}

/// PostgreSQL tells the table; SQLite says `UNIQUE constraint failed: client.id`.
fn table_of(table: Option<&str>, message: &str) -> String {
    let from_message = || message.rsplit(": ").next().and_then(|list| list.split('.').next()).unwrap_or_default();
    table.unwrap_or_else(from_message).to_owned()
}

/// Codes of conditions that pass: PostgreSQL's SQLSTATE, or SQLite's extended result code.
fn is_passing(code: &str) -> bool {
    if let Ok(sqlite) = code.parse::<u32>()
        && code.len() < 5
    {
        // BUSY, LOCKED, IOERR, FULL with whatever extension
        return matches!(sqlite & 0xff, 5 | 6 | 10 | 13);
    }
    // connection, resources, operator intervention, lock not available, idle in transaction, serialization, deadlock
    ["08", "53", "57"].iter().any(|class| code.starts_with(class))
        || matches!(code, "55P03" | "25P03" | "40001" | "40P01")
}
