//! The protocol: client authentication, one file a grant, introspection, revocation, metadata, signing keys.

mod api_key;
mod authorize;
mod client_assertion;
mod client_auth;
mod client_metadata;
mod consent;
mod credentials;
mod denials;
mod device;
mod document;
mod document_client;
mod dpop;
mod dynamic;
mod error;
mod form;
mod grant;
mod introspect;
mod json;
pub mod jws;
mod key_cache;
mod keys;
mod last_used;
mod limit;
mod lookup;
mod metadata;
mod mint;
mod patience;
mod public_key;
mod pushed;
mod refusals;
mod register;
mod request;
mod revoke;
mod runtime;
mod service_account;
mod signer;
mod token;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

pub use self::api_key::{Administrator, Role};
pub use self::authorize::{Choice, ConsentPage, Decision, Progress, Refused, Return, Visitor};
pub use self::client_metadata::{Fault, RedirectPolicy};
pub use self::consent::{ConsentSummary, Withdraw, withdraw};
pub use self::credentials::Presented;
pub use self::device::{DeviceAuthorization, DeviceDecided, DeviceOptions, DevicePrompt, DeviceRequest};
pub use self::document::Document;
pub use self::document_client::{DocumentOptions, Domains, Verdict};
pub use self::dpop::{DpopOptions, Shown};
pub use self::dynamic::DynamicParts;
pub use self::error::Error;
pub use self::form::{Form, pairs};
pub use self::grant::authorization_code::Authorized;
pub use self::introspect::Introspection;
pub use self::keys::{FolderError, Kept, KeyChange, KeySettings, KeysWanted, ListedKey};
pub use self::limit::{ClientEndpoint, ClientLimits};
use self::metadata::Offered;
pub use self::metadata::path;
pub use self::pushed::{PushRequest, PushResponse, PushedRules};
pub use self::register::invitation;
pub use self::register::{Mode, Registered, RegistrationError, RegistrationOptions, kept_mode, set_mode};
pub use self::request::{AboutToken, Asked, Grant, TokenRequest};
pub use self::revoke::{Revocation, Revoked};
pub use self::runtime::Acting;
pub use self::token::{Issued, TokenResponse};
use crate::domain::clock::{Clock, Entropy};
pub use crate::domain::decide::exchange::ExchangeKind;
use crate::domain::resource_server::SigningAlgorithm;
use crate::domain::reviewer::Reviewer;
use crate::limit::Limiter;
use crate::seal::{Mac, Sealer};
pub use crate::store::Ended;
use crate::store::Store;

/// What the server is made of.
pub struct Parts {
    /// Open, migrated and loaded.
    pub store: Store,
    pub sealer: Sealer,
    pub keys: KeySettings,
    /// `iss` of every token, without a slash at its end.
    pub issuer: String,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// Failed authentications in a minute from one address, above which it must wait.
    pub failures_per_minute: u32,
    /// Requests of one client in a minute.
    pub limits: ClientLimits,
    /// Requests that may wait for the database at once.
    pub max_waiting: usize,
    pub dpop: DpopOptions,
    pub device: DeviceOptions,
    /// How often a token may be exchanged on, at most.
    pub max_exchanges: i64,
    /// How long a used refresh token is answered with the same successor; later it ends its family.
    pub refresh_grace: Duration,
    /// Pushed authorization requests (RFC 9126).
    pub pushed_requests: PushedRules,
    pub dynamic: DynamicParts,
    /// Who knows service accounts; `None` without a cluster.
    pub reviewer: Option<Arc<dyn Reviewer>>,
}

/// The authorization server. Cheap to clone.
#[derive(Clone)]
pub struct AuthorizationServer {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    issuer: String,
    home: metadata::Issuer,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    keys: keys::Keys,
    failures: Limiter<IpAddr>,
    budgets: limit::Budgets,
    refusals: refusals::Refusals,
    denials: denials::Denials,
    patience: patience::Patience,
    dpop: dpop::Nonces,
    device: DeviceOptions,
    /// What user codes are kept under.
    user_codes: Mac,
    tries: device::Tries,
    max_exchanges: i64,
    dynamic: dynamic::DynamicClients,
    /// With and without registration.
    metadata: [Document; 2],
    /// What refresh tokens are derived with.
    successors: Mac,
    refresh_grace: SignedDuration,
    pushed_requests: PushedRules,
    service_accounts: service_account::ServiceAccounts,
    last_used: last_used::LastUsed,
}

impl AuthorizationServer {
    /// Loads the signing keys, or makes them if there never were any.
    ///
    /// # Errors
    /// When the issuer is no URL, or a key cannot be read; then none is made.
    pub async fn new(parts: Parts) -> Result<Self, Error> {
        let home = metadata::Issuer::parse(&parts.issuer)?;
        let dynamic = dynamic::DynamicClients::from(parts.dynamic);
        let (documents, must_push) = (dynamic.takes_documents(), parts.pushed_requests.required);
        let successors = parts.sealer.mac("refresh-token");
        let dpop = dpop::Nonces::new(&parts.sealer, parts.dpop);
        let user_codes = parts.sealer.mac("user-code");
        let keys = keys::Keys::open(&parts.store, parts.sealer, parts.keys, &*parts.clock).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                metadata: [true, false].map(|registration| {
                    metadata::issuer(&parts.issuer, &Offered { registration, documents, must_push })
                }),
                dynamic,
                successors,
                refresh_grace: SignedDuration::try_from(parts.refresh_grace).unwrap_or_default(),
                pushed_requests: parts.pushed_requests,
                service_accounts: service_account::ServiceAccounts::new(parts.reviewer, &parts.issuer),
                last_used: last_used::LastUsed::default(),
                keys,
                failures: Limiter::per_minute(parts.failures_per_minute),
                budgets: limit::Budgets::new(parts.limits),
                refusals: refusals::Refusals::default(),
                denials: denials::Denials::default(),
                patience: patience::Patience::new(parts.max_waiting),
                dpop,
                device: parts.device,
                user_codes,
                tries: device::Tries::default(),
                max_exchanges: parts.max_exchanges,
                home,
                store: parts.store,
                issuer: parts.issuer,
                clock: parts.clock,
                entropy: parts.entropy,
            }),
        })
    }

    /// Policy and keys are in memory; the database is not asked.
    pub fn is_ready(&self) -> bool {
        self.inner.store.is_loaded()
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), Error> {
        self.inner.store.ping().await.map_err(Error::from)
    }

    /// Whether the snapshot follows the database.
    pub fn feed_is_healthy(&self) -> bool {
        self.inner.store.feed_healthy()
    }

    /// The active signing keys and how old they are, in seconds.
    pub fn key_ages(&self) -> Vec<(SigningAlgorithm, f64)> {
        let now: Timestamp = self.inner.clock.now();
        self.inner
            .keys
            .ages()
            .into_iter()
            .map(|(algorithm, made)| (algorithm, now.duration_since(made).as_secs_f64()))
            .collect()
    }

    /// Eight unpredictable bytes, to tell processes apart.
    ///
    /// # Errors
    /// When the system's random source fails.
    pub fn nonce(&self) -> Result<[u8; 8], Error> {
        let mut bytes = [0; 8];
        self.inner.entropy.fill(&mut bytes)?;
        Ok(bytes)
    }
}
