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

impl Board {
    pub(super) fn put(&self, status: ObjectStatus, mode: Option<DriftMode>, overdue: bool) {
        self.entries().insert(status.owner.clone(), Entry { status, mode, overdue });
    }

    /// How many objects have a replaced secret in use that is about to end.
    pub(super) fn overdue(&self) -> i64 {
        i64::try_from(self.entries().values().filter(|entry| entry.overdue).count()).unwrap_or(i64::MAX)
    }

    pub(super) fn remove(&self, key: &OwnerKey) {
        self.entries().remove(key);
    }

    /// How many objects of a kind there are, and how many are Ready.
    pub(super) fn count(&self, kind: Kind) -> (i64, i64) {
        let entries = self.entries();
        let of_kind = entries.values().filter(|entry| entry.status.owner.kind == kind);
        of_kind.fold((0, 0), |(total, ready), entry| (total + 1, ready + i64::from(entry.status.ready)))
    }

    /// How many objects of a kind have drift of this class that stands under this mode.
    pub(super) fn drifted(&self, kind: Kind, class: Class, mode: DriftMode) -> i64 {
        let entries = self.entries();
        let stands = |entry: &&Entry| {
            entry.status.owner.kind == kind
                && entry.mode == Some(mode)
                && entry.status.drift.as_ref().is_some_and(|drift| drift.class() == class)
        };
        i64::try_from(entries.values().filter(stands).count()).unwrap_or(i64::MAX)
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
