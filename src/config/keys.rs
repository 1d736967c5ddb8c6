//! Section `keys`: where the master key lives that encrypts keys at rest.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Error;

/// Keys at rest. Variables `HOLDFAST_KEYS__…`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// File with the master key; made once, with mode 0600, when the database is new.
    /// Default `master.key` in `$XDG_DATA_HOME/holdfast`, or in `~/.local/share/holdfast`.
    pub master_key_file: Option<PathBuf>,
    /// Secret of the operator's namespace with the master key, instead of a file; made once. Needs a cluster. Default none.
    pub master_key_secret: Option<String>,
}

impl Keys {
    pub(super) fn validate(&self, cluster: bool) -> Result<(), Error> {
        match (&self.master_key_file, &self.master_key_secret) {
            (Some(_), Some(_)) => {
                Err(Error::invalid("keys", "master_key_file and master_key_secret exclude each other"))
            }
            (None, Some(_)) if !cluster => {
                Err(Error::invalid("keys.master_key_secret", "needs a cluster (operator.enabled: true)"))
            }
            _ => Ok(()),
        }
    }
}
