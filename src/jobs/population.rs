//! Users, sessions, clients and grants are counted for the gauges. What cannot be counted keeps its last value, and
//! `population_last_success_timestamp_seconds` says since when.

use std::time::Duration;

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use crate::domain::chain;

use super::Parts;

/// How often, and when a session is over.
#[derive(Debug, Clone, Copy)]
pub struct Census {
    pub interval: Duration,
    pub idle: SignedDuration,
}

/// Until the term is over.
pub(super) async fn repeat(parts: &Parts, term: &CancellationToken) {
    loop {
        let now = parts.clock.now();
        match term.run_until_cancelled(parts.store.population(now, parts.census.idle)).await {
            None => return,
            Some(Ok(counted)) => parts.metrics.population(&counted, now),
            Some(Err(error)) => tracing::warn!(event = "population_failed", error = chain(&error)),
        }
        if term.run_until_cancelled(tokio::time::sleep(parts.census.interval)).await.is_none() {
            return;
        }
    }
}
