//! What the server keeps for clients that it does not know by policy alone: those that registered themselves, those that
//! a document describes, and those whose keys are elsewhere.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::AuthorizationServer;
use super::client_metadata::RedirectPolicy;
use super::document_client::{DocumentOptions, Documents, Domains};
use super::key_cache::KeyCache;
use super::register::{Mode, RegistrationOptions, Switch};
use crate::domain::actor::Actor;
use crate::domain::client::Origin;
use crate::domain::observer::{Observer, Unobserved};
use crate::limit::Limiter;
use crate::outbound::Outbound;
use crate::store::{self, Dynamic, Store};

/// How strangers are dealt with.
pub struct DynamicParts {
    pub registration: RegistrationOptions,
    pub documents: DocumentOptions,
    pub outbound: Outbound,
    pub observer: Arc<dyn Observer>,
    /// Namespaces whose authors are as powerful as the administrator; `None` = all.
    pub trusted: Option<BTreeSet<String>>,
}

impl Default for DynamicParts {
    fn default() -> Self {
        let redirects = RedirectPolicy {
            private_use_schemes: ["cursor", "vscode"].map(str::to_owned).into(),
            ..RedirectPolicy::default()
        };
        Self {
            registration: RegistrationOptions {
                mode: Mode::ApprovedRedirects,
                redirects: redirects.clone(),
                max_clients: 10_000,
                per_hour: 60,
            },
            documents: DocumentOptions {
                enabled: true,
                domains: Domains::default(),
                same_host: false,
                redirects,
                fresh: (SignedDuration::from_mins(5), SignedDuration::from_hours(24)),
                last_good: SignedDuration::from_hours(168),
                max_clients: 10_000,
                per_source: 30,
                per_host: 60,
            },
            outbound: Outbound::new(crate::outbound::Options::default()),
            observer: Arc::new(Unobserved),
            trusted: None,
        }
    }
}

pub(super) struct DynamicClients {
    pub registration: RegistrationOptions,
    pub switch: Switch,
    /// By source address.
    pub registrations: Limiter<IpAddr>,
    pub documents: Documents,
    pub key_cache: KeyCache,
    pub outbound: Outbound,
    pub observer: Arc<dyn Observer>,
    pub trusted: Option<BTreeSet<String>>,
    used: Mutex<HashMap<String, Timestamp>>,
}

impl From<DynamicParts> for DynamicClients {
    fn from(parts: DynamicParts) -> Self {
        Self {
            switch: Switch::new(parts.registration.mode),
            registrations: Limiter::per_hour(parts.registration.per_hour),
            registration: parts.registration,
            documents: Documents::new(parts.documents),
            key_cache: KeyCache::new(),
            outbound: parts.outbound,
            observer: parts.observer,
            trusted: parts.trusted,
            used: Mutex::default(),
        }
    }
}

impl DynamicClients {
    /// Whether `https://…` ids are looked up at all.
    pub fn takes_documents(&self) -> bool {
        self.documents.options.enabled && self.outbound.is_usable()
    }

    /// Whether a use of this client is news: once an hour.
    fn is_news(&self, id: &str, now: Timestamp) -> bool {
        const MANY: usize = 100_000;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.get(id).is_some_and(|at| now.duration_since(*at) < SignedDuration::from_hours(1)) {
            return false;
        }
        if used.len() >= MANY {
            used.clear();
        }
        used.insert(id.to_owned(), now);
        true
    }
}

impl AuthorizationServer {
    /// Remembers, to the hour, that a client that nobody applied got a token: it is not collected as unused.
    pub(super) async fn note_use(&self, id: &str) {
        let kind = match Origin::of(id) {
            Origin::Managed => return,
            Origin::Registered => Dynamic::Registration,
            Origin::Document => Dynamic::Document,
        };
        let now = self.inner.clock.now();
        if self.inner.dynamic.is_news(id, now)
            && let Err(error) = Box::pin(note(&self.inner.store, kind, id, now)).await
        {
            let error: &(dyn std::error::Error + 'static) = &error;
            tracing::warn!(event = "client_use_not_noted", client_id = id, error);
        }
    }
}

async fn note(store: &Store, kind: Dynamic, id: &str, now: Timestamp) -> Result<(), store::Error> {
    let mut tx = store.write(&Actor::server()).await?;
    tx.use_dynamic(kind, id, now).await?;
    tx.commit().await
}
