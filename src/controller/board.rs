//! The last word on every object, for `GET /admin/resources` and the population gauges.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::outcome::{ObjectStatus, StatusBoard};
use crate::domain::{Class, DriftMode, Kind, OwnerKey};

/// Shared between the controller, which writes, and the admin port, which reads.
#[derive(Clone, Default)]
pub struct Board(Arc<Boards>);

#[derive(Default)]
struct Boards {
    objects: Mutex<HashMap<OwnerKey, Entry>>,
    /// What the installed definitions lack.
    lacking: Mutex<Option<String>>,
}

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
    /// By kind: how many ask for what another one holds.
    pub conflicts: HashMap<Kind, i64>,
}

impl Board {
    pub(super) fn put(&self, status: ObjectStatus, mode: Option<DriftMode>, overdue: bool) {
        self.entries().insert(status.owner.clone(), Entry { status, mode, overdue });
    }

    /// Remembers what the installed definitions lack; true when that is news.
    pub(super) fn definitions_lack(&self, lacking: Option<String>) -> bool {
        let mut known = self.lacking();
        let news = *known != lacking;
        *known = lacking;
        news
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
            *tally.conflicts.entry(kind).or_default() += i64::from(entry.status.reason == "Conflict");
            if let (Some(mode), Some(drift)) = (entry.mode, &entry.status.drift) {
                *tally.drifted.entry((kind, drift.class(), mode)).or_default() += 1;
            }
        }
        tally
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<OwnerKey, Entry>> {
        // whole entries are put in and taken out, so a panic elsewhere leaves nothing half done
        self.0.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lacking(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lacking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StatusBoard for Board {
    fn statuses(&self) -> Vec<ObjectStatus> {
        let mut all: Vec<ObjectStatus> = self.entries().values().map(|entry| entry.status.clone()).collect();
        all.sort_by(|a, b| a.owner.cmp(&b.owner));
        all
    }

    fn definitions_lacking(&self) -> Option<String> {
        self.lacking().clone()
    }
}
