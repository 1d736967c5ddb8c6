//! Section `dpop`: how proofs of possession are looked at.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Error;

/// DPoP proofs (RFC 9449). Variables `HOLDFAST_DPOP__…`. Who must send one is said by resource servers and clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dpop {
    /// Whether a proof must carry a nonce of this server (RFC 9449 §8): one more round trip for a client's first
    /// request, and no proof can be made in advance. `never` or `required`. Default `never`.
    pub nonce: Nonce,
    /// How far `iat` of a proof may be from this server's clock. Default `1m`, 10 seconds to 5 minutes.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub proof_window: Duration,
}

/// See [`Dpop::nonce`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nonce {
    #[default]
    Never,
    Required,
}

impl Default for Dpop {
    fn default() -> Self {
        Self { nonce: Nonce::Never, proof_window: Duration::from_secs(60) }
    }
}

impl Dpop {
    pub(super) fn validate(&self) -> Result<(), Error> {
        if (Duration::from_secs(10)..=Duration::from_secs(300)).contains(&self.proof_window) {
            return Ok(());
        }
        Err(Error::invalid("dpop.proof_window", "expected 10s to 5m"))
    }
}
