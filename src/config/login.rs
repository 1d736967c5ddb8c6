//! Section `login`: how people sign in, and who must wait before the next guess.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Error;

/// Signing in by password. Variables `HOLDFAST_LOGIN__…`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Login {
    /// Password hashes that are computed at once; each takes a core for some 30 ms, and 19 MiB. Default 2, 1 to 64.
    pub hashing: usize,
    /// Logins that may wait for one of them; the next one is told to come back. Default 64, 0 to 10000.
    pub max_waiting: usize,
    /// The fewest characters of a new password. Default 12, 8 to 128.
    pub min_password_length: usize,
    /// Failed logins are counted in windows of this length, e.g. `15m`. Default `15m`, 1 minute to 24 hours.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub failure_window: Duration,
    /// Failures in a window for one address from one network (/24, or /64 of IPv6). Default 5, 1 to 1000.
    pub failures_per_address_and_network: u32,
    /// Failures in a window from one network, whichever addresses it tries. Default 50, 1 to 100000.
    pub failures_per_network: u32,
    /// Failures in a window for one address from networks where it has never signed in; those where it has stay open.
    /// Default 50, 1 to 100000.
    pub failures_per_address: u32,
}

impl Default for Login {
    fn default() -> Self {
        Self {
            hashing: 2,
            max_waiting: 64,
            min_password_length: 12,
            failure_window: Duration::from_secs(15 * 60),
            failures_per_address_and_network: 5,
            failures_per_network: 50,
            failures_per_address: 50,
        }
    }
}

impl Login {
    pub(super) fn validate(&self) -> Result<(), Error> {
        let limits = [
            ("hashing", self.hashing, 1, 64),
            ("max_waiting", self.max_waiting, 0, 10_000),
            ("min_password_length", self.min_password_length, 8, 128),
            ("failures_per_address_and_network", self.failures_per_address_and_network as usize, 1, 1000),
            ("failures_per_network", self.failures_per_network as usize, 1, 100_000),
            ("failures_per_address", self.failures_per_address as usize, 1, 100_000),
        ];
        for (key, value, least, most) in limits {
            if !(least..=most).contains(&value) {
                return Err(Error::invalid(format!("login.{key}"), format!("expected {least} to {most}")));
            }
        }
        let window = Duration::from_secs(60)..=Duration::from_secs(24 * 3600);
        if window.contains(&self.failure_window) {
            return Ok(());
        }
        Err(Error::invalid("login.failure_window", "expected 1m to 24h"))
    }
}
