//! The last word on each object, for the admin port and the metrics.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::{Kind, ObjectStatus, OwnerKey, StatusBoard};
use crate::metrics::Metrics;

/// Shared between the directory, which writes, and whoever asks.
#[derive(Debug, Default)]
pub struct Board(Mutex<BTreeMap<OwnerKey, ObjectStatus>>);

impl Board {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<OwnerKey, ObjectStatus>> {
        // a panic elsewhere leaves a map of whole entries behind
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the status; true when it is not what it was.
    pub fn put(&self, status: ObjectStatus) -> bool {
        let before = self.objects().insert(status.owner.clone(), status.clone());
        before.as_ref() != Some(&status)
    }

    pub fn get(&self, owner: &OwnerKey) -> Option<ObjectStatus> {
        self.objects().get(owner).cloned()
    }

    pub fn retain(&self, keep: impl Fn(&OwnerKey) -> bool) {
        self.objects().retain(|owner, _| keep(owner));
    }

    pub fn remove(&self, owner: &OwnerKey) {
        self.objects().remove(owner);
    }

    /// The object whose row has this id.
    pub fn owner_of(&self, kind: Kind, entity_id: &str) -> Option<OwnerKey> {
        let objects = self.objects();
        let named =
            |status: &&ObjectStatus| status.owner.kind == kind && status.entity_id.as_deref() == Some(entity_id);
        objects.values().find(named).map(|status| status.owner.clone())
    }

    /// How many there are and how many are ready.
    pub fn count(&self, metrics: &Metrics) {
        let objects = self.objects();
        for kind in Kind::ALL {
            let of_kind = || objects.values().filter(|status| status.owner.kind == kind);
            let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
            metrics.managed(kind, count(of_kind().count()), count(of_kind().filter(|status| status.ready).count()));
        }
    }
}

impl StatusBoard for Board {
    fn statuses(&self) -> Vec<ObjectStatus> {
        self.objects().values().cloned().collect()
    }
}
