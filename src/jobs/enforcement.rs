//! How resource servers stand with their enforcement points is looked at: for the gauges, and so that an object whose
//! standing moves is looked at again.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Parts;
use crate::domain::{Epoch, chain};
use crate::metrics::Enforced;

/// How often, when nothing was heard: another replica may have heard something.
const EVERY: Duration = Duration::from_secs(5);
/// What is heard in one breath is looked at together.
const BREATH: Duration = Duration::from_millis(100);

/// Until the term is over.
pub(super) async fn survey(parts: &Parts, epoch: Epoch, term: &CancellationToken) {
    loop {
        match term.run_until_cancelled(parts.activity.survey(epoch)).await {
            None => return,
            Some(Ok(surveyed)) => {
                let now = parts.clock.now();
                let enforced = surveyed.into_iter().map(|found| Enforced {
                    resource_server: found.owner.map(|owner| format!("{}/{}", owner.namespace, owner.name)),
                    version: found.version,
                    reporting: found.coverage.reporting,
                    current: found.coverage.current,
                    lag_seconds: found
                        .coverage
                        .lacking_since
                        .map_or(0.0, |since| now.duration_since(since).as_secs_f64()),
                });
                parts.metrics.enforcement(&enforced.collect::<Vec<_>>());
            }
            Some(Err(error)) => tracing::warn!(event = "survey_failed", error = chain(&error)),
        }
        let again = async {
            tokio::select! {
                () = parts.activity.heard() => tokio::time::sleep(BREATH).await,
                () = tokio::time::sleep(EVERY) => {}
            }
        };
        if term.run_until_cancelled(again).await.is_none() {
            return;
        }
    }
}
