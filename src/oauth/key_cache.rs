//! The public keys of clients that authenticate by them: parsed once, and fetched again when their owner may have
//! changed them, though not more than once a minute.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use moka::future::Cache;
use tokio::sync::Mutex;

use super::AuthorizationServer;
use super::client_metadata::bound_algorithm;
use super::error::Error;
use super::json;
use super::jws::{Algorithm, KeySet};
use crate::domain::client::Origin;
use crate::domain::policy::ClientEntry;
use crate::outbound::{Ask, Trust};
use crate::store::{self, Dynamic, Store};

/// Fetched keys are believed for so long, and for longer while their owner cannot be reached.
const FRESH: SignedDuration = SignedDuration::from_mins(5);
const STALE: SignedDuration = SignedDuration::from_hours(1);
/// Between two fetches for one client.
const PAUSE: SignedDuration = SignedDuration::from_mins(1);
/// The largest JWK set, in bytes.
const MAX_SET: usize = 64 * 1024;
/// More clients than this are not remembered.
const MAX_CLIENTS: u64 = 10_000;

/// What a client signs with.
#[derive(Clone, Default)]
pub(super) struct Known {
    pub keys: Arc<KeySet>,
    /// The only one, if it registered one (K-05).
    pub algorithm: Option<Algorithm>,
}

#[derive(Default)]
struct State {
    /// Of the client's row; another one, and nothing here counts.
    revision: Option<i64>,
    known: Known,
    fetched: Option<Timestamp>,
    attempted: Option<Timestamp>,
}

/// By client id.
pub(super) struct KeyCache(Cache<String, Arc<Mutex<State>>>);

impl KeyCache {
    pub fn new() -> Self {
        Self(Cache::new(MAX_CLIENTS))
    }
}

impl AuthorizationServer {
    /// The keys of a client. `unknown` says that the keys so far did not include the one that was named.
    pub(super) async fn client_keys(&self, entry: &ClientEntry, unknown: bool) -> Result<Known, Error> {
        let now = self.inner.clock.now();
        let state = self.inner.dynamic.key_cache.0.get_with(entry.id.clone(), async { Arc::default() }).await;
        // who waits here for the same client gets what the first one fetched
        let mut state = state.lock().await;
        if state.revision != Some(entry.revision) {
            let algorithm = self.registered_algorithm(entry).await?;
            let keys = entry.client.jwks.as_object().and_then(|set| KeySet::parse(set).ok()).unwrap_or_default();
            let known = Known { keys: Arc::new(keys), algorithm };
            *state = State { revision: Some(entry.revision), known, fetched: None, attempted: None };
        }
        let Some(uri) = &entry.client.jwks_uri else { return Ok(state.known.clone()) };
        let older = |at: Option<Timestamp>, age: SignedDuration| at.is_none_or(|at| now.duration_since(at) >= age);
        if (unknown || older(state.fetched, FRESH)) && older(state.attempted, PAUSE) {
            state.attempted = Some(now);
            match self.fetch_keys(entry, uri).await {
                Some(keys) => {
                    state.known.keys = Arc::new(keys);
                    state.fetched = Some(now);
                }
                None if older(state.fetched, STALE) => state.known.keys = Arc::default(),
                None => {}
            }
        }
        Ok(state.known.clone())
    }

    async fn fetch_keys(&self, entry: &ClientEntry, uri: &str) -> Option<KeySet> {
        let trust = if self.is_configuration(entry) { Trust::Configuration } else { Trust::Stranger };
        let accept = "application/jwk-set+json, application/json";
        let fetched = self.inner.dynamic.outbound.get(&Ask { url: uri, trust, accept, limit: MAX_SET }).await;
        let fetched = fetched.inspect_err(|error| {
            let error: &(dyn std::error::Error + 'static) = error;
            tracing::warn!(event = "client_keys_unreachable", client_id = entry.id, error);
        });
        json::object(&fetched.ok()?.body).and_then(|set| KeySet::parse(&set).ok())
    }

    /// Whether the administrator vouches for what a client's row names (`outbound.allowed_private`).
    fn is_configuration(&self, entry: &ClientEntry) -> bool {
        let trusts =
            |namespace: &str| self.inner.dynamic.trusted.as_ref().is_none_or(|trusted| trusted.contains(namespace));
        Origin::of(&entry.id) == Origin::Managed && entry.owner.as_ref().is_none_or(|owner| trusts(&owner.namespace))
    }

    async fn registered_algorithm(&self, entry: &ClientEntry) -> Result<Option<Algorithm>, Error> {
        let kind = match Origin::of(&entry.id) {
            Origin::Managed => return Ok(None),
            Origin::Registered => Dynamic::Registration,
            Origin::Document => Dynamic::Document,
        };
        let (store, id) = (&self.inner.store, entry.id.as_str());
        let metadata = self.inner.patience.hold(|| metadata(store, kind, id)).await?;
        Ok(metadata.and_then(|text| bound_algorithm(&serde_json::from_str(&text).unwrap_or_default())))
    }
}

async fn metadata(store: &Store, kind: Dynamic, id: &str) -> Result<Option<String>, store::Error> {
    store.read().await?.dynamic_metadata(kind, id).await
}
