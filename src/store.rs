//! SQL on SQLite and PostgreSQL, behind two doors: [`Store`], which knows the policy by heart and records what is
//! issued, and [`Tx`], one transaction.
//!
//! Every change of policy, whoever makes it, leaves a row in `change` by trigger; the feed reads those rows, keeps the
//! [`Snapshot`] true and tells whoever subscribed.

mod access_log;
mod account;
mod activity;
mod api_key;
mod audit;
mod authorization_request;
mod brake;
mod cell;
mod change;
mod code;
mod consent;
mod credential;
mod database;
mod device;
mod enforcement;
mod entity;
mod error;
mod feed;
mod grant;
mod guard;
mod impact;
mod installation;
mod invitation;
mod issue;
mod leader;
mod login_failure;
mod login_session;
mod managed;
mod mapping;
mod migrate;
mod offer;
mod orphan;
mod population;
mod postgres;
mod purge;
mod refresh;
mod registration;
mod replay;
mod report;
mod revoke;
mod role;
mod setting;
mod settle;
mod signing_key;
mod snapshot;
mod sqlite;
mod time;
mod token;
mod topic;
mod tx;

use std::collections::HashMap;
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, OnceCell, broadcast, mpsc, oneshot, watch};

use crate::domain::policy::Changed;
use crate::domain::{Actor, Epoch, Kind, Observer};

pub use access_log::{CallsOf, Recorded};
pub use account::PasswordOf;
pub use api_key::{ApiKey, ApiRole};
pub use authorization_request::{AuthorizationRequest, RequestKind};
pub use code::CodeRow;
pub use consent::Consent;
pub use device::{DeviceDecision, DeviceRow, DeviceState};
pub use enforcement::{EnforcementPoint, Running, StoredManifest};
pub use error::Error;
pub use grant::GrantRow;
pub use impact::{Counted, Loss};
pub use invitation::Invitation;
pub use issue::{Issuance, IssueOutcome, Lineage};
pub use login_failure::{Attempt, FailureKind};
pub use login_session::{EndSessions, LoginSession};
pub use offer::Offer;
pub use refresh::RefreshRow;
pub use registration::{ClientDocument, Dynamic, Idle, Registration};
pub use replay::{Once, OnceKind};
pub use revoke::{Ended, Revoke, RevokeCause};
pub use role::{RoleAssignment, RoleOrigin};
pub use signing_key::SigningKey;
pub use snapshot::Snapshot;
pub use token::TokenRow;
pub use topic::Topic;
pub use tx::Tx;

use database::{Database, Engine};
use issue::Waiting;
use tx::Named;

/// Which database, and how to behave towards it.
#[derive(Debug, Clone)]
pub struct Options {
    /// `sqlite:///path/holdfast.db` or `postgres://…`.
    pub url: String,
    /// How long to wait for a PostgreSQL that does not answer yet.
    pub wait: Duration,
    /// Refuse to share a SQLite file with another process that serves.
    pub exclusive: bool,
    /// So many issuances may wait for their commit; one more is [`Error::Unavailable`].
    pub max_waiting: usize,
}

impl Options {
    /// Not exclusive, 10 s of patience, 1024 waiting.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), wait: Duration::from_secs(10), exclusive: false, max_waiting: 1024 }
    }
}

/// The database and what is known of it. Clones share everything.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

type Rereads = HashMap<(Kind, String), Arc<OnceCell<()>>>;

struct Inner {
    database: Database,
    snapshot: ArcSwap<Snapshot>,
    loaded: AtomicBool,
    healthy: AtomicBool,
    /// One load at a time, so that an older state never replaces a newer one.
    loading: tokio::sync::Mutex<()>,
    rereads: Mutex<Rereads>,
    wake: Arc<Notify>,
    changed: broadcast::Sender<Changed>,
    topics: topic::Topics,
    queue: mpsc::Sender<Waiting>,
    _held: Option<File>,
}

impl Inner {
    fn rereads(&self) -> MutexGuard<'_, Rereads> {
        self.rereads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One caller of a read that several may share.
struct Reading<'a> {
    inner: &'a Inner,
    key: (Kind, String),
    cell: &'a Arc<OnceCell<()>>,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let mut rereads = self.inner.rereads();
        if rereads.get(&self.key).is_some_and(|known| Arc::ptr_eq(known, self.cell)) {
            rereads.remove(&self.key);
        }
    }
}

impl Store {
    /// Opens the database. Wrong URL, path or permission: [`Error::Invalid`], one line.
    pub async fn open(options: &Options, observer: Arc<dyn Observer>) -> Result<Self, Error> {
        let mut held = None;
        let engine = match sqlite::path_of(&options.url) {
            Some(path) => {
                let pools = sqlite::open(path).await?;
                if options.exclusive {
                    held = Some(sqlite::hold(&pools.path)?);
                }
                Engine::Sqlite(Arc::new(pools))
            }
            None if options.url.starts_with("postgres://") || options.url.starts_with("postgresql://") => {
                Engine::Postgres(postgres::open(&options.url, options.wait).await?)
            }
            None => {
                let what = "failed to read the database URL: neither sqlite:///path nor postgres://…".to_owned();
                return Err(Error::Invalid { what });
            }
        };
        let (queue, waiting) = mpsc::channel(options.max_waiting.max(1));
        let database = Database { engine, observer };
        tokio::spawn(issue::run(database.clone(), waiting));
        let inner = Inner {
            database,
            snapshot: ArcSwap::default(),
            loaded: AtomicBool::new(false),
            healthy: AtomicBool::new(false),
            loading: tokio::sync::Mutex::new(()),
            rereads: Mutex::default(),
            wake: Arc::default(),
            changed: broadcast::channel(1024).0,
            topics: topic::Topics::default(),
            queue,
            _held: held,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Applies what migrations are missing, under a lock; returns how many. A newer program's are left alone. Triggers
    /// that somebody took away are put back.
    pub async fn migrate(&self) -> Result<usize, Error> {
        let applied = migrate::migrate(&self.inner.database).await?;
        self.guard_triggers().await?;
        Ok(applied)
    }

    /// Says whose database this is; [`Error::OtherInstallation`] when it is somebody else's.
    pub async fn bind(&self, installation: &str, cluster: &str) -> Result<(), Error> {
        let mut tx = self.inner.database.write().await?;
        tx.bind(installation, cluster).await?;
        tx.commit().await
    }

    /// Asks the database for a sign of life.
    pub async fn ping(&self) -> Result<(), Error> {
        let mut tx = self.read().await?;
        tx.last_sequence().await?;
        tx.commit().await
    }

    /// A transaction that sees one state of the database and writes nothing.
    pub async fn read(&self) -> Result<Tx, Error> {
        self.inner.database.read().await
    }

    /// A transaction that writes in the name of `actor`.
    pub async fn write(&self, actor: &Actor) -> Result<Tx, Error> {
        let begun = Instant::now();
        let mut tx = self.inner.database.write().await?;
        tx.name(actor).await?;
        tx.named = Some(Named { wake: self.inner.wake.clone(), begun });
        Ok(tx)
    }

    /// The same for a leader; [`Error::Fenced`] when its epoch is over. No takeover happens before it ends.
    pub async fn write_as_leader(&self, actor: &Actor, epoch: Epoch) -> Result<Tx, Error> {
        let mut tx = self.write(actor).await?;
        tx.fence(epoch).await?;
        Ok(tx)
    }

    /// Begins the next epoch of leadership.
    pub async fn take_over(&self) -> Result<Epoch, Error> {
        let mut tx = self.inner.database.write().await?;
        let epoch = tx.take_over().await?;
        tx.commit().await?;
        Ok(epoch)
    }

    /// The policy as last read.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.inner.snapshot.load_full()
    }

    /// Loads all policy.
    pub async fn refresh(&self) -> Result<(), Error> {
        self.load_all().await.map(drop)
    }

    /// Reads one entity into the snapshot; those who ask for the same one meanwhile share the read.
    pub async fn reread(&self, kind: Kind, id: &str) -> Result<(), Error> {
        let key = (kind, id.to_owned());
        let cell = self.inner.rereads().entry(key.clone()).or_default().clone();
        // forgotten also when the caller stops waiting, which a stranger can do as often as he likes
        let _reading = Reading { inner: &self.inner, key, cell: &cell };
        // rare, and large: in a box, or every request would be as large
        cell.get_or_try_init(|| Box::pin(self.load_one(kind, id))).await.map(drop)
    }

    /// Word of every change. A receiver that lags must treat everything as changed.
    pub fn subscribe(&self) -> broadcast::Receiver<Changed> {
        self.inner.changed.subscribe()
    }

    /// Sends word of a change that no change row tells of.
    pub fn tell(&self, changed: Changed) {
        // nobody listens yet, or no more
        let _ = self.inner.changed.send(changed);
    }

    /// Word that something of this matter may have changed. Whoever hears of it reads it again.
    pub fn topic(&self, topic: Topic) -> watch::Receiver<u64> {
        self.inner.topics.subscribe(topic)
    }

    /// Whether the policy was ever loaded.
    pub fn is_loaded(&self) -> bool {
        self.inner.loaded.load(Ordering::Relaxed)
    }

    /// Whether the change feed follows the database at present.
    pub fn feed_healthy(&self) -> bool {
        self.inner.healthy.load(Ordering::Relaxed)
    }

    /// Records a token that was decided on; returns after the commit. [`Error::Unavailable`] when too many wait. How
    /// long is the caller's to say: a token that nobody waits for any more before its turn comes is not recorded.
    pub async fn issue(&self, issuance: Issuance) -> Result<IssueOutcome, Error> {
        let (answer, answered) = oneshot::channel();
        self.inner
            .queue
            .try_send(Waiting { issuance, answer })
            .map_err(|_| Error::unavailable("too many issuances are waiting"))?;
        answered.await.unwrap_or_else(|_| Err(Error::unavailable("the issuance was dropped")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::observer::Unobserved;

    #[tokio::test]
    async fn a_read_that_nobody_waits_for_any_more_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options::new(format!("sqlite://{}", dir.path().join("a.db").display()));
        let store = Store::open(&options, Arc::new(Unobserved)).await.unwrap();
        store.migrate().await.unwrap();
        let loading = store.inner.loading.lock().await;
        for id in ["a", "b"] {
            let read = store.reread(Kind::OAuthClient, id);
            tokio::time::timeout(Duration::from_millis(1), read).await.unwrap_err();
        }
        assert!(store.inner.rereads().is_empty());
        drop(loading);
        store.reread(Kind::OAuthClient, "a").await.unwrap();
        assert!(store.inner.rereads().is_empty());
    }
}
