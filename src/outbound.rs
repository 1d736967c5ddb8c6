//! The one HTTP client: whatever is fetched because somebody named a URL is fetched here.
//!
//! A name is resolved once, every answer is looked at, and only what was looked at is dialled; no redirect is followed,
//! no proxy is used (it would dial for us), no connection is used twice, nothing is decompressed, and neither size nor
//! time is the other side's to choose (draft-ietf-oauth-client-id-metadata-document-02 §8.6, §8.7).

mod address;
mod guard;
mod private;
mod transit;

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderName};

pub use self::address::is_public;
pub use self::guard::{Resolver, SystemResolver};
pub use self::private::{NotPrivate, Private};
pub use self::transit::{Transit, TransitAuthentication, TransitError, TransitOptions, TransitVersion};
use guard::Guard;

/// A connection has to stand within this.
const CONNECT: Duration = Duration::from_secs(2);

/// Who named the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Anybody: only the public internet, only https, no address in the place of a name.
    Stranger,
    /// The administrator, by configuration or in a trusted namespace: also what `outbound.allowed_private` lists.
    Configuration,
}

/// How the outside is reached.
pub struct Options {
    /// `outbound.allowed_private`.
    pub allowed_private: Vec<Private>,
    /// Lets everybody name loopback addresses, and http there. Development and tests only.
    pub loopback: bool,
    /// More certificate authorities, in PEM.
    pub authorities: Vec<u8>,
    pub resolver: Arc<dyn Resolver>,
    /// From the first question for an address to the last byte.
    pub deadline: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            allowed_private: Vec::new(),
            loopback: false,
            authorities: Vec::new(),
            resolver: Arc::new(SystemResolver),
            deadline: Duration::from_secs(5),
        }
    }
}

/// What is fetched.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    pub url: &'a str,
    pub trust: Trust,
    /// The `Accept` header.
    pub accept: &'static str,
    /// The largest body, in bytes.
    pub limit: usize,
}

/// A 200 with its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    pub body: Vec<u8>,
    pub content_type: Option<String>,
    pub cache_control: Option<String>,
}

/// Why nothing was fetched. For our log alone: told to a stranger, it would map our network (CI-20).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to prepare the HTTP client")]
    Client(#[source] Arc<reqwest::Error>),
    #[error("failed to read the URL")]
    Url(#[source] url::ParseError),
    /// A special-purpose address, an address in the place of a name, or a scheme that is not https.
    #[error("failed to fetch: the URL leads to where strangers must not send us")]
    Forbidden,
    #[error("failed to resolve the host")]
    Unresolved(#[source] Arc<std::io::Error>),
    #[error("failed to fetch")]
    Unreachable(#[source] reqwest::Error),
    #[error("failed to fetch: status {0}")]
    Status(u16),
    #[error("failed to fetch: the body is compressed")]
    Compressed,
    #[error("failed to fetch: more than {0} bytes")]
    TooLarge(usize),
    #[error("failed to fetch: took longer than {} s", .0.as_secs())]
    TooSlow(Duration),
}

/// The client. Cheap to clone.
#[derive(Clone)]
pub struct Outbound {
    inner: Arc<Inner>,
}

struct Inner {
    strangers: Door,
    configuration: Door,
    deadline: Duration,
}

/// One client for each who may be named: the guard is part of it.
struct Door {
    guard: Guard,
    client: Result<reqwest::Client, Arc<reqwest::Error>>,
}

impl Outbound {
    /// A host without any certificate authority can fetch nothing, and says so with each fetch; it serves all the same.
    pub fn new(options: Options) -> Self {
        let Options { allowed_private, loopback, authorities, resolver, deadline } = options;
        let allowed: Arc<[Private]> = allowed_private.into();
        let door = |trust| {
            let (allowed, resolver) = (Arc::clone(&allowed), Arc::clone(&resolver));
            let guard = Guard { trust, allowed, loopback, resolver };
            Door { client: client(&guard, &authorities).map_err(Arc::new), guard }
        };
        let (strangers, configuration) = (door(Trust::Stranger), door(Trust::Configuration));
        Self { inner: Arc::new(Inner { strangers, configuration, deadline }) }
    }

    /// Whether anything can be fetched at all.
    pub fn is_usable(&self) -> bool {
        self.inner.strangers.client.is_ok()
    }

    /// `GET`, with everything that is said above.
    ///
    /// # Errors
    /// Whenever there is no 200 with a small enough body in time.
    pub async fn get(&self, ask: &Ask<'_>) -> Result<Fetched, Error> {
        let door = match ask.trust {
            Trust::Stranger => &self.inner.strangers,
            Trust::Configuration => &self.inner.configuration,
        };
        let deadline = self.inner.deadline;
        tokio::time::timeout(deadline, door.get(ask)).await.unwrap_or(Err(Error::TooSlow(deadline)))
    }
}

impl Door {
    async fn get(&self, ask: &Ask<'_>) -> Result<Fetched, Error> {
        let client = self.client.as_ref().map_err(|error| Error::Client(Arc::clone(error)))?;
        let url = url::Url::parse(ask.url).map_err(Error::Url)?;
        // an address in the place of a name never reaches the resolver
        self.guard.examine(&url)?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let sent = client.get(url).header(ACCEPT, ask.accept).send().await;
        let mut response = sent.map_err(Error::Unreachable)?;
        if !response.remote_addr().is_some_and(|peer| self.guard.permits(&host, peer.ip())) {
            return Err(Error::Forbidden);
        }
        if response.status() != reqwest::StatusCode::OK {
            return Err(Error::Status(response.status().as_u16()));
        }
        let header = |name: HeaderName| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let (content_type, cache_control) = (header(CONTENT_TYPE), header(CACHE_CONTROL));
        if header(CONTENT_ENCODING).is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
            return Err(Error::Compressed);
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(Error::Unreachable)? {
            if body.len() + chunk.len() > ask.limit {
                return Err(Error::TooLarge(ask.limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Fetched { body, content_type, cache_control })
    }
}

fn client(guard: &Guard, authorities: &[u8]) -> reqwest::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .dns_resolver(Arc::new(guard.clone()))
        .no_proxy()
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only()
        .pool_max_idle_per_host(0)
        .connect_timeout(CONNECT)
        .user_agent(concat!("holdfast/", env!("CARGO_PKG_VERSION")));
    if !authorities.is_empty() {
        builder = builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(authorities)?);
    }
    builder.build()
}
