//! Sections `purge` and `audit`: how long things are kept after they have served.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Error;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Clearing away. Variables `HOLDFAST_PURGE__…`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Purge {
    /// How often the leader clears away what has expired. Default `1h`, at least 1s.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub interval: Duration,
    /// How long changes of policy are kept that were read and reported. Default `720h`, at least 1h.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub change_log_retention: Duration,
}

/// The audit. Variables `HOLDFAST_AUDIT__…`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// How long records are kept; null = for good. Default null.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::optional")]
    pub retention: Option<Duration>,
    /// How long it is kept who was issued what: issued tokens and the records of issuance. Default `2160h`, at least 48h.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub issuance_retention: Duration,
}

impl Default for Purge {
    fn default() -> Self {
        Self { interval: Duration::from_secs(3600), change_log_retention: 30 * DAY }
    }
}

impl Default for Audit {
    fn default() -> Self {
        Self { retention: None, issuance_retention: 90 * DAY }
    }
}

impl Purge {
    pub(super) fn validate(&self) -> Result<(), Error> {
        if self.interval < Duration::from_secs(1) {
            return Err(Error::invalid("purge.interval", "expected at least 1s"));
        }
        if self.change_log_retention < Duration::from_secs(3600) {
            return Err(Error::invalid("purge.change_log_retention", "expected at least 1h"));
        }
        Ok(())
    }
}

impl Audit {
    pub(super) fn validate(&self) -> Result<(), Error> {
        // a live token must never be purged
        if self.issuance_retention < 2 * DAY {
            return Err(Error::invalid("audit.issuance_retention", "expected at least 48h"));
        }
        if self.retention.is_some_and(|kept| kept < DAY) {
            return Err(Error::invalid("audit.retention", "expected at least 24h, or null"));
        }
        Ok(())
    }
}
