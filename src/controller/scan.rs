//! Rows whose object is gone although nobody saw it go: released under Retain, told under Delete, never deleted.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::domain::{DeletionPolicy, Owner, OwnerKey, Reason, Report};

use super::context::Context;
use super::error::Error;
use super::kubernetes::read;

/// Looks at the beginning of a term and with every full scan.
pub(super) async fn scan(context: Arc<Context>, stop: CancellationToken) {
    if stop.run_until_cancelled(context.caches.listed()).await.is_none() {
        return;
    }
    let mut told = BTreeSet::new();
    loop {
        match look(&context, &mut told).await {
            Err(error) if error.is_fenced() => context.fenced.cancel(),
            Err(error) => tracing::warn!(event = "scan_failed", error = error.chain()),
            Ok(()) => {}
        }
        if stop.run_until_cancelled(tokio::time::sleep(context.settings.rescan)).await.is_none() {
            return;
        }
    }
}

async fn look(context: &Context, told: &mut BTreeSet<OwnerKey>) -> Result<(), Error> {
    for (owner, policy) in context.provisioner.owners().await? {
        let key = &owner.key;
        let watched = context.caches.watches(&key.namespace);
        // the watch may be behind, and "could not read" is never "absent"
        if !watched || context.caches.has(key) || read(context, key).await?.is_some() {
            continue;
        }
        match policy {
            DeletionPolicy::Retain => {
                context.provisioner.remove(key, DeletionPolicy::Retain, &owner.object_uid).await?;
            }
            DeletionPolicy::Delete if told.insert(key.clone()) => tell(context, owner).await?,
            DeletionPolicy::Delete => {}
        }
        context.told.notify_one();
    }
    Ok(())
}

async fn tell(context: &Context, owner: Owner) -> Result<(), Error> {
    let report = Report {
        id: 0,
        owner: owner.key,
        object_uid: owner.object_uid,
        reason: Reason::OrphanFound,
        field_path: String::new(),
        note: "the object is gone and its row is still in force; apply it again, or delete the row".to_owned(),
        at: context.clock.now(),
    };
    Ok(context.provisioner.report(&report).await?)
}
