//! Section `exchange`: tokens made from tokens.

use serde::{Deserialize, Serialize};

use super::Error;

/// Token exchange (RFC 8693). Variables `HOLDFAST_EXCHANGE__…`. Who may exchange is said by resource servers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Exchange {
    /// How often a token may be exchanged on, counted from the first. A client's `agent.maxDelegationDepth` can only
    /// lower it. Default 4, 1 to 16.
    pub max_depth: i64,
}

impl Default for Exchange {
    fn default() -> Self {
        Self { max_depth: 4 }
    }
}

impl Exchange {
    pub(super) fn validate(&self) -> Result<(), Error> {
        if (1..=16).contains(&self.max_depth) {
            return Ok(());
        }
        Err(Error::invalid("exchange.max_depth", "expected 1 to 16"))
    }
}
