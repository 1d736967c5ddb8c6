//! Rows whose object is gone although nobody saw it go: released under Retain, told under Delete, never deleted here.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::domain::{DeletionPolicy, Kind, OwnerKey};

use super::context::Context;
use super::definitions::{self, stands};
use super::error::Error;
use super::kubernetes::read;

/// Looks at the beginning of a term and with every full scan.
pub(super) async fn scan(context: Arc<Context>, stop: CancellationToken) {
    if stop.run_until_cancelled(context.caches.listed()).await.is_none() {
        return;
    }
    loop {
        match look(&context).await {
            Err(error) if error.is_fenced() => context.fenced.cancel(),
            Err(error) => tracing::warn!(event = "scan_failed", error = error.chain()),
            Ok(()) => {}
        }
        definitions::compare(&context).await;
        if stop.run_until_cancelled(tokio::time::sleep(context.settings.rescan)).await.is_none() {
            return;
        }
    }
}

async fn look(context: &Context) -> Result<(), Error> {
    let provisioner = &context.provisioner;
    let mut back: Vec<OwnerKey> = provisioner.orphans().await?.into_iter().map(|orphan| orphan.owner).collect();
    let mut counts: BTreeMap<Kind, usize> = Kind::ALL.into_iter().map(|kind| (kind, 0)).collect();
    for (owner, policy) in provisioner.owners().await? {
        let key = &owner.key;
        if !is_absent(context, key).await? {
            continue;
        }
        match policy {
            DeletionPolicy::Retain => {
                provisioner.remove(key, DeletionPolicy::Retain, &owner.object_uid).await?;
            }
            DeletionPolicy::Delete => {
                back.retain(|known| known != key);
                *counts.entry(key.kind).or_default() += 1;
                provisioner.miss_object(&owner).await?;
            }
        }
        context.told.notify_one();
    }
    // there again, or in a namespace that nobody watches any more: unobserved is no orphan
    for owner in back {
        provisioner.forget_orphan(&owner).await?;
    }
    counts.into_iter().for_each(|(kind, rows)| context.metrics.orphans(kind, rows));
    Ok(())
}

/// Whether there is no such object, as the API server says itself: the watch may be behind, what could not be read is
/// not absent, and neither is what no definition lets anybody read.
pub(super) async fn is_absent(context: &Context, key: &OwnerKey) -> Result<bool, Error> {
    if !context.caches.watches(&key.namespace) || context.caches.has(key) || read(context, key).await?.is_some() {
        return Ok(false);
    }
    stands(context, key.kind).await
}
