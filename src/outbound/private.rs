//! The exceptions from configuration: hosts and networks of one's own.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// A host name or a network of `outbound.allowed_private`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Private {
    /// Exactly this name, in lower case.
    Host(String),
    Network(IpNet),
}

/// Neither a host name nor a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a host name in lower case, or a network such as 10.0.0.0/8")]
pub struct NotPrivate;

impl FromStr for Private {
    type Err = NotPrivate;

    fn from_str(text: &str) -> Result<Self, NotPrivate> {
        if let Ok(network) = text.parse() {
            return Ok(Self::Network(network));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Network(address.into()));
        }
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
        let named = !text.is_empty() && text.bytes().all(inner) && text.bytes().any(|b| b.is_ascii_lowercase());
        if named { Ok(Self::Host(text.to_owned())) } else { Err(NotPrivate) }
    }
}

impl Private {
    /// Whether it covers this address of this host.
    pub(super) fn covers(&self, host: &str, address: IpAddr) -> bool {
        match self {
            Self::Host(name) => name == host,
            Self::Network(network) => network.contains(&address.to_canonical()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_or_a_network_covers_only_itself() {
        let covers = |text: &str, host: &str, address: &str| {
            text.parse::<Private>().unwrap().covers(host, address.parse().unwrap())
        };
        assert!(covers("idp.corp", "idp.corp", "10.0.0.1") && !covers("idp.corp", "x.idp.corp", "10.0.0.1"));
        assert!(covers("10.0.0.0/8", "any", "::ffff:10.1.2.3") && !covers("10.0.0.0/8", "any", "11.0.0.1"));
        assert!(covers("10.0.0.7", "any", "10.0.0.7") && !covers("10.0.0.7", "any", "10.0.0.8"));
        for bad in ["", "*", "10.0.0.0/33", "IDP.corp", "a b", "http://a"] {
            assert_eq!(bad.parse::<Private>(), Err(NotPrivate), "{bad}");
        }
    }
}
