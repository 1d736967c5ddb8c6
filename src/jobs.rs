//! What only the leader does, besides holding rows to policy: keys are replaced, and what has expired is cleared away.
//!
//! Each job begins when this process begins to lead and ends when it ceases to; each of its transactions is fenced by
//! the leader's epoch, so that a job of a leader that was stopped and wakes up writes nothing.

mod keys;
mod lease;
pub mod purge;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::domain::{Clock, Epoch, Leadership};
use crate::metrics::Metrics;
use crate::oauth::AuthorizationServer;
use crate::store::Store;

pub use lease::{hold, lead};

/// What jobs work on.
#[derive(Clone)]
pub struct Parts {
    pub server: AuthorizationServer,
    pub store: Store,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    pub purge: purge::Schedule,
}

/// Runs the jobs whenever this process leads, until `stop`.
pub async fn run(parts: Parts, mut leadership: Leadership, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let epoch = *leadership.borrow_and_update();
        let term = stop.child_token();
        let changed = async {
            let _ = stop.run_until_cancelled(leadership.changed()).await;
            term.cancel();
        };
        match epoch {
            Some(epoch) => {
                tokio::join!(changed, work(&parts, epoch, &term));
            }
            None => changed.await,
        }
    }
}

async fn work(parts: &Parts, epoch: Epoch, term: &CancellationToken) {
    tokio::join!(keys::keep(parts, epoch, term), purge::repeat(parts, epoch, term));
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
