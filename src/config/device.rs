//! Section `device`: the device grant.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Error;

/// The device grant (RFC 8628). Variables `HOLDFAST_DEVICE__…`. Which clients have it is said by the clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Device {
    /// How long a user has to enter the code. Default `10m`, 1 to 30 minutes.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub code_lifetime: Duration,
    /// How long a device waits between two polls at first; five seconds more after each that came too early. Default
    /// `5s`, 1 second to 1 minute.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub poll_interval: Duration,
}

impl Default for Device {
    fn default() -> Self {
        Self { code_lifetime: Duration::from_secs(600), poll_interval: Duration::from_secs(5) }
    }
}

impl Device {
    pub(super) fn validate(&self) -> Result<(), Error> {
        if !(Duration::from_secs(60)..=Duration::from_secs(1800)).contains(&self.code_lifetime) {
            return Err(Error::invalid("device.code_lifetime", "expected 1m to 30m"));
        }
        if (Duration::from_secs(1)..=Duration::from_secs(60)).contains(&self.poll_interval) {
            return Ok(());
        }
        Err(Error::invalid("device.poll_interval", "expected 1s to 1m"))
    }
}
