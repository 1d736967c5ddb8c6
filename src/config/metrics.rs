//! Section `metrics`: what Prometheus reads.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Error;

/// Metrics. Variables `HOLDFAST_METRICS__…`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Whether metrics are served at all. Default true.
    pub enabled: bool,
    /// Path on the admin and metrics listeners. Default `/metrics`.
    pub path: String,
    /// How often the leader counts users, sessions, clients and grants for their gauges. Default `30s`, at least 1s.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub population_interval: Duration,
    /// So many resource servers have series of their own; all others share `other`. Default 200, 0 to 10000.
    pub max_resource_servers: usize,
    /// So many tools have series of their own; all others share `other`. Default 500, 0 to 10000.
    pub per_tool: usize,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            enabled: true,
            path: "/metrics".to_owned(),
            population_interval: Duration::from_secs(30),
            max_resource_servers: 200,
            per_tool: 500,
        }
    }
}

impl Metrics {
    pub(super) fn validate(&self) -> Result<(), Error> {
        if self.population_interval < Duration::from_secs(1) {
            return Err(Error::invalid("metrics.population_interval", "expected at least 1s"));
        }
        if self.max_resource_servers > 10_000 {
            return Err(Error::invalid("metrics.max_resource_servers", "expected 0 to 10000"));
        }
        if self.per_tool > 10_000 {
            return Err(Error::invalid("metrics.per_tool", "expected 0 to 10000"));
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.');
        let taken = ["/livez", "/ready", "/health"].contains(&self.path.as_str()) || self.path.starts_with("/admin/");
        if taken {
            return Err(Error::invalid("metrics.path", "something else is served there"));
        }
        if self.path.len() > 1 && self.path.starts_with('/') && self.path.bytes().all(plain) {
            return Ok(());
        }
        Err(Error::invalid("metrics.path", "expected a path such as /metrics"))
    }
}
