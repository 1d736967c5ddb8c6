//! Turns what happened elsewhere into the objects that have to be looked at again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::domain::OwnerKey;
use crate::domain::policy::Changed;
use crate::manifest::Object;

use super::cleanup::release;
use super::context::Context;
use super::error::Error;
use super::index::Target;
use super::watch::Seen;

/// How often it is asked which rows are offered: no object changes when its row is.
const OFFERS: Duration = Duration::from_secs(2);

/// Routes every change until the term ends.
pub(super) async fn route(
    context: Arc<Context>,
    mut seen: UnboundedReceiver<Seen>,
    (mut changes, mut standings): (broadcast::Receiver<Changed>, broadcast::Receiver<OwnerKey>),
    stop: CancellationToken,
) {
    unheard(&context).await;
    // dropped with this future, so that nothing outlives the term
    let mut releases = JoinSet::new();
    let mut offers = tokio::time::interval(OFFERS);
    offers.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = offers.tick() => offered(&context).await,
            change = changes.recv() => match change {
                Ok(change) => changed(&context, &change),
                Err(RecvError::Lagged(_)) => look_at_all(&context),
                Err(RecvError::Closed) => return,
            },
            moved = standings.recv() => match moved {
                Ok(owner) => context.queue.news(owner),
                Err(RecvError::Lagged(_)) => look_at_all(&context),
                Err(RecvError::Closed) => return,
            },
            event = seen.recv() => match event {
                Some(Seen::Gone(object)) => {
                    while releases.try_join_next().is_some() {}
                    releases.spawn(gone(Arc::clone(&context), *object, stop.clone()));
                }
                Some(event) => noticed(&context, event),
                None => return,
            },
        }
    }
}

/// A policy row changed, whoever did it: its object looks whether that is drift, its referrers what it means for them.
fn changed(context: &Context, change: &Changed) {
    if let Some(owner) = &change.owner {
        context.queue.news(owner.clone());
        wake_referrers(context, &Target::Object(owner.clone()));
    }
    context.blocked().iter().for_each(|waiting| context.queue.routine(waiting.clone()));
}

/// What others changed while nobody led is news, and comes before all that a new leader has to look at.
async fn unheard(context: &Context) {
    match context.provisioner.changed_unheard().await {
        Ok(owners) => owners.into_iter().for_each(|owner| context.queue.news(owner)),
        // each object is looked at anyhow
        Err(error) => tracing::debug!(%error, "what happened meanwhile waits for its turn"),
    }
}

/// An object that may have a row now which it could not have before.
async fn offered(context: &Context) {
    match context.provisioner.offers().await {
        Ok(offers) => offers.into_iter().for_each(|offer| context.queue.news(offer.owner)),
        Err(error) => tracing::debug!(%error, "offers wait for the database"),
    }
}

fn noticed(context: &Context, event: Seen) {
    match event {
        Seen::Object(key) => wake_referrers(context, &Target::Object(key)),
        Seen::Secret(key, owner, urgency) => {
            if let Some(owner) = owner {
                context.queue.ask(owner, urgency);
            }
            wake_referrers(context, &Target::Secret(key));
        }
        Seen::Namespace(name) => {
            context.caches.index.in_namespace(&name).into_iter().for_each(|owner| context.queue.routine(owner));
        }
        Seen::Gone(_) => {}
    }
}

fn wake_referrers(context: &Context, target: &Target) {
    context.caches.index.referrers(target).into_iter().for_each(|owner| context.queue.routine(owner));
}

/// News were lost: whose they were nobody knows.
fn look_at_all(context: &Context) {
    context.caches.keys().into_iter().for_each(|owner| context.queue.routine(owner));
}

/// An object that went without a finalizer has its row released, however often that has to be tried.
async fn gone(context: Arc<Context>, object: Object, stop: CancellationToken) {
    let mut wait = Duration::from_secs(1);
    while let Err(error) = release(&context, &object).await {
        if error.is_fenced() {
            context.fenced.cancel();
            return;
        }
        told(&object, &error);
        if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
            return;
        }
        wait = (wait * 2).min(Duration::from_secs(60));
    }
}

fn told(object: &Object, error: &Error) {
    tracing::warn!(event = "reconcile_failed", owner = %object.key(), error = error.chain());
}
