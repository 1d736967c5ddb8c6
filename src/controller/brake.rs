//! The brake as the cluster sees it: what was confirmed goes, what came back waits no more, what is held is counted.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::Actor;

use super::context::Context;
use super::error::Error;
use super::kubernetes::read;

/// Whoever confirms is at another replica, or at the database itself.
const LOOK: Duration = Duration::from_secs(1);

/// Looks until the term ends.
pub(super) async fn follow(context: Arc<Context>, stop: CancellationToken) {
    if stop.run_until_cancelled(context.caches.listed()).await.is_none() {
        return;
    }
    let mut confirmed = context.settings.confirm.clone();
    loop {
        match look(&context, &mut confirmed).await {
            Err(error) if error.is_fenced() => context.fenced.cancel(),
            Err(error) => tracing::debug!(error = error.chain(), "the brake waits"),
            Ok(()) => {}
        }
        if stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
            return;
        }
    }
}

async fn look(context: &Context, confirmed: &mut Option<String>) -> Result<(), Error> {
    let provisioner = &context.provisioner;
    if let Some(id) = confirmed {
        provisioner.confirm_brake(id, &Actor::recorded("configuration")).await?;
        *confirmed = None;
    }
    context.metrics.brakes(&provisioner.brakes().await?);
    for hold in provisioner.holds().await? {
        let key = &hold.owner;
        if context.caches.is_going(key) {
            if hold.released {
                context.queue.news(key.clone());
            }
        } else if context.caches.has(key)
            && read(context, key).await?.is_some_and(|object| object.metadata().deletion_timestamp.is_none())
        {
            // its finalizer was taken away and it was made anew
            provisioner.withdraw_deletion(key).await?;
        }
    }
    Ok(())
}
