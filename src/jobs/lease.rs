//! Leadership without a cluster: a row of the database, which lapses by the database's clock.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch::Sender;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::{Epoch, chain};
use crate::metrics::Metrics;
use crate::store::Store;

/// How long the lease holds without renewal.
const HOLD: Duration = Duration::from_secs(12);
/// Between two attempts to renew or to acquire.
const RETRY: Duration = Duration::from_secs(3);
/// A leader that could not renew for this long has stopped before its lease ends.
const DEADLINE: Duration = Duration::from_secs(8);

/// Leads whenever nobody else does, until `stop`; gives the lease back at the end. `first`: nobody else can be there,
/// so an older lease is one of a process that is gone.
pub async fn lead(
    store: Store,
    first: bool,
    (lead, metrics): (Sender<Option<Epoch>>, Arc<Metrics>),
    stop: CancellationToken,
) {
    if first && let Ok(epoch) = store.take_over().await {
        // nobody else can come either, so nothing needs to be renewed
        tell(&lead, &metrics, Some(epoch));
        stop.cancelled().await;
        tell(&lead, &metrics, None);
        return;
    }
    let mut held: Option<(Epoch, Instant)> = None;
    while !stop.is_cancelled() {
        let asked = Instant::now();
        held = match held {
            None => {
                let gained = store.campaign(HOLD).await;
                let gained = gained.inspect_err(|error| {
                    tracing::warn!(event = "leadership_failed", error = chain(error));
                });
                gained.ok().flatten().map(|epoch| (epoch, asked))
            }
            Some((epoch, since)) => match store.renew(epoch, HOLD).await {
                Ok(true) => Some((epoch, asked)),
                Ok(false) => None,
                Err(_) if since.elapsed() < DEADLINE => Some((epoch, since)),
                Err(_) => None,
            },
        };
        tell(&lead, &metrics, held.map(|(epoch, _)| epoch));
        let _ = stop.run_until_cancelled(tokio::time::sleep(RETRY)).await;
    }
    tell(&lead, &metrics, None);
    if let Some((epoch, _)) = held {
        let _ = store.renew(epoch, Duration::ZERO).await;
    }
}

/// Keeps the lease of an epoch that was taken over by other means, so that nobody campaigns meanwhile.
pub async fn hold(store: Store, epoch: Epoch, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(error) = store.renew(epoch, HOLD).await {
            tracing::warn!(event = "leadership_failed", error = chain(&error));
        }
        let _ = stop.run_until_cancelled(tokio::time::sleep(RETRY)).await;
    }
    let _ = store.renew(epoch, Duration::ZERO).await;
}

fn tell(lead: &Sender<Option<Epoch>>, metrics: &Metrics, epoch: Option<Epoch>) {
    let changed = lead.send_if_modified(|known| {
        let changed = *known != epoch;
        *known = epoch;
        changed
    });
    if changed {
        metrics.leader(epoch);
    }
}
