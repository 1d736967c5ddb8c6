//! The last word on every object, for `GET /admin/resources` and the population gauges.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::outcome::{ObjectStatus, StatusBoard};
use crate::domain::{Class, DriftMode, Kind, OwnerKey};

/// Shared between the controller, which writes, and the admin port, which reads.
#[derive(Clone, Default)]
pub struct Board(Arc<Mutex<HashMap<OwnerKey, Entry>>>);

struct Entry {
    status: ObjectStatus,
    /// `None` while the spec is invalid.
    mode: Option<DriftMode>,
    /// A replaced secret is in use in the last tenth of its overlap.
    overdue: bool,
}

/// How many objects there are of each sort.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// By kind: how many there are, and how many of them are Ready.
    pub managed: HashMap<Kind, (i64, i64)>,
    /// With drift that stands, by kind, its class and the mode.
    pub drifted: HashMap<(Kind, Class, DriftMode), i64>,
    /// With a replaced secret in use that is about to end.
    pub overdue: i64,
}

impl Board {
    pub(super) fn put(&self, status: ObjectStatus, mode: Option<DriftMode>, overdue: bool) {
        self.entries().insert(status.owner.clone(), Entry { status, mode, overdue });
    }

    pub(super) fn remove(&self, key: &OwnerKey) {
        self.entries().remove(key);
    }

    /// Counts all objects, in one look.
    pub(super) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for entry in self.entries().values() {
            let kind = entry.status.owner.kind;
            let (total, ready) = tally.managed.entry(kind).or_default();
            *total += 1;
            *ready += i64::from(entry.status.ready);
            tally.overdue += i64::from(entry.overdue);
            if let (Some(mode), Some(drift)) = (entry.mode, &entry.status.drift) {
                *tally.drifted.entry((kind, drift.class(), mode)).or_default() += 1;
            }
        }
        tally
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<OwnerKey, Entry>> {
        // whole entries are put in and taken out, so a panic elsewhere leaves nothing half done
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StatusBoard for Board {
    fn statuses(&self) -> Vec<ObjectStatus> {
        let mut all: Vec<ObjectStatus> = self.entries().values().map(|entry| entry.status.clone()).collect();
        all.sort_by(|a, b| a.owner.cmp(&b.owner));
        all
    }
}
