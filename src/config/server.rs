//! Section `server`: listeners and how they end.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Error;

/// Listeners. Variables `HOLDFAST_SERVER__…`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// OAuth endpoints, metadata and health.
    pub public: Public,
    /// Admin API, metrics and health.
    pub admin: Admin,
    /// Metrics alone.
    pub metrics: Metrics,
    /// Networks of proxies whose `X-Forwarded-For` and `Forwarded` are believed, e.g. `[10.0.0.0/8]`. Default none.
    pub trusted_proxies: Vec<String>,
    /// How long `/ready` says 503 before the listeners close, e.g. `10s`. Default `10s`, at most 10 minutes.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub shutdown_wait: Duration,
}

/// The public listener.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Public {
    /// Address and port. Default `127.0.0.1:9000`.
    pub listen: SocketAddr,
}

/// The admin listener.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Address and port. Default `127.0.0.1:9001`.
    pub listen: SocketAddr,
}

/// A listener that serves metrics alone, because a NetworkPolicy knows ports and not paths.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Address and port. Default none; the chart uses port 9002.
    pub listen: Option<SocketAddr>,
}

impl Default for Public {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9000)) }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9001)) }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            public: Public::default(),
            admin: Admin::default(),
            metrics: Metrics::default(),
            trusted_proxies: Vec::new(),
            shutdown_wait: Duration::from_secs(10),
        }
    }
}

impl Server {
    fn listeners(&self) -> impl Iterator<Item = SocketAddr> {
        [Some(self.public.listen), Some(self.admin.listen), self.metrics.listen].into_iter().flatten()
    }

    /// Whether anybody but this machine can connect.
    pub fn is_exposed(&self) -> bool {
        self.listeners().any(|address| !address.ip().is_loopback())
    }

    /// The networks of [`Self::trusted_proxies`]; a single address is a network of its own.
    pub fn proxies(&self) -> Result<Vec<IpNet>, Error> {
        let network = |text: &String| {
            let address = || text.parse::<IpAddr>().map(IpNet::from);
            let refuse =
                |_| Error::invalid("server.trusted_proxies", format!("{text} is neither an address nor a network"));
            text.parse::<IpNet>().or_else(|_| address()).map_err(refuse)
        };
        self.trusted_proxies.iter().map(network).collect()
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        self.proxies()?;
        if self.shutdown_wait > Duration::from_secs(600) {
            return Err(Error::invalid("server.shutdown_wait", "expected at most 10m"));
        }
        let mut seen = BTreeSet::new();
        match self.listeners().filter(|address| address.port() != 0).find(|address| !seen.insert(*address)) {
            Some(twice) => Err(Error::invalid("server", format!("two listeners have the address {twice}"))),
            None => Ok(()),
        }
    }
}
