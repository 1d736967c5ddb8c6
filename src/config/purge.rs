//! Sections `purge`, `audit` and `access_log`: how long things are kept after they have served.

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

/// Calls that enforcement points report. Variables `HOLDFAST_ACCESS_LOG__…`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessLog {
    /// How long a call is kept. Default `720h`, 24h to 87600h.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub retention: Duration,
    /// So many of each resource server are kept, the newest. Default 1000000, 1000 to 100000000.
    pub max_rows: i64,
}

impl Default for AccessLog {
    fn default() -> Self {
        Self { retention: 30 * DAY, max_rows: 1_000_000 }
    }
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

impl AccessLog {
    pub(super) fn validate(&self) -> Result<(), Error> {
        // a plan looks back for a day
        if !(DAY..=3650 * DAY).contains(&self.retention) {
            return Err(Error::invalid("access_log.retention", "expected 24h to 87600h"));
        }
        if !(1000..=100_000_000).contains(&self.max_rows) {
            return Err(Error::invalid("access_log.max_rows", "expected 1000 to 100000000"));
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
