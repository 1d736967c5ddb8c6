//! Section `par`: pushed authorization requests (RFC 9126).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Error;

/// Pushed authorization requests. Variables `HOLDFAST_PAR__…`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Par {
    /// Whether every client has to push its authorization requests. Default false.
    pub required: bool,
    /// Client ids that have to, whatever `required` says. Default none.
    pub required_clients: BTreeSet<String>,
    /// How long a pushed request can be used, in seconds. Default 60, 5 to 90.
    pub lifetime_seconds: i64,
}

impl Default for Par {
    fn default() -> Self {
        Self { required: false, required_clients: BTreeSet::new(), lifetime_seconds: 60 }
    }
}

impl Par {
    pub(super) fn validate(&self) -> Result<(), Error> {
        if (5..=90).contains(&self.lifetime_seconds) {
            return Ok(());
        }
        Err(Error::invalid("par.lifetime_seconds", "expected 5 to 90"))
    }
}
