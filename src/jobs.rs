//! What only the leader does, besides holding rows to policy: keys are replaced, what has expired is cleared away, what
//! there is is counted, all rows are compared with what was applied; and what others changed is told.
//!
//! Each job begins when this process begins to lead and ends when it ceases to; each of its transactions is fenced by
//! the leader's epoch, so that a job of a leader that was stopped and wakes up writes nothing.

pub mod activity;
mod drift;
mod enforcement;
mod keys;
mod lease;
pub mod population;
pub mod purge;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::activity::Activity;
use crate::domain::{Clock, Epoch, Leadership};
use crate::metrics::Metrics;
use crate::oauth::AuthorizationServer;
use crate::provision::Provisioner;
use crate::store::Store;

pub use lease::{hold, lead};

/// What jobs work on.
#[derive(Clone)]
pub struct Parts {
    pub server: AuthorizationServer,
    pub store: Store,
    pub activity: Activity,
    pub provisioner: Provisioner,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    pub purge: purge::Schedule,
    pub census: population::Census,
    /// How often all rows are compared.
    pub scan_interval: Duration,
}

/// Runs the jobs whenever this process leads, until `stop`.
pub async fn run(parts: Parts, leadership: Leadership, stop: CancellationToken) {
    let work = |epoch, term| work(parts.clone(), epoch, term);
    each_term(leadership, stop, work).await;
}

/// Does its work anew each time that this process begins to lead, until it ceases to.
async fn each_term<W: Future<Output = ()>>(
    mut leadership: Leadership,
    stop: CancellationToken,
    work: impl Fn(Epoch, CancellationToken) -> W,
) {
    while !stop.is_cancelled() {
        let epoch = *leadership.borrow_and_update();
        let term = stop.child_token();
        let over = async {
            // whoever leads goes home before the last requests do: nothing changes any more
            if stop.run_until_cancelled(leadership.changed()).await.is_some_and(|told| told.is_err()) {
                stop.cancelled().await;
            }
            term.cancel();
        };
        match epoch {
            Some(epoch) => {
                tokio::join!(over, work(epoch, term.clone()));
            }
            None => over.await,
        }
    }
}

async fn work(parts: Parts, epoch: Epoch, term: CancellationToken) {
    let (parts, term) = (&parts, &term);
    // each in a box of its own: all of them together are more than a thread's stack likes to hold
    tokio::join!(
        Box::pin(activity::keep(&parts.store, (epoch, parts.clock.now()), term)),
        Box::pin(keys::keep(parts, epoch, term)),
        Box::pin(purge::repeat(parts, epoch, term)),
        Box::pin(population::repeat(parts, term)),
        Box::pin(enforcement::survey(parts, epoch, term)),
        Box::pin(drift::repeat(parts, epoch, term)),
    );
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::watch;

    use super::*;

    #[tokio::test]
    async fn a_term_is_worked_once_even_when_nobody_is_left_to_end_it() {
        let (lead, leadership) = watch::channel(Some(Epoch(1)));
        let (stop, begun) = (CancellationToken::new(), Arc::new(AtomicU32::new(0)));
        let (counted, stopped) = (Arc::clone(&begun), stop.clone());
        let terms = tokio::spawn(async move {
            let work = |_, term: CancellationToken| {
                counted.fetch_add(1, Ordering::Relaxed);
                term.cancelled_owned()
            };
            each_term(leadership, stopped, work).await;
        });
        let settle = async || {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        };
        settle().await;
        lead.send_replace(Some(Epoch(2)));
        settle().await;
        drop(lead);
        settle().await;
        assert_eq!(begun.load(Ordering::Relaxed), 2, "one for each epoch");
        stop.cancel();
        terms.await.unwrap();
    }
}
