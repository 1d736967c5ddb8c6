//! Section `tokens`: what is issued.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Error;

/// Issued tokens. Variables `HOLDFAST_TOKENS__…`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tokens {
    /// How long an access token lives where its resource server says nothing, in seconds. Default 900, 60 to 3600.
    pub default_lifetime_seconds: i64,
    /// How many token requests may wait for the database at once; the next one gets 503. Default 1024, 1 to 65536.
    pub max_waiting: usize,
    /// How long a refresh token that was used is answered with the same successor again; used later it ends its family.
    /// Default `30s`, at most 5 minutes.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub refresh_grace: Duration,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { default_lifetime_seconds: 900, max_waiting: 1024, refresh_grace: Duration::from_secs(30) }
    }
}

impl Tokens {
    pub(super) fn validate(&self) -> Result<(), Error> {
        if !(60..=3600).contains(&self.default_lifetime_seconds) {
            return Err(Error::invalid("tokens.default_lifetime_seconds", "expected 60 to 3600"));
        }
        if self.refresh_grace > Duration::from_secs(300) {
            return Err(Error::invalid("tokens.refresh_grace", "expected at most 5m"));
        }
        if (1..=65_536).contains(&self.max_waiting) {
            return Ok(());
        }
        Err(Error::invalid("tokens.max_waiting", "expected 1 to 65536"))
    }
}
