//! Rows that nobody needs any more are cleared away, in batches, target by target.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Parts;
use crate::domain::audit::{AuditKind, Record};
use crate::domain::purge::{Keep, PurgeTarget};
use crate::domain::{Actor, Epoch, chain};
use crate::store::{self, Store};

/// How often, and how long things are kept.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    pub interval: Duration,
    pub keep: Keep,
}

/// One run takes no longer than this.
const LONGEST: Duration = Duration::from_secs(600);
/// The first run is not in the way of a start.
const FIRST: Duration = Duration::from_secs(60);

/// What became of one target: rows, or why it was not finished.
pub type Swept = (PurgeTarget, Result<u64, Unfinished>);

/// A target is not done.
#[derive(Debug, thiserror::Error)]
pub enum Unfinished {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("failed to finish in time, after {0} rows")]
    Time(u64),
}

/// Until the term is over.
pub(super) async fn repeat(parts: &Parts, epoch: Epoch, term: &CancellationToken) {
    let mut next = Instant::now() + FIRST.min(parts.purge.interval);
    while term.run_until_cancelled(sleep_until(next)).await.is_some() {
        let now = parts.clock.now();
        let deadline = Some(Instant::now() + LONGEST.min(parts.purge.interval));
        let sweep = sweep(&parts.store, PurgeTarget::ALL, (parts.purge.keep, now), Some(epoch), deadline);
        let Some(swept) = term.run_until_cancelled(sweep).await else { return };
        for (target, result) in &swept {
            match result {
                Ok(rows) => parts.metrics.purged(*target, *rows, now),
                Err(Unfinished::Time(rows)) => parts.metrics.purged_partly(*target, *rows),
                Err(Unfinished::Store(_)) => {}
            }
        }
        next = Instant::now() + parts.purge.interval;
    }
}

/// Clears these targets, one after the other; one that fails is told and the others go on.
pub async fn sweep(
    store: &Store,
    targets: &[PurgeTarget],
    (keep, now): (Keep, Timestamp),
    epoch: Option<Epoch>,
    deadline: Option<Instant>,
) -> Vec<Swept> {
    let mut swept = Vec::new();
    for target in targets {
        let result = clear(store, *target, (keep, now), epoch, deadline).await;
        if let Err(error) = &result {
            tracing::error!(event = "purge_failed", target = target.as_str(), error = chain(error));
        }
        swept.push((*target, result));
    }
    if let Err(error) = record(store, &swept, now, epoch).await {
        tracing::error!(event = "purge_failed", target = "audit", error = chain(&error));
    }
    swept
}

async fn clear(
    store: &Store,
    target: PurgeTarget,
    (keep, now): (Keep, Timestamp),
    epoch: Option<Epoch>,
    deadline: Option<Instant>,
) -> Result<u64, Unfinished> {
    let mut rows = 0;
    loop {
        let cleared = store.purge(target, (&keep, now), epoch).await?;
        rows += cleared;
        if cleared == 0 {
            return Ok(rows);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Unfinished::Time(rows));
        }
        // others write, too
        tokio::task::yield_now().await;
    }
}

/// Who deletes records of what happened leaves one that says so.
async fn record(store: &Store, swept: &[Swept], now: Timestamp, epoch: Option<Epoch>) -> Result<(), store::Error> {
    let rows = |result: &Result<u64, Unfinished>| match result {
        Ok(rows) | Err(Unfinished::Time(rows)) => *rows,
        Err(Unfinished::Store(_)) => 0,
    };
    let counts = swept.iter().filter(|(_, result)| rows(result) > 0);
    let detail: Map<String, Value> =
        counts.map(|(target, result)| (target.as_str().to_owned(), rows(result).into())).collect();
    if detail.is_empty() {
        return Ok(());
    }
    let who = Actor::recorded("purge");
    let mut tx = match epoch {
        Some(epoch) => store.write_as_leader(&who, epoch).await?,
        None => store.write(&who).await?,
    };
    tx.audit(AuditKind::Purge, &Record { detail: detail.into(), ..Record::new(now, who) }).await?;
    tx.commit().await
}
