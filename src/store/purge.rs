//! What a purge deletes: one line of a table for each kind of row, deleted in batches.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;

use crate::domain::purge::{Keep, PurgeTarget, before};
use crate::domain::{Actor, Epoch};

use super::Idle;
use super::revoke::first_key_after;
use super::tx::{Tx, on};
use super::{Error, Store};

/// At most so many rows a transaction: nobody waits long for the one writer of SQLite.
const BATCH: i64 = 500;

/// Rows of a table that go.
struct Line {
    target: PurgeTarget,
    table: &'static str,
    /// Its primary key.
    key: &'static str,
    /// `$1` is the bound.
    condition: &'static str,
    /// `None` = nothing goes.
    bound: fn(&Keep, Timestamp) -> Option<Bound>,
}

enum Bound {
    Before(Timestamp),
    /// Keys that are UUIDv7 of that moment, where the key is the only index by time.
    Keys(Timestamp),
}

/// What has expired and is kept a little longer.
fn expired(_: &Keep, now: Timestamp) -> Option<Bound> {
    Some(Bound::Before(before(now, Keep::EXPIRED)))
}

const LINES: &[Line] = &[
    Line {
        target: PurgeTarget::MachineTokens,
        table: "access_token",
        key: "jti",
        condition: "jti < $1 AND subject = client_id",
        bound: |keep, now| Some(Bound::Keys(before(now, keep.issuance))),
    },
    Line {
        target: PurgeTarget::Jti,
        table: "access_token",
        key: "jti",
        condition: "jti < $1 AND subject <> client_id",
        bound: |keep, now| Some(Bound::Keys(before(now, keep.issuance))),
    },
    Line {
        // a token of a family that lives tells a thief, however old it is
        target: PurgeTarget::RefreshTokens,
        table: "refresh_token",
        key: "hash",
        condition: "EXISTS (SELECT 1 FROM token_grant g WHERE g.id = refresh_token.grant_id AND g.expires_at < $1)
            OR NOT EXISTS (SELECT 1 FROM token_grant g WHERE g.id = refresh_token.grant_id) AND issued_at < $1",
        bound: expired,
    },
    Line {
        target: PurgeTarget::RefreshTokens,
        table: "token_grant",
        key: "id",
        condition: "expires_at < $1",
        bound: |keep, now| Some(Bound::Before(before(now, keep.issuance))),
    },
    Line {
        target: PurgeTarget::Sessions,
        table: "login_session",
        key: "id",
        condition: "expires_at < $1 AND (ended_at IS NULL OR counted = 1)",
        bound: |_, now| Some(Bound::Before(before(now, Keep::SESSIONS))),
    },
    Line {
        target: PurgeTarget::Sessions,
        table: "login_session",
        key: "id",
        condition: "ended_at < $1 AND counted = 1",
        bound: |_, now| Some(Bound::Before(before(now, Keep::SESSIONS))),
    },
    Line {
        target: PurgeTarget::Sessions,
        table: "login_failure",
        key: "kind, key",
        condition: "since < $1",
        bound: expired,
    },
    Line {
        target: PurgeTarget::AuthorizationCodes,
        table: "authorization_code",
        key: "hash",
        condition: "expires_at < $1",
        bound: expired,
    },
    Line {
        target: PurgeTarget::DeviceCodes,
        table: "device_authorization",
        key: "hash",
        condition: "expires_at < $1",
        bound: expired,
    },
    Line {
        target: PurgeTarget::ParRequests,
        table: "authorization_request",
        key: "hash",
        condition: "expires_at < $1 AND kind = 'pushed'",
        bound: expired,
    },
    Line {
        target: PurgeTarget::ConsentTransactions,
        table: "authorization_request",
        key: "hash",
        condition: "expires_at < $1 AND kind = 'browser'",
        bound: expired,
    },
    Line {
        target: PurgeTarget::AssertionJti,
        table: "used_proof",
        key: "id",
        condition: "expires_at < $1 AND kind = 'client_assertion'",
        bound: expired,
    },
    Line {
        target: PurgeTarget::DpopNonces,
        table: "used_proof",
        key: "id",
        condition: "expires_at < $1 AND kind = 'dpop_proof'",
        bound: expired,
    },
    Line {
        target: PurgeTarget::ChangeLog,
        table: "change",
        key: "sequence",
        // read by everybody, in the log of what happened, accounted for by whoever manages the entity, and nothing of
        // it left to tell; the newest row stays, because the next number is counted from it
        condition: "at < $1 AND derived = 1 AND sequence < (SELECT max(sequence) FROM change) AND NOT EXISTS (
            SELECT 1 FROM managed m
            WHERE m.owner_kind = change.entity_kind AND m.entity_id = change.entity_id AND m.deleted_at IS NULL
                AND (m.settled < change.sequence OR EXISTS (
                    SELECT 1 FROM report r WHERE r.owner_kind = m.owner_kind AND r.owner_namespace = m.owner_namespace
                        AND r.owner_name = m.owner_name AND r.reported_at IS NULL)))",
        bound: |keep, now| Some(Bound::Before(before(now, keep.change_log))),
    },
    Line {
        target: PurgeTarget::ChangeLog,
        table: "report",
        key: "id",
        condition: "reported_at < $1",
        bound: |keep, now| Some(Bound::Before(before(now, keep.change_log))),
    },
    Line {
        target: PurgeTarget::Tombstones,
        table: "managed",
        key: "owner_kind, owner_namespace, owner_name",
        condition: "deleted_at < $1",
        bound: |_, now| Some(Bound::Before(before(now, Keep::TOMBSTONES))),
    },
    Line {
        target: PurgeTarget::AccessLog,
        table: "access_log",
        key: "resource_server_id, id",
        condition: "at < $1",
        bound: |keep, now| Some(Bound::Before(before(now, keep.access_log))),
    },
    Line {
        target: PurgeTarget::Audit,
        table: "audit",
        key: "id",
        condition: "at < $1 AND kind IN ('token_issued', 'token_refreshed', 'token_exchanged')",
        bound: |keep, now| Some(Bound::Before(before(now, keep.issuance))),
    },
    Line {
        target: PurgeTarget::Audit,
        table: "audit",
        key: "id",
        condition: "at < $1 AND kind NOT IN ('token_issued', 'token_refreshed', 'token_exchanged')",
        bound: |keep, now| keep.audit.map(|kept| Bound::Before(before(now, kept))),
    },
    Line {
        target: PurgeTarget::Audit,
        table: "activity",
        key: "id",
        condition: "occurred_at < $1",
        bound: |keep, now| keep.audit.map(|kept| Bound::Before(before(now, kept))),
    },
];

impl Store {
    /// Deletes one batch of a target; returns how many rows went. 0 = it is done.
    ///
    /// # Errors
    /// The database is away, or another leads.
    pub async fn purge(
        &self,
        target: PurgeTarget,
        (keep, now): (&Keep, Timestamp),
        epoch: Option<Epoch>,
    ) -> Result<u64, Error> {
        let mut tx = self.write_to_purge(epoch).await?;
        let mut rows = 0;
        for line in LINES.iter().filter(|line| line.target == target) {
            if let Some(bound) = (line.bound)(keep, now) {
                rows += tx.delete_batch(line, bound).await?;
            }
        }
        if target == PurgeTarget::UnusedClients {
            // what hangs on a client goes with it
            let idle = Idle { never_used: keep.never_used, last_used: keep.last_used };
            rows += tx.purge_unused_clients(idle, now, BATCH).await?;
        }
        tx.commit().await?;
        if target == PurgeTarget::AccessLog && rows == 0 {
            rows = self.trim_access_log(keep.access_log_rows, epoch).await?;
        }
        Ok(rows)
    }

    /// A transaction of whoever clears away: the leader, or a command beside it.
    pub(super) async fn write_to_purge(&self, epoch: Option<Epoch>) -> Result<Tx, Error> {
        let actor = Actor::recorded("purge");
        match epoch {
            Some(epoch) => self.write_as_leader(&actor, epoch).await,
            None => self.write(&actor).await,
        }
    }
}

impl Tx {
    async fn delete_batch(&mut self, line: &Line, bound: Bound) -> Result<u64, Error> {
        let Line { table, key, condition, .. } = line;
        if *table == "managed" {
            self.touch().await?;
        }
        let sql = AssertSqlSafe(format!(
            "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {condition} LIMIT {BATCH})"
        ));
        let deleted = match bound {
            Bound::Before(time) => {
                let time = time.as_microsecond();
                on!(self, c => sqlx::query(sql).bind(time).execute(c).await.map(|done| done.rows_affected()))?
            }
            Bound::Keys(time) => {
                let first = first_key_after(time);
                on!(self, c => sqlx::query(sql).bind(first).execute(c).await.map(|done| done.rows_affected()))?
            }
        };
        Ok(deleted)
    }
}
