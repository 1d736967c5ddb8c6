//! Section `rate_limits`: what one source address may try.

use serde::{Deserialize, Serialize};

use super::Error;

/// Limits for one source address. Variables `HOLDFAST_RATE_LIMITS__…`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimits {
    /// Failed client authentications in a minute, above which the answer is 429. Default 60, 1 to 100000.
    pub failed_authentications_per_minute: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { failed_authentications_per_minute: 60 }
    }
}

impl RateLimits {
    pub(super) fn validate(&self) -> Result<(), Error> {
        if (1..=100_000).contains(&self.failed_authentications_per_minute) {
            return Ok(());
        }
        Err(Error::invalid("rate_limits.failed_authentications_per_minute", "expected 1 to 100000"))
    }
}
