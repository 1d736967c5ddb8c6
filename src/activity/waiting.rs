//! Waiting for another policy: who waits is woken by the change feed, looks into memory, and never holds up anybody.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Activity;
use crate::domain::Kind;

/// So many requests may wait for one resource server at a time.
pub const MOST_WAITING: usize = 1024;

/// There are [`MOST_WAITING`] already.
#[derive(Debug, thiserror::Error)]
#[error("too many requests wait for this policy")]
pub struct TooManyWaiting;

/// Those who wait, by resource server.
#[derive(Default)]
pub(super) struct Waiting {
    rooms: Mutex<HashMap<String, Room>>,
    /// The process is on its way out: nobody waits any more.
    closing: CancellationToken,
}

struct Room {
    /// Told that something may be different.
    bell: watch::Sender<()>,
    people: usize,
}

impl Waiting {
    fn rooms(&self) -> MutexGuard<'_, HashMap<String, Room>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self, id: &str) {
        if let Some(room) = self.rooms().get(id) {
            room.bell.send_replace(());
        }
    }

    fn ring_all(&self) {
        self.rooms().values().for_each(|room| room.bell.send_replace(()));
    }
}

/// A place among those who wait.
pub struct Place {
    waiting: Arc<Waiting>,
    id: String,
    bell: watch::Receiver<()>,
}

impl Place {
    /// Returns when something may be different; false when there is nothing more to wait for.
    pub async fn woken(&mut self) -> bool {
        tokio::select! {
            () = self.waiting.closing.cancelled() => false,
            rung = self.bell.changed() => rung.is_ok(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut rooms = self.waiting.rooms();
        let empty = rooms.get_mut(&self.id).is_some_and(|room| {
            room.people -= 1;
            room.people == 0
        });
        if empty {
            rooms.remove(&self.id);
        }
    }
}

impl Activity {
    /// Begins to wait: whatever changes from now on is heard of.
    ///
    /// # Errors
    /// Too many wait already.
    pub fn wait(&self, id: &str) -> Result<Place, TooManyWaiting> {
        let waiting = &self.inner.waiting;
        let mut rooms = waiting.rooms();
        let room = rooms.entry(id.to_owned()).or_insert_with(|| Room { bell: watch::Sender::new(()), people: 0 });
        if room.people >= MOST_WAITING {
            return Err(TooManyWaiting);
        }
        room.people += 1;
        Ok(Place { waiting: Arc::clone(waiting), id: id.to_owned(), bell: room.bell.subscribe() })
    }

    /// Sends everybody home who waits, and all who come later.
    pub fn close(&self) {
        self.inner.waiting.closing.cancel();
    }

    /// Wakes those who wait whenever their policy changes, or who may ask for it, until `stop`.
    pub(super) async fn ring(&self, stop: &CancellationToken) {
        let mut changes = self.inner.parts.store.subscribe();
        loop {
            let changed = tokio::select! {
                () = stop.cancelled() => return,
                changed = changes.recv() => changed,
            };
            match changed {
                Ok(change) if change.kind == Kind::ResourceServer => {
                    if self.policy(&change.id).is_none() {
                        self.inner.made.forget(&change.id);
                    }
                    self.inner.waiting.ring(&change.id);
                }
                Ok(change) if change.kind == Kind::Provider => {}
                // a client that has lost its secret must not go on listening
                Ok(_) | Err(RecvError::Lagged(_)) => self.inner.waiting.ring_all(),
                Err(RecvError::Closed) => return,
            }
        }
    }
}
