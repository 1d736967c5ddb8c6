//! The last word on each object, for the admin port and the metrics.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::{Class, DriftMode, Kind, ObjectStatus, OwnerKey, StatusBoard};
use crate::metrics::Metrics;

/// Shared between the directory, which writes, and whoever asks.
#[derive(Debug, Default)]
pub struct Board(Mutex<BTreeMap<OwnerKey, Entry>>);

#[derive(Debug, Clone)]
struct Entry {
    status: ObjectStatus,
    /// `None` while nothing is known of what the object asks for.
    mode: Option<DriftMode>,
}

impl Board {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<OwnerKey, Entry>> {
        // a panic elsewhere leaves a map of whole entries behind
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the status; true when it is not what it was.
    pub fn put(&self, status: ObjectStatus, mode: Option<DriftMode>) -> bool {
        let mut objects = self.objects();
        let before = objects.get(&status.owner);
        let news = before.is_none_or(|before| before.status != status);
        let mode = mode.or_else(|| before?.mode);
        objects.insert(status.owner.clone(), Entry { status, mode });
        news
    }

    pub fn get(&self, owner: &OwnerKey) -> Option<ObjectStatus> {
        self.objects().get(owner).map(|entry| entry.status.clone())
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
        let mut all = objects.values().map(|entry| &entry.status);
        let found = all.find(|status| status.owner.kind == kind && status.entity_id.as_deref() == Some(entity_id));
        found.map(|status| status.owner.clone())
    }

    /// How many there are, how many are ready, and how many have drift that stands.
    pub fn count(&self, metrics: &Metrics) {
        let objects = self.objects();
        for kind in Kind::ALL {
            let count = |counts: &dyn Fn(&Entry) -> bool| {
                let counted = objects.values().filter(|entry| entry.status.owner.kind == kind && counts(entry)).count();
                i64::try_from(counted).unwrap_or(i64::MAX)
            };
            metrics.managed(kind, count(&|_| true), count(&|entry| entry.status.ready));
            metrics.ownership_conflicts(kind, count(&|entry| entry.status.reason == "Conflict"));
            for class in [Class::Security, Class::Behavior, Class::Cosmetic] {
                for mode in [DriftMode::Enforce, DriftMode::Warn, DriftMode::Ignore] {
                    let stands = |entry: &Entry| {
                        let drift = entry.status.drift.as_ref();
                        entry.mode == Some(mode) && drift.is_some_and(|drift| drift.class() == class)
                    };
                    metrics.drift_active(kind, class, mode, count(&stands));
                }
            }
        }
    }
}

impl StatusBoard for Board {
    fn statuses(&self) -> Vec<ObjectStatus> {
        self.objects().values().map(|entry| entry.status.clone()).collect()
    }
}
