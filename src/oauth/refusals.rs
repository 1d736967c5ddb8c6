//! Refusals summed up: before anybody has authenticated, one record of the audit for a minute, a source and a reason, so
//! that strangers cannot fill the disk; of somebody who is known, what comes on top of a record each.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::AuthorizationServer;
use super::error::Error;
use crate::domain::actor::Actor;
use crate::domain::audit::{AuditKind, Record};
use crate::domain::observer::Observer;
use crate::domain::source::network;

/// How often they are written down.
const MINUTE: Duration = Duration::from_secs(60);
/// More sums than this in a minute are summed by reason alone.
const MOST: usize = 2048;

/// What is summed up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Sum {
    kind: AuditKind,
    /// `None` for a stranger.
    who: Option<String>,
    source: Option<IpAddr>,
    reason: &'static str,
}

impl Sum {
    /// What would have been a record of its own.
    pub fn of(kind: AuditKind, record: &Record<'_>, reason: &'static str) -> Self {
        Self { kind, who: Some(record.who.to_string()), source: record.source.map(network), reason }
    }
}

type Sums = HashMap<Sum, u64>;

#[derive(Default)]
pub(super) struct Refusals {
    sums: Mutex<Sums>,
}

impl Refusals {
    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn add(&self, sum: Sum, times: u64) {
        let mut sums = self.sums();
        let fits = sums.len() < MOST || sums.contains_key(&sum);
        let sum = if fits { sum } else { Sum { who: None, source: None, ..sum } };
        *sums.entry(sum).or_default() += times;
    }
}

impl AuthorizationServer {
    /// A request was refused before it was known who sent it. `reason` is one of ours, never a stranger's text.
    pub fn note_refusal(&self, source: IpAddr, reason: &'static str) {
        let (kind, source) = (AuditKind::RequestsRefused, Some(network(source)));
        self.inner.refusals.add(Sum { kind, who: None, source, reason }, 1);
    }

    /// Writes the sums down every minute until `stop`, and once more then.
    pub async fn record_refusals(&self, observer: &dyn Observer, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(MINUTE)).await.is_some() {
            if let Err(error) = self.write_refusals().await {
                tracing::warn!(event = "audit_delayed", error = &error as &dyn std::error::Error);
            }
        }
        if self.write_refusals().await.is_err() {
            observer.audit_dropped(self.inner.refusals.sums().len() as u64);
        }
    }

    /// Writes the sums down now.
    ///
    /// # Errors
    /// When the database is away; they are kept until it is back.
    pub async fn write_refusals(&self) -> Result<(), Error> {
        let sums = std::mem::take(&mut *self.inner.refusals.sums());
        if sums.is_empty() {
            return Ok(());
        }
        let written = self.write_sums(&sums).await;
        if written.is_err() {
            for (sum, times) in sums {
                self.inner.refusals.add(sum, times);
            }
        }
        written
    }

    async fn write_sums(&self, sums: &Sums) -> Result<(), Error> {
        let now = self.inner.clock.now();
        let mut tx = self.inner.store.write(&Actor::server()).await?;
        for (Sum { kind, who, source, reason }, times) in sums {
            let detail = json!({ "reason": reason, "count": times });
            let who = who.as_ref().map_or_else(Actor::server, |who| Actor::recorded(who.clone()));
            let record = Record { source: *source, detail, ..Record::new(now, who) };
            tx.audit(*kind, &record).await?;
        }
        Ok(tx.commit().await?)
    }
}
