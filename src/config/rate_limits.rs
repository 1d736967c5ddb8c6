//! Section `rate_limits`: how often one client, or one source address, may come.

use serde::{Deserialize, Serialize};

use super::Error;

/// Requests in a minute, by endpoint; 0 = no limit. A client that has authenticated with a secret or a key has a budget of
/// its own; everybody else shares that of their source address (of IPv6, its /64). Each replica counts for itself.
/// Variables `HOLDFAST_RATE_LIMITS__…`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimits {
    /// Failed client authentications of one source, above which the answer is 429. Default 60, 1 to 100000.
    pub failed_authentications_per_minute: u32,
    /// Token requests of one client. Default 60000.
    pub token_per_minute: u32,
    /// Introspections of one client or resource server. Default 600000.
    pub introspect_per_minute: u32,
    /// Revocations of one client. Default 60000.
    pub revoke_per_minute: u32,
    /// Pushed authorization requests of one client. Default 6000.
    pub par_per_minute: u32,
    /// Requests for a policy, and manifests, of one resource server or client: all its enforcement points together.
    /// Default 60000.
    pub policy_per_minute: u32,
    /// Device authorizations of one client, and visits of the device page from one source. Default 600.
    pub device_per_minute: u32,
    /// Authorization requests and answers to the consent page from one source. Default 600.
    pub authorize_per_minute: u32,
    /// Visits of the login page and attempts to sign in from one source. Default 120.
    pub login_per_minute: u32,
    /// Registrations of clients from one source. Default 60.
    pub register_per_minute: u32,
    /// Requests of the admin API from one source. Default 6000.
    pub admin_per_minute: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            failed_authentications_per_minute: 60,
            token_per_minute: 60_000,
            introspect_per_minute: 600_000,
            revoke_per_minute: 60_000,
            par_per_minute: 6_000,
            policy_per_minute: 60_000,
            device_per_minute: 600,
            authorize_per_minute: 600,
            login_per_minute: 120,
            register_per_minute: 60,
            admin_per_minute: 6_000,
        }
    }
}

/// More is no limit.
const MOST: u32 = 100_000_000;

impl RateLimits {
    pub(super) fn validate(&self) -> Result<(), Error> {
        if !(1..=100_000).contains(&self.failed_authentications_per_minute) {
            return Err(Error::invalid("rate_limits.failed_authentications_per_minute", "expected 1 to 100000"));
        }
        let limits = [
            ("token", self.token_per_minute),
            ("introspect", self.introspect_per_minute),
            ("revoke", self.revoke_per_minute),
            ("par", self.par_per_minute),
            ("policy", self.policy_per_minute),
            ("device", self.device_per_minute),
            ("authorize", self.authorize_per_minute),
            ("login", self.login_per_minute),
            ("register", self.register_per_minute),
            ("admin", self.admin_per_minute),
        ];
        match limits.iter().find(|(_, limit)| *limit > MOST) {
            Some((name, _)) => Err(Error::invalid(format!("rate_limits.{name}_per_minute"), "expected 0 to 100000000")),
            None => Ok(()),
        }
    }
}
