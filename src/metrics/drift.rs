//! The recorders of what is watched over beside single objects: the brake, the full scan, rows without an object.

use std::time::Duration;

use jiff::Timestamp;

use super::Metrics;
use crate::domain::brake::OpenBrake;
use crate::domain::owner::Kind;

impl Metrics {
    /// Which brakes are open now, and what they hold.
    pub fn brakes(&self, open: &[OpenBrake]) {
        self.mass_change_brakes_open.with(()).set(count(open.len()));
        for kind in Kind::ALL {
            let held = open.iter().flat_map(|brake| &brake.held).filter(|hold| hold.owner.kind == kind).count();
            self.deletions_held.with((kind,)).set(count(held));
        }
    }

    /// All rows of a kind were compared, which took so long and ended `at`.
    pub fn drift_scanned(&self, kind: Kind, (took, at): (Duration, Timestamp), unmanaged: usize) {
        self.drift_scan_duration_seconds.with((kind,)).observe(took.as_secs_f64());
        self.drift_scan_last_success_timestamp_seconds.with((kind,)).set(at.as_second() as f64);
        self.unmanaged_rows.with((kind,)).set(count(unmanaged));
    }

    /// How many rows of a kind have lost their object.
    pub fn orphans(&self, kind: Kind, rows: usize) {
        self.orphan_rows.with((kind,)).set(count(rows));
    }

    /// How many objects of a kind ask for what another one holds.
    pub fn ownership_conflicts(&self, kind: Kind, objects: i64) {
        self.ownership_conflicts.with((kind,)).set(objects);
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
