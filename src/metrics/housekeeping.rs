//! The recorders of what keeps the house: keys that are replaced, rows that are cleared away, and how many there are.

use jiff::Timestamp;

use super::Metrics;
use crate::domain::client::ClientState;
use crate::domain::observer::ClientSource;
use crate::domain::population::Population;
use crate::domain::purge::PurgeTarget;
use crate::domain::resource_server::SigningAlgorithm;
use crate::domain::user::AuthSource;

impl Metrics {
    /// How old a signing key is, in seconds.
    pub fn signing_key_age(&self, algorithm: SigningAlgorithm, seconds: f64) {
        self.signing_key_age_seconds.with((algorithm,)).set(seconds);
    }

    /// A signing key became active.
    pub fn signing_key_rotated(&self, algorithm: SigningAlgorithm) {
        self.signing_key_rotations_total.with((algorithm,)).inc();
    }

    /// How many there were at `now`; what nobody counted is none.
    pub fn population(&self, counted: &Population, now: Timestamp) {
        self.users_registered.with(()).set(counted.users);
        self.sessions_active.with(()).set(counted.sessions);
        self.active_grants.with(()).set(counted.grants);
        self.active_token_families.with(()).set(counted.families);
        for source in AuthSource::ALL {
            let found = counted.active_users.iter().find(|(of, _)| of == source);
            self.users_active.with((*source,)).set(found.map_or(0, |(_, users)| *users));
        }
        for labels in ClientState::ALL.iter().flat_map(|state| ClientSource::ALL.iter().map(|source| (*state, *source)))
        {
            let found = counted.clients.iter().find(|(of, _)| *of == labels);
            self.oauth_clients_registered.with(labels).set(found.map_or(0, |(_, clients)| *clients));
        }
        self.population_last_success_timestamp_seconds.with(()).set(now.as_second() as f64);
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
