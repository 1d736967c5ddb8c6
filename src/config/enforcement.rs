//! Section `enforcement`: for how long enforcement points may keep a policy.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Error;

/// Enforcement points. Variables `HOLDFAST_ENFORCEMENT__…`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Enforcement {
    /// How long a policy may be kept without asking again; who is silent for three times as long is forgotten.
    /// Default `5m`, 10s to 1h.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub ttl: Duration,
    /// The same while a resource server is not ready. Default `1m`, 5s to 1h.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub not_ready_ttl: Duration,
}

impl Default for Enforcement {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(300), not_ready_ttl: Duration::from_secs(60) }
    }
}

impl Enforcement {
    pub(super) fn validate(&self) -> Result<(), Error> {
        let hour = Duration::from_secs(3600);
        if !(Duration::from_secs(10)..=hour).contains(&self.ttl) {
            return Err(Error::invalid("enforcement.ttl", "expected 10s to 1h"));
        }
        if !(Duration::from_secs(5)..=hour).contains(&self.not_ready_ttl) {
            return Err(Error::invalid("enforcement.not_ready_ttl", "expected 5s to 1h"));
        }
        Ok(())
    }
}
