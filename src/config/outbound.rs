//! Section `outbound`: what this server fetches from elsewhere.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Error;

/// Fetching. Proxy variables are ignored: a proxy would dial for us. Variables `HOLDFAST_OUTBOUND__…`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outbound {
    /// Host names and networks of one's own that configuration and resources of trusted namespaces may name. Strangers
    /// never may. Default none.
    pub allowed_private: Vec<String>,
    /// File with more certificate authorities, in PEM. Default none.
    pub ca_file: Option<PathBuf>,
    /// Lets everybody name addresses on loopback. For development on one machine only. Default false.
    pub loopback: bool,
}

impl Outbound {
    pub(super) fn validate(&self) -> Result<(), Error> {
        let network = |text: &String| text.parse::<ipnet::IpNet>().is_ok() || text.parse::<std::net::IpAddr>().is_ok();
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
        let host = |text: &String| text.bytes().all(inner) && text.bytes().any(|b| b.is_ascii_lowercase());
        if self.allowed_private.iter().all(|text| network(text) || host(text)) {
            return Ok(());
        }
        let problem = "expected host names in lower case, or networks such as 10.0.0.0/8";
        Err(Error::invalid("outbound.allowed_private", problem))
    }
}
