//! What is due for rows without an object. It stands here and not among the jobs, because before it touches a row it
//! asks the API server once more whether the object is really not there.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::DeletionPolicy;
use crate::domain::orphan::{Due, Orphan};

use super::context::Context;
use super::error::Error;
use super::scan::is_absent;

const LOOK: Duration = Duration::from_secs(60);

/// Looks until the term ends.
pub(super) async fn tend(context: Arc<Context>, stop: CancellationToken) {
    if stop.run_until_cancelled(context.caches.listed()).await.is_none() {
        return;
    }
    let pause = LOOK.min(context.settings.rescan);
    while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        match look(&context).await {
            Err(error) if error.is_fenced() => context.fenced.cancel(),
            Err(error) => tracing::warn!(event = "orphans_failed", error = error.chain()),
            Ok(()) => {}
        }
    }
}

async fn look(context: &Context) -> Result<(), Error> {
    for orphan in context.provisioner.orphans().await? {
        let Some(due) = orphan.due(context.clock.now()) else { continue };
        if is_absent(context, &orphan.owner).await? {
            act(context, &orphan, due).await?;
            context.told.notify_one();
        }
    }
    Ok(())
}

async fn act(context: &Context, orphan: &Orphan, due: Due) -> Result<(), Error> {
    match due {
        Due::Suspend => context.provisioner.suspend_orphan(&orphan.owner).await?,
        // blocked or held it is tried again
        Due::Purge => drop(context.provisioner.remove(&orphan.owner, DeletionPolicy::Delete, "").await?),
    }
    Ok(())
}
