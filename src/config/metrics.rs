//! Section `metrics`: what Prometheus reads.

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
}

impl Default for Metrics {
    fn default() -> Self {
        Self { enabled: true, path: "/metrics".to_owned() }
    }
}

impl Metrics {
    pub(super) fn validate(&self) -> Result<(), Error> {
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
