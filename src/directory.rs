//! The little brother of the controller: a folder of manifests, watched and held to, without a cluster.
//!
//! Whoever writes the folder is the administrator. What cannot be read is never taken for absent: an object goes when
//! two complete looks, two seconds apart, do not find it.

mod absence;
mod board;
mod brake;
mod dereference;
mod outcome;
mod publish;
mod read;
mod reconcile;
mod report;
mod secret_file;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio_util::sync::CancellationToken;

use crate::domain::policy::Changed;
use crate::domain::{Clock, DeletionPolicy, Kind, OwnerKey, SecretHash, chain};
use crate::manifest;
use crate::metrics::Metrics;
use crate::provision::{Provisioner, Removed};

pub use board::Board;
pub use read::{Error as ReadError, Files, read};

use absence::Absence;
use publish::Place;
use reconcile::Memory;
use world::World;

/// How often the folder is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long one kind waits for the rows of the kind before it to be seen.
const SEEN: Duration = Duration::from_secs(2);

/// What a directory is made of.
pub struct Parts {
    pub folder: PathBuf,
    /// Where generated secrets go: `<data>/secrets`.
    pub secrets: PathBuf,
    pub issuer: String,
    pub policy: manifest::Policy,
    /// A brake to confirm at the start.
    pub confirm: Option<String>,
    /// How often every object is compared although nothing was heard of a change.
    pub scan: Duration,
    pub provisioner: Provisioner,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    pub board: Arc<Board>,
}

/// The folder as it is held to.
struct Directory {
    parts: Parts,
    world: World,
    memory: Memory,
    absence: Absence,
    /// When an object is next to be looked at: a rotation, the end of an overlap.
    due: BTreeMap<OwnerKey, Timestamp>,
    /// Objects that could not be reconciled and are tried again at the next look.
    again: BTreeSet<OwnerKey>,
    /// How the last deletion of each object that is gone was refused, so that it is said once.
    blocked: BTreeMap<OwnerKey, String>,
    /// Where each object's secret was put, and what was there then.
    places: BTreeMap<OwnerKey, (Place, Option<SecretHash>)>,
    /// The last reason why the folder could not be read, so that it is said once.
    trouble: Option<String>,
    recalled: bool,
}

/// Watches the folder and holds the database to it until `stop`.
pub async fn run(parts: Parts, stop: CancellationToken) {
    tracing::info!(event = "policy_directory_watched", folder = %parts.folder.display(), secrets = %parts.secrets.display());
    let mut changes = parts.provisioner.changes();
    let mut scan = tokio::time::interval(parts.scan);
    let mut directory = Directory::new(parts);
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !stop.is_cancelled() {
        let queue = tokio::select! {
            () = stop.cancelled() => return,
            _ = look.tick() => Box::pin(directory.look()).await,
            _ = scan.tick() => directory.all(),
            heard = changes.recv() => directory.affected(heard, &mut changes),
        };
        Box::pin(directory.work(queue, &stop)).await;
    }
}

impl Directory {
    fn new(parts: Parts) -> Self {
        Self {
            parts,
            world: World::default(),
            memory: Memory::default(),
            absence: Absence::default(),
            due: BTreeMap::new(),
            again: BTreeSet::new(),
            blocked: BTreeMap::new(),
            places: BTreeMap::new(),
            trouble: None,
            recalled: false,
        }
    }

    fn all(&self) -> BTreeSet<OwnerKey> {
        self.world.objects.keys().chain(self.world.invalid.keys()).cloned().collect()
    }

    /// Looks at the folder, removes what is gone, and says what is to be reconciled.
    async fn look(&mut self) -> BTreeSet<OwnerKey> {
        let now = self.parts.clock.now();
        let mut queue = std::mem::take(&mut self.again);
        queue.extend(self.places.iter().filter(|(_, (place, hash))| place.hash() != *hash).map(|(o, _)| o.clone()));
        queue.extend(self.due.iter().filter(|(_, at)| **at <= now).map(|(owner, _)| owner.clone()));
        if !self.recalled {
            match self.parts.provisioner.remembered().await {
                Ok(remembered) => {
                    self.memory.recall(&remembered);
                    self.recalled = true;
                }
                Err(error) => {
                    self.trouble(chain(&error));
                    return queue;
                }
            }
        }
        if let Ok(offers) = self.parts.provisioner.offers().await {
            queue.extend(offers.into_iter().map(|o| o.owner).filter(|owner| self.world.objects.contains_key(owner)));
        }
        let folder = self.parts.folder.clone();
        let looked = match tokio::task::spawn_blocking(move || read::read(&folder)).await {
            Ok(Ok(files)) => files,
            Ok(Err(error)) => {
                self.unreadable(chain(&error));
                return queue;
            }
            Err(error) => {
                self.unreadable(error.to_string());
                return queue;
            }
        };
        if looked.is_empty() && self.memory.owners().next().is_some() {
            self.unreadable(format!("{} is empty, which deletes nothing", self.parts.folder.display()));
            return queue;
        }
        self.trouble = None;
        let change = self.world.take(&looked);
        for fault in &change.faults {
            tracing::warn!(event = "policy_file_invalid", fault);
        }
        if change.any {
            queue.extend(self.all());
            // what was never in force is gone with its file
            let known: BTreeSet<&OwnerKey> = self.memory.owners().chain(&queue).collect();
            self.parts.board.retain(|owner| known.contains(owner));
        }
        if let Err(error) = self.follow_brake().await {
            tracing::debug!(error = chain(&error), "the brake waits for the database");
        }
        self.remove_gone(now).await;
        queue
    }

    /// What is missing may be there: the count of looks that lack it begins anew.
    fn unreadable(&mut self, trouble: String) {
        self.absence.forget();
        self.trouble(trouble);
    }

    fn trouble(&mut self, trouble: String) {
        if self.trouble.as_ref() != Some(&trouble) {
            tracing::warn!(event = "policy_directory_unreadable", error = trouble);
            self.trouble = Some(trouble);
        }
    }

    /// Takes out of force what two complete looks did not find.
    async fn remove_gone(&mut self, now: Timestamp) {
        if self.world.unclear || self.world.is_empty() {
            self.absence.forget();
            return;
        }
        let here = self.all();
        let missing = self.memory.owners().filter(|owner| !here.contains(owner)).cloned().collect();
        let gone = self.absence.look(missing, now);
        if gone.is_empty() {
            return;
        }
        match self.parts.provisioner.remembered().await {
            Ok(remembered) => {
                let policies: BTreeMap<_, _> = remembered.into_iter().map(|m| (m.owner.key, m.deletion)).collect();
                for owner in gone {
                    // one that nobody remembers is gone already
                    let policy = policies.get(&owner).copied().unwrap_or(DeletionPolicy::Retain);
                    Box::pin(self.remove(&owner, policy)).await;
                }
            }
            Err(error) => tracing::warn!(event = "removal_failed", error = chain(&error)),
        }
    }

    async fn remove(&mut self, owner: &OwnerKey, policy: DeletionPolicy) {
        let (kind, namespace, name) = (owner.kind, &owner.namespace, &owner.name);
        match self.parts.provisioner.remove(owner, policy, "").await {
            Ok(Removed::Blocked(note)) => {
                if self.blocked.insert(owner.clone(), note.clone()).as_ref() != Some(&note) {
                    tracing::warn!(event = "deletion_blocked", %kind, namespace, name, note);
                }
                return;
            }
            // told by its report
            Ok(Removed::Held(_)) => return,
            Ok(Removed::Deleted) => {
                if let Some(Err(error)) = self.places.remove(owner).map(|(place, _)| place.remove()) {
                    tracing::warn!(event = "secret_left_behind", %kind, namespace, name, error = chain(&error));
                }
            }
            Ok(Removed::Retained | Removed::Nothing) => {}
            Err(error) => {
                tracing::warn!(event = "removal_failed", %kind, namespace, name, error = chain(&error));
                return;
            }
        }
        self.memory.forget(owner);
        self.parts.board.remove(owner);
        self.blocked.remove(owner);
        self.due.remove(owner);
        self.again.extend(self.world.referrers(owner).cloned());
    }

    /// What a change makes worth looking at: the object itself, and those that refer to it.
    fn affected(&self, heard: Result<Changed, RecvError>, changes: &mut Receiver<Changed>) -> BTreeSet<OwnerKey> {
        let mut queue = BTreeSet::new();
        let mut next = heard.map_err(|error| matches!(error, RecvError::Lagged(_)));
        loop {
            match next {
                Ok(changed) => {
                    let owner = changed.owner.or_else(|| self.parts.board.owner_of(changed.kind, &changed.id));
                    if let Some(owner) = owner {
                        queue.extend(self.world.referrers(&owner).cloned());
                        queue.insert(owner);
                    }
                }
                Err(true) => return self.all(),
                Err(false) => break,
            }
            next = match changes.try_recv() {
                Ok(changed) => Ok(changed),
                Err(TryRecvError::Lagged(_)) => Err(true),
                Err(TryRecvError::Empty | TryRecvError::Closed) => Err(false),
            };
        }
        queue
    }

    /// Reconciles what is due, kind after kind, so that what is referred to is there first; then tells what happened.
    async fn work(&mut self, queue: BTreeSet<OwnerKey>, stop: &CancellationToken) {
        for kind in [Kind::Provider, Kind::ResourceServer, Kind::OAuthClient] {
            let mut made = Vec::new();
            for owner in queue.iter().filter(|owner| owner.kind == kind) {
                if stop.is_cancelled() {
                    return;
                }
                if Box::pin(self.reconcile(owner)).await {
                    made.push(owner);
                }
            }
            self.seen(&made).await;
        }
        if !queue.is_empty() {
            self.parts.board.count(&self.parts.metrics);
        }
        if let Err(error) = report::tell(&self.parts.provisioner).await {
            tracing::debug!(error = chain(&error), "reports wait for the database");
        }
    }

    /// Waits until rows that were just made are known to everybody who refers to them.
    async fn seen(&self, made: &[&OwnerKey]) {
        let provisioner = &self.parts.provisioner;
        let all = || made.iter().all(|owner| provisioner.entity_id(owner).is_some());
        let deadline = tokio::time::Instant::now() + SEEN;
        while !all() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
