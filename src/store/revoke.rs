//! All revocation, with its cause, inside the caller's transaction (RFC 7009 and every cascade).

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use uuid::{Builder, Uuid};

use crate::domain::observer::DatabaseOperation;

use super::Error;
use super::tx::{Tx, on};

/// No token lives longer, so what was issued earlier needs no revocation.
const LONGEST_LIFE: SignedDuration = SignedDuration::from_hours(24);

/// What is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoke<'a> {
    Token(Uuid),
    /// What the client was issued before that moment.
    ClientBefore {
        client_id: &'a str,
        before: Timestamp,
    },
    Client(&'a str),
    ResourceServer(&'a str),
}

/// Why; kept beside the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokeCause {
    /// The client asked for it (RFC 7009).
    Request,
    /// The client was suspended.
    Suspended,
    /// The client or the resource server was deleted.
    Deleted,
    /// Its secret was revoked (`revokeIssuedBefore`).
    SecretRevoked,
    /// An administrator asked for it.
    Administrator,
}

impl RevokeCause {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
            Self::SecretRevoked => "secret_revoked",
            Self::Administrator => "administrator",
        }
    }
}

impl Tx {
    /// Ends tokens at once; returns how many lived. A second time revokes nothing and is no error.
    pub async fn revoke(&mut self, what: Revoke<'_>, cause: RevokeCause, now: Timestamp) -> Result<u64, Error> {
        const REVOKE: &str = "UPDATE access_token SET revoked_at = $1, revocation_cause = $2
            WHERE revoked_at IS NULL AND expires_at > $1";
        // the key is time-ordered, so the oldest token that can still live bounds the scan
        const RECENT: &str = " AND jti >= $3 AND ";
        let (filter, key, before) = match what {
            Revoke::Token(_) => ("", "", Timestamp::MAX),
            Revoke::ClientBefore { client_id, before } => ("client_id = $4", client_id, before),
            Revoke::Client(id) => ("client_id = $4", id, Timestamp::MAX),
            Revoke::ResourceServer(id) => ("resource_server_id = $4", id, Timestamp::MAX),
        };
        let at = now.as_microsecond();
        let started = Instant::now();
        let touched: Result<u64, sqlx::Error> = if let Revoke::Token(jti) = what {
            let sql = sqlx::AssertSqlSafe(format!("{REVOKE} AND jti = $3"));
            on!(self, c => sqlx::query(sql).bind(at).bind(cause.as_str()).bind(jti.as_bytes().as_slice())
                .execute(c).await.map(|done| done.rows_affected()))
        } else {
            let sql = sqlx::AssertSqlSafe(format!("{REVOKE}{RECENT}{filter} AND issued_at < $5"));
            on!(self, c => sqlx::query(sql).bind(at).bind(cause.as_str()).bind(first_key_after(now - LONGEST_LIFE))
                .bind(key).bind(before.as_microsecond())
                .execute(c).await.map(|done| done.rows_affected()))
        };
        self.observe(DatabaseOperation::Revoke, started, &touched);
        Ok(touched?)
    }
}

/// The smallest UUIDv7 of that millisecond.
fn first_key_after(time: Timestamp) -> Vec<u8> {
    let millis = u64::try_from(time.as_millisecond()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid().as_bytes().to_vec()
}
