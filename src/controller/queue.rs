//! The looks themselves: as many at the same time as do any good, one after the other for each object.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::domain::OwnerKey;

use super::context::Context;
use super::line::{Line, Urgency};
use super::reconcile::{failed, reconcile, unreadable};

/// Objects that are looked at at the same time. Most of a look is waiting for the API server.
const AT_ONCE: usize = 16;

type Asked = (OwnerKey, Urgency);

/// Where a look at an object is asked for.
#[derive(Clone)]
pub(super) struct Queue(UnboundedSender<Asked>);

impl Queue {
    pub(super) fn new() -> (Self, UnboundedReceiver<Asked>) {
        let (asks, asked) = unbounded_channel();
        (Self(asks), asked)
    }

    /// Somebody changed the object, its row or its Secret.
    pub(super) fn news(&self, key: OwnerKey) {
        self.ask(key, Urgency::News);
    }

    /// Something may have changed for the object.
    pub(super) fn routine(&self, key: OwnerKey) {
        self.ask(key, Urgency::Routine);
    }

    /// For this reason.
    pub(super) fn ask(&self, key: OwnerKey, urgency: Urgency) {
        // nobody listens any more when the term is over
        drop(self.0.send((key, urgency)));
    }
}

/// Looks at what is asked for and at what falls due, until `stop`; what is under way then comes to its end.
pub(super) async fn serve(context: Arc<Context>, mut asked: UnboundedReceiver<Asked>, stop: CancellationToken) {
    // what is not listed yet would look missing
    if stop.run_until_cancelled(context.caches.listed()).await.is_none() {
        return;
    }
    let (mut line, mut looks) = (Line::default(), JoinSet::new());
    loop {
        while looks.len() < AT_ONCE
            && let Some(key) = line.take(Instant::now())
        {
            looks.spawn(look(key, Arc::clone(&context)));
        }
        context.metrics.reconcile_queue(line.len());
        tokio::select! {
            () = stop.cancelled() => break,
            Some((key, urgency)) = asked.recv() => line.add(key, urgency),
            Some(Ok((key, again))) = looks.join_next() => line.done(key, again.map(|wait| Instant::now() + wait)),
            () = due(&line), if looks.len() < AT_ONCE => {}
        }
    }
    context.metrics.reconcile_queue(0);
    while looks.join_next().await.is_some() {}
}

async fn due(line: &Line) {
    match line.next_due() {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// One look, whatever comes of it, and when to look again.
async fn look(key: OwnerKey, context: Arc<Context>) -> (OwnerKey, Option<Duration>) {
    let walk = async {
        match context.caches.look(&key) {
            None => Ok(None),
            Some(Ok(object)) => reconcile(&object, &context).await,
            Some(Err(error)) => unreadable(&key, &error, &context).await.map(Some),
        }
    };
    let again = match AssertUnwindSafe(walk).catch_unwind().await {
        Ok(Ok(again)) => again,
        Ok(Err(error)) => Some(failed(&key, &error.chain(), &context)),
        // a fault of this program, told on stderr, must not end the looks at all others
        Err(_) => Some(failed(&key, "a look at the object panicked", &context)),
    };
    (key, again)
}
