//! What every reconcile of one term of leadership shares.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::Client;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::domain::enforcement::Enforcement;
use crate::domain::{Clock, OwnerKey};
use crate::metrics::Metrics;
use crate::provision::Provisioner;

use super::Settings;
use super::backoff::Backoff;
use super::board::Board;
use super::cache::Caches;
use super::queue::Queue;

pub(super) struct Context {
    pub client: Client,
    pub provisioner: Provisioner,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    pub settings: Settings,
    pub board: Board,
    pub enforcement: Arc<dyn Enforcement>,
    pub caches: Caches,
    pub queue: Queue,
    pub backoff: Backoff,
    /// Cancelled when another leader took over: this term is over.
    pub fenced: CancellationToken,
    /// Something may wait in the outbox.
    pub told: Notify,
    settled: Mutex<HashMap<OwnerKey, Settled>>,
    blocked: Mutex<BTreeSet<OwnerKey>>,
}

/// A Secret as it was when its credential was last settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settled {
    pub resource_version: String,
    /// Of the object that asks for it.
    pub generation: i64,
}

/// What a term begins with.
pub(super) struct Start {
    pub client: Client,
    pub provisioner: Provisioner,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    pub settings: Settings,
    pub board: Board,
    pub enforcement: Arc<dyn Enforcement>,
}

impl Context {
    pub(super) fn new(start: Start, caches: Caches, queue: Queue, fenced: CancellationToken) -> Self {
        Self {
            client: start.client,
            provisioner: start.provisioner,
            metrics: start.metrics,
            clock: start.clock,
            settings: start.settings,
            board: start.board,
            enforcement: start.enforcement,
            caches,
            queue,
            backoff: Backoff::default(),
            fenced,
            told: Notify::new(),
            settled: Mutex::default(),
            blocked: Mutex::default(),
        }
    }

    /// Which Secrets need not be read again.
    pub(super) fn settled(&self) -> MutexGuard<'_, HashMap<OwnerKey, Settled>> {
        // whole entries are put in and taken out, so a panic elsewhere leaves nothing half done
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Objects whose deletion waits until nothing needs them.
    pub(super) fn blocked(&self) -> MutexGuard<'_, BTreeSet<OwnerKey>> {
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
