//! Section `sessions`: how long a browser stays signed in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Error;

/// Login sessions. Variables `HOLDFAST_SESSIONS__…`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sessions {
    /// A session ends when nothing was heard from it for so long. Default `8h`, 1 minute to 90 days.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub idle_timeout: Duration,
    /// A session ends so long after the login, in use or not. Default `168h`, 1 minute to 365 days.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub absolute_timeout: Duration,
    /// What must stay the same while a session lasts: `browser` (what it calls itself, without version numbers),
    /// `browser_and_network` (that, and the /24 or /64 it comes from), or `none`. Default `browser`.
    pub fingerprint: Fingerprint,
}

/// See [`Sessions::fingerprint`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fingerprint {
    #[default]
    Browser,
    BrowserAndNetwork,
    None,
}

const HOUR: u64 = 3600;

impl Default for Sessions {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(8 * HOUR),
            absolute_timeout: Duration::from_secs(7 * 24 * HOUR),
            fingerprint: Fingerprint::Browser,
        }
    }
}

impl Sessions {
    pub(super) fn validate(&self) -> Result<(), Error> {
        let limits = [("idle_timeout", self.idle_timeout, 90), ("absolute_timeout", self.absolute_timeout, 365)];
        for (key, value, days) in limits {
            if !(Duration::from_secs(60)..=Duration::from_secs(days * 24 * HOUR)).contains(&value) {
                return Err(Error::invalid(format!("sessions.{key}"), format!("expected 1m to {}h", days * 24)));
            }
        }
        Ok(())
    }
}
