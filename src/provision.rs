//! Apply a `Desired`: load, compare, write one transaction, commit → `Applied`, which only this room can make.
//!
//! Loading and comparing happen on a read connection; only a plan that is not empty opens a write transaction, in
//! which everything is loaded and compared again. So a reconcile that finds nothing to do writes nothing at all.

mod apply;
mod brake;
mod edit;
mod export;
mod impact;
mod memory;
mod note;
mod offer;
mod orphan;
mod plan;
mod remove;
mod scan;
mod secret;
mod situation;
mod tell;
mod uncorrected;
mod work;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use tokio::sync::broadcast;

use crate::domain::brake::Limits;
use crate::domain::drift::{Correction, DriftedField, OpenDrift};
use crate::domain::policy::{Changed, Policy, ResourceServerEntry};
use crate::domain::{
    Actor, Clock, Credential, DeletionPolicy, Entropy, Epoch, Kind, Leadership, Managed, Observer, Owner, OwnerKey,
    Report, SecretText,
};
use crate::store::{self, Store, Tx};

pub use crate::store::Offer;
pub use brake::{Held as HeldDeletion, confirm_brake, open_brakes};
pub use edit::{Edited, Listed};
pub use impact::{ClientTouch, DefaultRole, ToolChange, ToolTouches, Touches};
pub use note::field_path;
pub use plan::{
    Action, CallExample, CallTouches, Draft, DryRun, Planned, PlannedChange, PlannedDrift, PlannedSecret, ToolCalls,
};
pub use remove::Removed;
pub use scan::Scanned;
pub use secret::{Held, SecretStep};

/// What a provisioner is made of.
pub struct Parts {
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub observer: Arc<dyn Observer>,
    pub leadership: Leadership,
    /// Who its transactions say they are.
    pub actor: Actor,
    /// How many deletions a minute pass.
    pub brake: Limits,
}

/// Holds the database to what the resources say. Cheap to clone.
#[derive(Clone)]
pub struct Provisioner(Arc<Inner>);

struct Inner {
    parts: Parts,
    /// Secrets that were made and not yet seen in their Secret, by credential id: a failed write is tried again
    /// with the same value. Lost on a crash, which then costs one more rotation and nothing else.
    unpublished: Mutex<HashMap<String, SecretText>>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to reach the database")]
    Store(#[from] store::Error),
    #[error("failed to make random bytes")]
    Entropy(#[from] crate::domain::clock::EntropyUnavailable),
    /// Drift that the database refuses to have put right.
    #[error("failed to put drift right: the database refuses")]
    Uncorrected { drift: Box<OpenDrift>, source: Box<Error> },
    #[error("this process does not lead")]
    NotLeading,
    #[error("no such {0}")]
    Unknown(Kind),
    #[error("{0}")]
    NotOffered(String),
    #[error("managed by {0}")]
    Owned(OwnerKey),
    #[error("another {0} has the name that was asked for")]
    Taken(Kind),
    #[error("{field}: {problem}")]
    BadPatch { field: String, problem: String },
}

impl Error {
    /// Another process leads now; this one must stop writing.
    pub fn is_fenced(&self) -> bool {
        matches!(self, Self::NotLeading | Self::Store(store::Error::Fenced))
    }

    /// The database cannot be reached now; the same call may work later.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_unavailable())
    }
}

/// What became of an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Applied {
    Done(Box<Done>),
    Refused(Refused),
}

/// The object is in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    pub entity_id: String,
    pub revision: i64,
    pub change: ChangeKind,
    /// Drift that stands.
    pub drift: Option<OpenDrift>,
    /// Drift that is ignored on request.
    pub ignored: Vec<DriftedField>,
    pub correction: Option<Correction>,
    pub secret: SecretState,
    /// Records in the log of a resource server that nobody has dismissed.
    pub undismissed: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Created,
    Adopted,
    Updated,
    Corrected,
    /// Nothing was written.
    Unchanged,
}

/// The object cannot be in force; what was there before stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The row is somebody's whom this object may not succeed.
    Adoption(String),
    /// Another object holds the client id or resource URI.
    Conflict { holder: Option<OwnerKey>, note: String },
    /// The namespace may not do that.
    NotPermitted(String),
}

impl Refused {
    /// What to tell the author.
    pub fn note(&self) -> &str {
        match self {
            Self::Adoption(note) | Self::NotPermitted(note) | Self::Conflict { note, .. } => note,
        }
    }
}

/// The credentials of a principal, as status shows them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SecretState {
    pub current: Option<Credential>,
    pub pending: bool,
    pub retiring: Vec<Credential>,
    pub next_rotation: Option<Timestamp>,
}

impl Provisioner {
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner { parts, unpublished: Mutex::default() }))
    }

    fn store(&self) -> &Store {
        &self.0.parts.store
    }

    /// As the database keeps it, so that what is read back is what was written.
    fn now(&self) -> Timestamp {
        let now = self.0.parts.clock.now();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    /// A transaction that only the leader may open, and that a later leader fences off.
    async fn write(&self) -> Result<Tx, Error> {
        let epoch = *self.0.parts.leadership.borrow();
        let epoch: Epoch = epoch.ok_or(Error::NotLeading)?;
        Ok(self.store().write_as_leader(&self.0.parts.actor, epoch).await?)
    }

    /// Begins a new epoch: every older leader's transactions are refused from now on.
    pub async fn take_over(&self) -> Result<Epoch, Error> {
        Ok(self.store().take_over().await?)
    }

    /// The live resource server of this id, from memory.
    pub fn resource_server(&self, id: &str) -> Option<Arc<ResourceServerEntry>> {
        self.store().snapshot().resource_server(id).cloned()
    }

    /// The id of an object's row — client id, `rs_…` or `prv_…` — from memory.
    pub fn entity_id(&self, owner: &OwnerKey) -> Option<String> {
        self.store().snapshot().entity_of(owner).map(str::to_owned)
    }

    /// The id of the row that was kept when the object of this name went, in this namespace and no successor of it: what
    /// an object that is there again returns to. `None` when somebody else has it.
    pub async fn kept_id(&self, owner: &OwnerKey, namespace_uid: &str) -> Result<Option<String>, Error> {
        let mut tx = self.store().read().await?;
        let (managed, damaged) = situation::recall(&mut tx, owner).await?;
        let kept = |managed: &Managed| managed.deleted_at.is_some() && managed.owner.namespace_uid == namespace_uid;
        let Some(managed) = managed.filter(|managed| !damaged && kept(managed)) else { return Ok(None) };
        let entity = tx.entity(owner.kind, &managed.entity_id).await?;
        Ok(entity.filter(|entity| entity.owner.is_none()).map(|entity| entity.id))
    }

    /// Word of every change to a policy row, whoever made it; a receiver that lags must look at everything.
    pub fn changes(&self) -> broadcast::Receiver<Changed> {
        self.store().subscribe()
    }

    /// Objects whose row others changed while nobody led who would have heard of it.
    pub async fn changed_unheard(&self) -> Result<Vec<OwnerKey>, Error> {
        Ok(self.store().read().await?.unaccounted().await?)
    }

    /// Every object that something is managed for, with what is to become of it when the object is gone.
    pub async fn owners(&self) -> Result<Vec<(Owner, DeletionPolicy)>, Error> {
        let managed = self.store().read().await?.all_managed().await?;
        let alive = managed.into_iter().filter(|managed| managed.deleted_at.is_none());
        Ok(alive.map(|managed| (managed.owner, managed.deletion)).collect())
    }

    /// What is to be told and was not yet, oldest first.
    pub async fn reports(&self, limit: i64) -> Result<Vec<Report>, Error> {
        Ok(self.store().read().await?.unreported(limit).await?)
    }

    /// These were told.
    pub async fn reported(&self, ids: &[i64]) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let now = self.now();
        let mut tx = self.write().await?;
        tx.mark_reported(ids, now).await?;
        Ok(tx.commit().await?)
    }

    /// Adds an observation that no transaction of this room made.
    pub async fn report(&self, report: &Report) -> Result<(), Error> {
        let mut tx = self.write().await?;
        tx.add_report(report).await?;
        Ok(tx.commit().await?)
    }
}
