//! Failed logins, counted before the password is looked at, so that guesses in parallel count as those in a row do.

use jiff::{SignedDuration, Timestamp};

use crate::domain::secret::SecretHash;

use super::Error;
use super::tx::{Tx, on};

/// What is counted. Every transaction counts in the order of this enum, so that none waits for another in a circle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// One address from one network.
    Pair,
    /// One network, whatever address it tries.
    Source,
    /// One address, from wherever.
    Identity,
}

impl FailureKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pair => "pair",
            Self::Source => "source",
            Self::Identity => "identity",
        }
    }
}

/// An attempt about to be made.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    pub kind: FailureKind,
    /// SHA-256 of what is counted: what strangers typed is kept by nobody.
    pub key: SecretHash,
    /// So many failures in a window.
    pub limit: u32,
    pub window: SignedDuration,
}

impl Tx {
    /// Counts an attempt as a failure. When there were too many already nothing is counted, and the answer is when the
    /// window ends.
    pub async fn count_failure(&mut self, attempt: &Attempt, now: Timestamp) -> Result<Option<Timestamp>, Error> {
        let sql = "INSERT INTO login_failure (kind, key, failures, since) VALUES ($1, $2, 1, $3)
            ON CONFLICT (kind, key) DO UPDATE SET
                failures = CASE WHEN login_failure.since <= $4 THEN 1 ELSE login_failure.failures + 1 END,
                since = CASE WHEN login_failure.since <= $4 THEN $3 ELSE login_failure.since END
            WHERE login_failure.since <= $4 OR login_failure.failures < $5
            RETURNING failures";
        let over = now - attempt.window;
        let counted = on!(self, c => sqlx::query_scalar::<_, i64>(sql)
            .bind(attempt.kind.as_str())
            .bind(attempt.key.as_bytes().as_slice())
            .bind(now.as_microsecond())
            .bind(over.as_microsecond())
            .bind(i64::from(attempt.limit))
            .fetch_optional(c).await)?;
        if counted.is_some() {
            return Ok(None);
        }
        let sql = "SELECT since FROM login_failure WHERE kind = $1 AND key = $2";
        let since = on!(self, c => sqlx::query_scalar::<_, i64>(sql)
            .bind(attempt.kind.as_str()).bind(attempt.key.as_bytes().as_slice()).fetch_optional(c).await)?;
        let since = since.and_then(|since| Timestamp::from_microsecond(since).ok()).unwrap_or(now);
        Ok(Some(since + attempt.window))
    }

    /// The attempt was none after all: it succeeded, or it was never made.
    pub async fn uncount_failure(&mut self, attempt: &Attempt) -> Result<(), Error> {
        let sql = "UPDATE login_failure SET failures = failures - 1 WHERE kind = $1 AND key = $2 AND failures > 0";
        on!(self, c => sqlx::query(sql)
            .bind(attempt.kind.as_str()).bind(attempt.key.as_bytes().as_slice()).execute(c).await.map(drop))?;
        Ok(())
    }

    /// Forgets the failures of a key.
    pub async fn forget_failures(&mut self, kind: FailureKind, key: &SecretHash) -> Result<(), Error> {
        let sql = "DELETE FROM login_failure WHERE kind = $1 AND key = $2";
        on!(self, c => sqlx::query(sql)
            .bind(kind.as_str()).bind(key.as_bytes().as_slice()).execute(c).await.map(drop))?;
        Ok(())
    }

    /// Forgets what began before that moment; says how many keys that were.
    pub async fn forget_failures_before(&mut self, moment: Timestamp) -> Result<u64, Error> {
        let sql = "DELETE FROM login_failure WHERE since < $1";
        Ok(on!(self, c => sqlx::query(sql).bind(moment.as_microsecond())
            .execute(c).await.map(|done| done.rows_affected()))?)
    }
}
