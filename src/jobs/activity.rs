//! What others changed in the database comes into the log of what happened, as soon as the change feed hears of it.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::domain::{Epoch, chain};
use crate::store::{self, Store};

/// Looked at when the feed says so, and this often as a net.
const NET: Duration = Duration::from_secs(5);
/// After a failure.
const PAUSE: Duration = Duration::from_millis(500);

/// Until the term is over.
pub async fn keep(store: &Store, (epoch, now): (Epoch, Timestamp), term: &CancellationToken) {
    let mut changes = store.subscribe();
    let mut begun = false;
    while !term.is_cancelled() {
        let Some(settled) = term.run_until_cancelled(once(store, (epoch, now), begun)).await else { return };
        let failed = settled.is_err();
        begun |= !failed;
        match settled {
            Ok(0) => {}
            Ok(changes) => tracing::info!(event = "changes_settled", changes),
            Err(error) => tracing::warn!(event = "changes_unsettled", error = chain(&error)),
        }
        let wait = async {
            if failed {
                tokio::time::sleep(PAUSE).await;
                return;
            }
            tokio::select! {
                // one that lags has missed some, which is word enough
                heard = changes.recv() => if matches!(heard, Err(RecvError::Closed)) { tokio::time::sleep(NET).await },
                () = tokio::time::sleep(NET) => {}
            }
        };
        if term.run_until_cancelled(wait).await.is_none() {
            return;
        }
        // one look is enough for all that is known by now
        while changes.try_recv().is_ok() {}
    }
}

async fn once(store: &Store, (epoch, now): (Epoch, Timestamp), begun: bool) -> Result<usize, store::Error> {
    if !begun {
        store.settle_launches(epoch, now).await?;
    }
    store.settle(epoch).await
}
