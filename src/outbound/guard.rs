//! Names to addresses, each of them looked at before any of them is dialled.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::is_public;
use super::private::Private;
use super::{Error, Trust};

/// Where a name's addresses are asked for.
pub trait Resolver: Send + Sync {
    /// All addresses of a host name. A dot at its end says that no search domain is to be tried.
    fn resolve(&self, host: String) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>>;
}

/// The system's own resolver.
#[derive(Debug, Clone, Copy)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve(&self, host: String) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Decides what may be dialled; `reqwest` asks it for every connection and dials only what it answers, so that the
/// address that was looked at is the address that is used.
#[derive(Clone)]
pub(super) struct Guard {
    pub trust: Trust,
    pub allowed: Arc<[Private]>,
    /// Development and tests only.
    pub loopback: bool,
    pub resolver: Arc<dyn Resolver>,
}

impl Guard {
    pub fn permits(&self, host: &str, address: IpAddr) -> bool {
        is_public(address)
            || (self.loopback && address.to_canonical().is_loopback())
            || (self.trust == Trust::Configuration && self.allowed.iter().any(|p| p.covers(host, address)))
    }

    /// What is wrong with the host of a URL before any name is resolved. A stranger's URL names a host, never an
    /// address: the URL parser has already turned `0x7f.1` and `2130706433` into what they are.
    pub fn examine(&self, url: &url::Url) -> Result<(), Error> {
        let literal = |address: IpAddr| match self.trust {
            Trust::Stranger => self.loopback && address.to_canonical().is_loopback(),
            Trust::Configuration => self.permits(&address.to_string(), address),
        };
        let good = match url.host() {
            Some(url::Host::Ipv4(address)) => literal(address.into()),
            Some(url::Host::Ipv6(address)) => literal(address.into()),
            Some(url::Host::Domain(name)) => !name.ends_with('.') && (self.trusts_names() || name.contains('.')),
            None => false,
        };
        let secure = url.scheme() == "https" || (url.scheme() == "http" && self.trusts_names());
        let bare = url.username().is_empty() && url.password().is_none();
        if good && secure && bare { Ok(()) } else { Err(Error::Forbidden) }
    }

    fn trusts_names(&self) -> bool {
        self.loopback || self.trust == Trust::Configuration
    }

    async fn addresses(&self, host: &str) -> Result<Vec<SocketAddr>, Error> {
        // a name inside the cluster must not be reached by a search domain
        let asked = if self.trusts_names() { host.to_owned() } else { format!("{host}.") };
        let found = self.resolver.resolve(asked).await.map_err(|source| Error::Unresolved(source.into()))?;
        // one bad answer spoils the others: which of them is dialled would be the other side's choice
        if found.is_empty() || !found.iter().all(|address| self.permits(host, *address)) {
            return Err(Error::Forbidden);
        }
        Ok(found.into_iter().map(|address| SocketAddr::new(address, 0)).collect())
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let addresses = guard.addresses(name.as_str()).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
