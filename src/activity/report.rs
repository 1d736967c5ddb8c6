//! What enforcement points say that they run: taken in without a wait, written together, and only when it is news.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::domain::chain;

use super::Activity;
use crate::domain::actor::Actor;
use crate::domain::enforcement::{Instance, PolicyTag};
use crate::store::{EnforcementPoint, Error};

/// Enforcement points of one resource server that are kept.
pub const MOST_POINTS: i64 = 1000;
/// So many reports may wait to be written; one more is left out, and comes again with the next request.
const QUEUE: usize = 4096;
/// So many are written in one transaction.
const BATCH: usize = 256;
/// What is remembered of who said what; beyond it everything is news once more.
const REMEMBERED: usize = 100_000;

type Key = (String, Instance);

/// Reports on their way.
pub(super) struct Reports {
    /// What was said last, and when that was written.
    said: Mutex<HashMap<Key, (PolicyTag, Timestamp)>>,
    queue: mpsc::Sender<EnforcementPoint>,
    /// Taken by whoever writes.
    queued: Mutex<Option<mpsc::Receiver<EnforcementPoint>>>,
    /// Something was written.
    pub written: Notify,
}

impl Default for Reports {
    fn default() -> Self {
        let (queue, queued) = mpsc::channel(QUEUE);
        Self { said: Mutex::default(), queue, queued: Mutex::new(Some(queued)), written: Notify::new() }
    }
}

impl Reports {
    fn said(&self) -> MutexGuard<'_, HashMap<Key, (PolicyTag, Timestamp)>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Activity {
    /// An enforcement point says which policy it runs. News is written soon; the same again once in a third of the time
    /// for which a policy may be kept.
    pub fn report(&self, resource_server: &str, instance: Instance, tag: PolicyTag, by: &Actor) {
        let (now, reports) = (self.inner.parts.clock.now(), &self.inner.reports);
        let key = (resource_server.to_owned(), instance);
        let often = SignedDuration::from_secs(self.inner.parts.rules.ttl_seconds / 3);
        let mut said = reports.said();
        if said.get(&key).is_some_and(|(known, at)| *known == tag && now.duration_since(*at) < often) {
            return;
        }
        let point = EnforcementPoint {
            resource_server_id: key.0.clone(),
            instance: key.1.clone(),
            tag: tag.clone(),
            reported_by: by.clone(),
            seen_at: now,
        };
        match reports.queue.try_send(point) {
            Ok(()) => {
                if said.len() >= REMEMBERED {
                    said.clear();
                }
                said.insert(key, (tag, now));
            }
            Err(TrySendError::Full(_)) => tracing::warn!(event = "enforcement_report_dropped"),
            // nobody writes any more
            Err(TrySendError::Closed(_)) => {}
        }
    }

    /// Writes reports down until `stop`.
    pub(super) async fn write_reports(&self, stop: &CancellationToken) {
        let queued = self.inner.reports.queued.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut queued) = queued else { return };
        let mut batch = Vec::with_capacity(BATCH);
        while stop.run_until_cancelled(queued.recv_many(&mut batch, BATCH)).await.is_some_and(|some| some > 0) {
            match self.write_batch(&batch).await {
                Ok(()) => self.inner.reports.written.notify_one(),
                Err(error) => {
                    // whoever said it says it again, and then it is news
                    let mut said = self.inner.reports.said();
                    for point in &batch {
                        said.remove(&(point.resource_server_id.clone(), point.instance.clone()));
                    }
                    drop(said);
                    tracing::warn!(event = "enforcement_report_failed", error = chain(&error));
                }
            }
            batch.clear();
        }
    }

    async fn write_batch(&self, batch: &[EnforcementPoint]) -> Result<(), Error> {
        let mut tx = self.inner.parts.store.write(&Actor::server()).await?;
        let mut left_out = 0;
        for point in batch {
            left_out += usize::from(!tx.put_enforcement_point(point, MOST_POINTS).await?);
        }
        tx.commit().await?;
        if left_out > 0 {
            tracing::warn!(event = "enforcement_points_left_out", points = left_out);
        }
        Ok(())
    }
}
