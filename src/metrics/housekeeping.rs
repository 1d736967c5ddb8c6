//! The recorders of what keeps the house: keys that are replaced, rows that are cleared away.

use jiff::Timestamp;

use super::Metrics;
use crate::domain::purge::PurgeTarget;
use crate::domain::resource_server::SigningAlgorithm;

impl Metrics {
    /// How old a signing key is, in seconds.
    pub fn signing_key_age(&self, algorithm: SigningAlgorithm, seconds: f64) {
        self.signing_key_age_seconds.with((algorithm,)).set(seconds);
    }

    /// A signing key became active.
    pub fn signing_key_rotated(&self, algorithm: SigningAlgorithm) {
        self.signing_key_rotations_total.with((algorithm,)).inc();
    }

    /// A target was cleared whole at `now`.
    pub fn purged(&self, target: PurgeTarget, rows: u64, now: Timestamp) {
        self.purge_rows_total.with((target,)).inc_by(rows);
        self.purge_last_success_timestamp_seconds.with((target,)).set(now.as_second() as f64);
    }

    /// A target was begun and not finished.
    pub fn purged_partly(&self, target: PurgeTarget, rows: u64) {
        self.purge_rows_total.with((target,)).inc_by(rows);
    }
}
