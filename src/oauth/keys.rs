//! Signing keys: read once, followed ever after, never made because a read failed.
//!
//! Every algorithm has its key from the first start on, RS256 too: were it made when it is first needed, another
//! replica's key set would lack it for a while, and a token must verify from its first moment. The rows of the database
//! say which keys there are and where each is in its life, whatever store has the private halves.

mod folder;
mod keeper;
mod listed;
mod ring;
mod rotate;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;

use super::AuthorizationServer;
use super::document::Document;
use super::error::Error;
use super::public_key::ACCESS_TOKEN;
use crate::domain::actor::Actor;
use crate::domain::clock::Clock;
use crate::domain::observer::Observer;
use crate::domain::resource_server::SigningAlgorithm;
use crate::domain::signing_key::{KeyRotation, KeyState, KeyStore};
use crate::outbound::Transit;
use crate::seal::Sealer;
use crate::store::{SigningKey, Store, Topic};

pub use folder::FolderError;
pub use listed::ListedKey;
pub use rotate::{Kept, KeyChange, KeysWanted};

use folder::Folder;
use keeper::Keeper;
use ring::{Held, KeyRing};

/// Keys are read again so often even if nothing was heard of them.
const REREAD: Duration = Duration::from_secs(30);

/// A key set is kept by verifiers for so long at most, in seconds.
const LONGEST_CACHE: i64 = 300;

/// Where private halves are kept, and when they are replaced.
#[derive(Clone)]
pub struct KeySettings {
    pub rotation: KeyRotation,
    /// Of the store `file`.
    pub folder: Option<PathBuf>,
    /// Of the store `vault`, and what the names of its keys begin with.
    pub engine: Option<(Transit, String)>,
}

impl Default for KeySettings {
    /// In the database, an hour ahead, and only on request.
    fn default() -> Self {
        let publish_ahead = SignedDuration::from_hours(1);
        let rotation = KeyRotation { period: None, publish_ahead, store: KeyStore::Database };
        Self { rotation, folder: None, engine: None }
    }
}

/// The keys as they are at present, and how they come to be what they are next.
pub(super) struct Keys {
    ring: ArcSwap<KeyRing>,
    keeper: Keeper,
    rotation: KeyRotation,
    /// One read at a time, so that an older state never replaces a newer one.
    loading: Mutex<()>,
    /// Somebody wants the stores to be looked at now.
    look: Notify,
}

impl Keys {
    /// Loads the keys; makes the ones that were never made.
    ///
    /// # Errors
    /// When a key cannot be read, opened or parsed. Nothing is made then.
    pub async fn open(store: &Store, sealer: Sealer, settings: KeySettings, clock: &dyn Clock) -> Result<Self, Error> {
        let KeySettings { rotation, folder, engine } = settings;
        let keeper = Keeper { sealer, folder: folder.map(Folder), engine };
        let known = ensure(store, &keeper, rotation.store, clock).await?;
        let ring = ArcSwap::from_pointee(build(&known, &keeper, None).await?);
        Ok(Self { ring, keeper, rotation, loading: Mutex::default(), look: Notify::new() })
    }

    /// An access token with these claims, signed by the active key of that algorithm.
    ///
    /// # Errors
    /// When there is none, or its store cannot be reached.
    pub async fn sign(&self, algorithm: SigningAlgorithm, claims: &impl Serialize) -> Result<String, Error> {
        self.sign_as(ACCESS_TOKEN, algorithm, claims).await
    }

    /// The same of another type, which nobody takes for an access token.
    pub async fn sign_as(
        &self,
        typ: &str,
        algorithm: SigningAlgorithm,
        claims: &impl Serialize,
    ) -> Result<String, Error> {
        let (half, token) = self.ring.load().begin(algorithm, (typ, claims))?;
        half.sign(token).await
    }

    /// The claims of a token of ours, whichever key signed it.
    pub fn verify(&self, token: &str) -> Option<Vec<u8>> {
        self.ring.load().verify(token)
    }

    pub fn jwks(&self) -> Arc<Document> {
        Arc::clone(self.ring.load().jwks())
    }

    pub fn ages(&self) -> Vec<(SigningAlgorithm, Timestamp)> {
        self.ring.load().ages()
    }

    /// Seconds for which a key set may be kept: no longer than a new key is published before it signs.
    pub fn cache_seconds(&self) -> i64 {
        self.rotation.publish_ahead.as_secs().clamp(0, LONGEST_CACHE)
    }

    /// Whether this process has the private half.
    fn can_sign(&self, kid: &str) -> bool {
        self.ring.load().half(kid).is_some_and(|half| half.is_whole())
    }

    /// Reads the rows again, and opens what was not open. What was known stays when that fails.
    async fn reload(&self, store: &Store) -> Result<(), Error> {
        let _loading = self.loading.lock().await;
        let known = store.read().await?.signing_keys().await?;
        let before = self.ring.load_full();
        self.ring.store(Arc::new(build(&known, &self.keeper, Some(&before)).await?));
        Ok(())
    }
}

async fn ensure(store: &Store, keeper: &Keeper, place: KeyStore, clock: &dyn Clock) -> Result<Vec<SigningKey>, Error> {
    let known = store.read().await?.signing_keys().await?;
    build(&known, keeper, None).await?;
    if missing(&known).next().is_none() {
        return Ok(known);
    }
    // a key may take longer than a transaction may be idle, and nobody else is to be kept from writing meanwhile
    let mut drafts = Vec::new();
    for algorithm in missing(&known) {
        drafts.push((algorithm, keeper.draft(algorithm, place, &known).await?));
    }
    let mut tx = store.write(&Actor::server()).await?;
    tx.lock_migrations().await?;
    let mut known = tx.signing_keys().await?;
    build(&known, keeper, None).await?;
    for (algorithm, draft) in drafts {
        // another replica may have been faster
        if missing(&known).any(|missing| missing == algorithm) {
            let now = clock.now();
            let key = keeper.finish(draft, &known)?.row(KeyState::Active, (now, now));
            tx.put_signing_key(&key).await?;
            known.push(key);
        }
    }
    tx.commit().await?;
    Ok(known)
}

fn missing(known: &[SigningKey]) -> impl Iterator<Item = SigningAlgorithm> {
    let has = |algorithm| known.iter().any(|k| k.life.algorithm == algorithm && k.life.state == KeyState::Active);
    SigningAlgorithm::ALL.into_iter().filter(move |algorithm| !has(*algorithm))
}

/// The ring of these rows. What `before` has opened is not opened again: a file that is gone, or a folder that is not
/// mounted for a moment, takes no key away from a process that has it.
async fn build(known: &[SigningKey], keeper: &Keeper, before: Option<&KeyRing>) -> Result<KeyRing, Error> {
    let opened = |kid: &str| before.and_then(|ring| ring.half(kid)).filter(|half| half.is_whole()).cloned();
    let published = || known.iter().filter(|key| key.life.state.is_published());
    let mut files = match published().any(|key| key.life.store == KeyStore::File && opened(&key.life.kid).is_none()) {
        true => keeper.files().await?,
        false => Vec::new(),
    };
    let mut held = Vec::new();
    for key in published() {
        let half = match opened(&key.life.kid) {
            Some(half) => half,
            None => Arc::new(keeper.open(key, &mut files)?),
        };
        held.push(Held { life: key.life.clone(), created_at: key.created_at, half });
    }
    Ok(KeyRing::new(held))
}

impl AuthorizationServer {
    /// Follows the keys until `stop`. When they cannot be read, those that are known stay in force.
    pub async fn follow_keys(&self, observer: &dyn Observer, stop: CancellationToken) {
        let mut heard = self.inner.store.topic(Topic::SigningKeys);
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = heard.changed() => {}
                () = tokio::time::sleep(REREAD) => {}
            }
            let began = Instant::now();
            match self.inner.keys.reload(&self.inner.store).await {
                Ok(()) => observer.keys_reloaded(began.elapsed()),
                Err(error) => tracing::warn!(event = "keys_kept", error = &error as &dyn std::error::Error),
            }
        }
    }

    /// Reads the keys again and has the leader look for new ones (SIGHUP).
    ///
    /// # Errors
    /// When they cannot be read; those that are known stay in force.
    pub async fn reload_keys(&self) -> Result<(), Error> {
        let reloaded = self.inner.keys.reload(&self.inner.store).await;
        self.inner.keys.look.notify_one();
        reloaded
    }
}
