//! The full scan: what no trigger saw is found by comparing all rows, every few minutes and never everywhere at once.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Parts;
use crate::domain::{Epoch, Kind, chain};
use crate::provision;

/// A start is busy with other things, and looks at every object anyway.
const FIRST: Duration = Duration::from_secs(10);

/// Until the term is over.
pub(super) async fn repeat(parts: &Parts, epoch: Epoch, term: &CancellationToken) {
    let mut wait = FIRST.min(parts.scan_interval);
    let mut round = 0u64;
    while term.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
        let Some(scanned) = term.run_until_cancelled(once(parts)).await else { return };
        if let Err(error) = scanned {
            tracing::warn!(event = "drift_scan_failed", error = chain(&error));
        }
        round += 1;
        wait = jittered(parts.scan_interval, (epoch, round));
    }
}

/// Triggers first: what is found from here on has a name again.
async fn once(parts: &Parts) -> Result<(), provision::Error> {
    if !parts.store.guard_triggers().await?.is_empty() {
        parts.store.refresh().await?;
    }
    for kind in Kind::ALL {
        let started = Instant::now();
        let scanned = parts.provisioner.scan(kind).await?;
        parts.metrics.drift_scanned(kind, (started.elapsed(), parts.clock.now()), scanned.unmanaged);
        if scanned.suspects > 0 {
            tracing::info!(event = "drift_suspected", %kind, rows = scanned.suspects);
        }
    }
    Ok(())
}

/// Up to a quarter more or less, another one each time.
fn jittered(interval: Duration, turn: (Epoch, u64)) -> Duration {
    let mut hasher = DefaultHasher::new();
    (turn.0.0, turn.1).hash(&mut hasher);
    interval.mul_f64(0.75 + f64::from((hasher.finish() % 256) as u8) / 512.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_spread_around_the_interval() {
        let interval = Duration::from_secs(300);
        let waits: Vec<Duration> = (0..50).map(|round| jittered(interval, (Epoch(7), round))).collect();
        assert!(waits.iter().all(|wait| *wait >= interval.mul_f64(0.75) && *wait <= interval.mul_f64(1.25)));
        let distinct: std::collections::BTreeSet<_> = waits.iter().collect();
        assert!(distinct.len() > 20, "{distinct:?}");
    }
}
