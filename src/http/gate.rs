//! What every request passes first: where it really comes from, and whether too many come from there.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request};
use axum::http::HeaderMap;
use axum::response::Response;
use ipnet::IpNet;

use super::observe::Told;
use super::respond;
use crate::limit::Limiter;
use crate::metrics::Endpoint;

/// More hops than this are not a chain of proxies.
const MOST_HOPS: usize = 32;

/// What configuration says about sources.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Whose forwarding headers are believed (`server.trusted_proxies`).
    pub trusted_proxies: Vec<IpNet>,
    /// Requests of one source in a minute, by endpoint; what is not named has no limit.
    pub per_minute: Vec<(Endpoint, u32)>,
}

/// The answer to a browser that comes too often.
pub(super) type Page = Arc<dyn Fn(u64) -> Response + Send + Sync>;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Gate {
    inner: Arc<Inner>,
}

struct Inner {
    trusted: Vec<IpNet>,
    limits: Vec<(Endpoint, Limiter<IpAddr>)>,
    page: Option<Page>,
}

impl Gate {
    /// `page` answers at the endpoints that people see.
    pub fn new(sources: Sources, page: Option<Page>) -> Self {
        let limit = |(endpoint, per_minute): (Endpoint, u32)| {
            (per_minute > 0).then(|| (endpoint, Limiter::per_minute(per_minute)))
        };
        let limits = sources.per_minute.into_iter().filter_map(limit).collect();
        let inner = Inner { trusted: sources.trusted_proxies, limits, page };
        Self { inner: Arc::new(inner) }
    }

    /// Puts the source that counts in the place of the peer, for everybody who asks later.
    pub fn place(&self, request: &mut Request) -> Option<IpAddr> {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>()?.0.ip().to_canonical();
        if !self.trusts(peer) {
            return Some(peer);
        }
        let source = self.behind(peer, request.headers());
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(source, 0)));
        Some(source)
    }

    /// 429 for a source that sends too many requests to this endpoint.
    pub fn refuse(&self, endpoint: Option<Endpoint>, source: Option<IpAddr>) -> Option<Response> {
        let (endpoint, source) = (endpoint?, source?);
        let (_, limit) = self.inner.limits.iter().find(|(limited, _)| *limited == endpoint)?;
        let seconds = limit.count_source(source).err()?.as_secs() + 1;
        let mut response = match &self.inner.page {
            Some(page) if is_for_people(endpoint) => page(seconds),
            _ => respond::throttled(Duration::from_secs(seconds - 1)),
        };
        response.extensions_mut().insert(Told::RateLimited { seconds });
        Some(response)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.inner.trusted.iter().any(|net| net.contains(&address))
    }

    /// The right-most hop that is no trusted proxy. A chain that cannot be read ends at its last trusted hop; two
    /// headers that tell different stories are both disbelieved, since a proxy writes one of them and passes the other
    /// on as a stranger wrote it.
    fn behind(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let told = |hops: Vec<String>| (!hops.is_empty()).then(|| self.walk(peer, &hops));
        match (told(hops(headers, "x-forwarded-for", plain)), told(hops(headers, "forwarded", forwarded))) {
            (Some(one), Some(other)) if one != other => peer,
            (Some(source), _) | (None, Some(source)) => source,
            (None, None) => peer,
        }
    }

    fn walk(&self, peer: IpAddr, hops: &[String]) -> IpAddr {
        let mut last = peer;
        for hop in hops.iter().rev().take(MOST_HOPS) {
            let Some(address) = address(hop) else { return last };
            last = address;
            if !self.trusts(address) {
                break;
            }
        }
        last
    }
}

const fn is_for_people(endpoint: Endpoint) -> bool {
    matches!(endpoint, Endpoint::Authorize | Endpoint::Login | Endpoint::Device)
}

/// The hops that a header names, in the order of its lines.
fn hops(headers: &HeaderMap, name: &str, read: fn(&str) -> String) -> Vec<String> {
    let lines = headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
    lines.flat_map(|line| line.split(',').map(read).collect::<Vec<_>>()).collect()
}

fn plain(hop: &str) -> String {
    hop.trim().to_owned()
}

/// The `for` of one element (RFC 7239 §4).
fn forwarded(element: &str) -> String {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let of = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    of.map(|(_, value)| value.trim().trim_matches('"').to_owned()).next().unwrap_or_default()
}

/// An address with or without port and brackets; `unknown` and hidden names are none.
fn address(hop: &str) -> Option<IpAddr> {
    let parsed = hop.parse::<IpAddr>().or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip()));
    let bare = || hop.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    parsed.ok().or_else(bare).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests;
