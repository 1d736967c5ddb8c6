//! Signing keys are published, activated and retired when their time has come, or when somebody asks.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Parts;
use crate::domain::signing_key::KeyState;
use crate::domain::{Epoch, chain};

/// The keys are looked at so often at least.
const LOOK: Duration = Duration::from_secs(30);
/// And so often at most.
const PAUSE: Duration = Duration::from_millis(100);

/// Until the term is over.
pub(super) async fn keep(parts: &Parts, epoch: Epoch, term: &CancellationToken) {
    let mut wanted = parts.server.keys_wanted();
    while !term.is_cancelled() {
        let Some(pause) = term.run_until_cancelled(once(parts, epoch)).await else { return };
        let wait = async {
            tokio::select! {
                () = wanted.next() => tokio::time::sleep(PAUSE).await,
                () = tokio::time::sleep(pause) => {}
            }
        };
        let _ = term.run_until_cancelled(wait).await;
    }
}

/// How long nothing needs to be done.
async fn once(parts: &Parts, epoch: Epoch) -> Duration {
    let kept = match parts.server.keep_keys(epoch).await {
        Ok(kept) => kept,
        Err(error) => {
            tracing::warn!(event = "key_rotation_failed", error = chain(&error));
            return LOOK;
        }
    };
    for change in kept.changes {
        if change.state == KeyState::Active {
            parts.metrics.signing_key_rotated(change.algorithm);
        }
        tracing::info!(
            event = "key_rotated",
            who = %change.who,
            what = change.kid,
            alg = change.algorithm.as_str(),
            outcome = change.state.as_str(),
        );
    }
    let next = kept.next.map(|next| parts.clock.now().until(next));
    let next = next.and_then(Result::ok).and_then(|span| Duration::try_from(span).ok());
    next.map_or(LOOK, |next| next.clamp(PAUSE, LOOK))
}
