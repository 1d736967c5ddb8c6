//! Clients that a document at the URL of their id describes (draft-ietf-oauth-client-id-metadata-document-02).
//!
//! The document is fetched through the guarded client, judged, and kept as the client's row, so that from then on it is
//! a client like every other. It is fetched again when it is no longer fresh; failures are kept by nobody. Of what goes
//! wrong a stranger learns nothing but that there is no such client (CI-20). A logo is neither fetched nor shown: a
//! picture of the client's choosing on a page of ours helps nobody but a forger (CI-16).

mod fetch;
mod id;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::time::Instant;

use super::AuthorizationServer;
use super::client_metadata::{Metadata, RedirectPolicy};
use super::error::Error;
use crate::domain::actor::Actor;
use crate::domain::audit::{AuditKind, Record};
use crate::domain::client::{AuthenticationMethod, Client, Origin};
use crate::domain::observer::{ClientSource, Suppressed};
use crate::domain::owner::Kind;
use crate::domain::policy::{ClientEntry, Policy};
use crate::domain::refusal::Refusal;
use crate::domain::spec::Spec;
use crate::limit::Limiter;
use crate::store::{self, ClientDocument, Dynamic, Revoke, RevokeCause, Store};

/// How documents are dealt with.
#[derive(Debug, Clone)]
pub struct DocumentOptions {
    pub enabled: bool,
    pub domains: Domains,
    /// Redirect URIs, but those on loopback and of private-use schemes, must be on the document's host.
    pub same_host: bool,
    pub redirects: RedirectPolicy,
    /// For how long a document is fresh at least and at most.
    pub fresh: (SignedDuration, SignedDuration),
    /// For how long after that existing grants go on with it.
    pub last_good: SignedDuration,
    pub max_clients: i64,
    /// Fetches in a minute.
    pub per_source: u32,
    pub per_host: u32,
}

/// Whose documents are believed (CI-19).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Domains {
    pub allowed: BTreeSet<String>,
    pub denied: BTreeSet<String>,
    pub others: Verdict,
}

/// What is thought of a domain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Verdict {
    #[default]
    Allowed,
    /// Allowed, and people are told that nobody here knows it.
    Warned,
    Denied,
}

impl Domains {
    /// A domain stands for itself and all names below it; who is denied is denied also below who is allowed.
    pub fn judge(&self, host: &str) -> Verdict {
        // an id may write the host as it likes
        let host = host.to_ascii_lowercase();
        let lists = |list: &BTreeSet<String>| {
            let below = |domain: &String| {
                host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            };
            list.iter().any(below)
        };
        match (lists(&self.denied), lists(&self.allowed)) {
            (true, _) => Verdict::Denied,
            (_, true) => Verdict::Allowed,
            _ => self.others,
        }
    }
}

/// What is needed to fetch documents.
pub(super) struct Documents {
    pub options: DocumentOptions,
    sources: Limiter<IpAddr>,
    hosts: Limiter<String>,
    flights: Flights,
}

impl Documents {
    pub fn new(options: DocumentOptions) -> Self {
        Self {
            sources: Limiter::per_minute(options.per_source),
            hosts: Limiter::per_minute(options.per_host),
            flights: Flights::default(),
            options,
        }
    }
}

/// When the last fetch of a document failed, for those who waited for it.
type Flight = tokio::sync::Mutex<Option<Instant>>;

/// One fetch of a document at a time; whoever comes meanwhile waits, and shares what comes of it.
#[derive(Default)]
struct Flights(Mutex<HashMap<String, Weak<Flight>>>);

impl Flights {
    fn of(&self, id: &str) -> Arc<Flight> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        flights.retain(|_, flight| flight.strong_count() > 0);
        if let Some(flight) = flights.get(id).and_then(Weak::upgrade) {
            return flight;
        }
        let flight = Arc::default();
        flights.insert(id.to_owned(), Arc::downgrade(&flight));
        flight
    }
}

impl AuthorizationServer {
    /// The client that has this id, wherever it comes from; a document is fetched when there is none that is fresh.
    ///
    /// # Errors
    /// `UnknownClient` for whatever is wrong with it, too many fetches, or a database that is away.
    pub async fn resolve_client(&self, id: &str, source: IpAddr) -> Result<Arc<ClientEntry>, Error> {
        let known = || self.inner.store.snapshot().client(id).cloned();
        if Origin::of(id) != Origin::Document {
            if let Some(entry) = known() {
                return Ok(entry);
            }
            self.inner.failures.count_source(source).map_err(|retry_after| Error::Limited { retry_after })?;
            self.inner.patience.hold(|| self.inner.store.reread(Kind::OAuthClient, id)).await?;
            return known().ok_or_else(|| Refusal::UnknownClient.into());
        }
        self.judge_document(id)?;
        if !self.is_fresh(id).await? || known().is_none() {
            self.inner.dynamic.documents.sources.count_source(source).map_err(|retry_after| {
                self.inner.dynamic.observer.document_fetch_suppressed(Suppressed::Source);
                Error::Limited { retry_after }
            })?;
            self.refetch(id).await?;
        }
        known().ok_or_else(|| Refusal::UnknownClient.into())
    }

    /// Whether people are to be warned that nobody here knows where a document comes from.
    pub fn is_from_elsewhere(&self, id: &str) -> bool {
        let options = &self.inner.dynamic.documents.options;
        id::host(id).is_some_and(|host| options.domains.judge(host) == Verdict::Warned)
    }

    /// Whether grants of a client may go on: of one that a document describes, only while that is, or was not long ago,
    /// what the document says (CI-14, C-07).
    pub(super) async fn goes_on(&self, id: &str) -> Result<(), Error> {
        if Origin::of(id) != Origin::Document {
            return Ok(());
        }
        self.judge_document(id)?;
        let found = Box::pin(self.document(id)).await?;
        let Some(document) = found else { return Err(Error::of(Refusal::UnknownClient, id)) };
        let (now, last_good) = (self.inner.clock.now(), self.inner.dynamic.documents.options.last_good);
        if now < document.fresh_until {
            return Ok(());
        }
        if document.fresh_until.saturating_add(last_good).is_ok_and(|end| now < end) {
            // the client need not wait for its own web server
            let (server, id) = (self.clone(), id.to_owned());
            tokio::spawn(async move {
                if server.inner.dynamic.documents.flights.of(&id).try_lock().is_ok() {
                    // what goes wrong is logged where it does
                    let _ = server.refetch(&id).await;
                }
            });
            return Ok(());
        }
        Box::pin(self.refetch(id)).await
    }

    /// Refuses ids that are no such URL, and domains that are not believed, before anything is asked of anybody.
    fn judge_document(&self, id: &str) -> Result<(), Error> {
        let options = &self.inner.dynamic.documents.options;
        let host = id::host(id).filter(|_| options.enabled);
        match host.map(|host| options.domains.judge(host)) {
            Some(Verdict::Allowed | Verdict::Warned) => Ok(()),
            Some(Verdict::Denied) => {
                self.inner.dynamic.observer.document_fetch_suppressed(Suppressed::Domain);
                Err(Error::of(Refusal::UnknownClient, id))
            }
            None => Err(Refusal::UnknownClient.into()),
        }
    }

    async fn document(&self, id: &str) -> Result<Option<ClientDocument>, Error> {
        let store = &self.inner.store;
        self.inner.patience.hold(|| document(store, id)).await
    }

    async fn is_fresh(&self, id: &str) -> Result<bool, Error> {
        let now = self.inner.clock.now();
        Ok(self.document(id).await?.is_some_and(|document| now < document.fresh_until))
    }

    /// Fetches the document unless somebody does so already.
    async fn refetch(&self, id: &str) -> Result<(), Error> {
        let came = Instant::now();
        let flight = self.inner.dynamic.documents.flights.of(id);
        let mut failed = flight.lock().await;
        let shared = failed.is_some_and(|at| at >= came);
        if shared || self.is_fresh(id).await? {
            self.inner.dynamic.observer.document_fetch_suppressed(Suppressed::Shared);
            let refused = || Err(Error::of(Refusal::UnknownClient, id));
            return if shared { refused() } else { self.reread_client(id).await };
        }
        let fetched = self.fetch_and_keep(id).await;
        *failed = fetched.is_err().then(Instant::now);
        fetched
    }

    async fn fetch_and_keep(&self, id: &str) -> Result<(), Error> {
        let documents = &self.inner.dynamic.documents;
        let suppressed = |why| {
            self.inner.dynamic.observer.document_fetch_suppressed(why);
            Err(Error::of(Refusal::UnknownClient, id))
        };
        if documents.hosts.count(&id::host(id).unwrap_or_default().to_ascii_lowercase()).is_err() {
            return suppressed(Suppressed::Host);
        }
        let (metadata, fresh) = self.fetch_document(id).await?;
        let now = self.inner.clock.now();
        let (store, most) = (&self.inner.store, documents.options.max_clients);
        let document = ClientDocument {
            client_id: id.to_owned(),
            metadata: Value::Object(metadata.told()).to_string(),
            fetched_at: now,
            fresh_until: now.saturating_add(fresh).unwrap_or(Timestamp::MAX),
        };
        match self.inner.patience.hold(|| keep(store, &document, &metadata, most)).await? {
            Kept::Full => return suppressed(Suppressed::Full),
            Kept::New => self.inner.dynamic.observer.client_registered(ClientSource::Document),
            Kept::Known => {}
        }
        self.reread_client(id).await
    }

    async fn reread_client(&self, id: &str) -> Result<(), Error> {
        self.inner.patience.hold(|| self.inner.store.reread(Kind::OAuthClient, id)).await
    }
}

/// What became of a document.
enum Kept {
    New,
    Known,
    /// There is no room for one more.
    Full,
}

async fn document(store: &Store, id: &str) -> Result<Option<ClientDocument>, store::Error> {
    store.read().await?.client_document(id).await
}

async fn keep(store: &Store, document: &ClientDocument, metadata: &Metadata, most: i64) -> Result<Kept, store::Error> {
    match write(store, document, metadata, most).await {
        // another replica was first
        Err(store::Error::Conflict { .. }) => write(store, document, metadata, most).await,
        other => other,
    }
}

/// Writes what the document says.
async fn write(store: &Store, document: &ClientDocument, metadata: &Metadata, most: i64) -> Result<Kept, store::Error> {
    let (id, now) = (document.client_id.as_str(), document.fetched_at);
    let who = Actor::client(id);
    let mut tx = store.write(&who).await?;
    tx.lock_entity(Kind::OAuthClient, id).await?;
    let described = metadata.client();
    let client = match tx.entity(Kind::OAuthClient, id).await?.map(|entity| entity.spec) {
        Some(Spec::Client(known)) => {
            let keyed = |client: &Client| client.authentication_method == AuthenticationMethod::PrivateKeyJWT;
            if keyed(&known) && !keyed(&described) {
                // what a key protected must not be had without one (CI-12, CI-15)
                tx.revoke(Revoke::Client(id), RevokeCause::SecretRevoked, now).await?;
            }
            tx.put(id, &Spec::Client(known.described_as(&described)), None, now).await?;
            tx.put_client_document(document).await?;
            tx.commit().await?;
            return Ok(Kept::Known);
        }
        _ => described,
    };
    if tx.count_dynamic(Dynamic::Document).await? >= most && tx.evict_dynamic(Dynamic::Document, now).await?.is_none() {
        return Ok(Kept::Full);
    }
    tx.put(id, &Spec::Client(client), None, now).await?;
    tx.put_client_document(document).await?;
    tx.audit(AuditKind::ClientRegistered, &Record { client_id: Some(id), ..Record::new(now, who) }).await?;
    tx.commit().await?;
    Ok(Kept::New)
}

#[cfg(test)]
mod tests;
