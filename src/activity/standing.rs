//! How resource servers stand with those who enforce their policy: asked by the controller, watched by the leader.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::broadcast;

use super::Activity;
use crate::domain::actor::Actor;
use crate::domain::enforcement::{Coverage, Enforcement, Standing};
use crate::domain::owner::OwnerKey;
use crate::domain::resource_server::ResourceServer;
use crate::domain::tool_manifest::{Compared, ToolState, compare};
use crate::domain::{Epoch, Kind, chain};
use crate::store::{Error, Running, Tx};

/// Who is silent for so many times the time for which a policy may be kept is forgotten.
const FORGOTTEN: i64 = 3;

/// How one resource server stands, for the gauges.
#[derive(Debug, Clone, PartialEq)]
pub struct Surveyed {
    pub id: String,
    pub owner: Option<OwnerKey>,
    pub version: i64,
    pub coverage: Coverage,
}

/// What the last survey found.
type Found = BTreeMap<String, (Coverage, Option<String>)>;

pub(super) struct Standings {
    last: Mutex<Option<Found>>,
    changes: broadcast::Sender<OwnerKey>,
}

impl Default for Standings {
    fn default() -> Self {
        Self { last: Mutex::default(), changes: broadcast::channel(1024).0 }
    }
}

impl Enforcement for Activity {
    fn standing<'a>(
        &'a self,
        id: &'a str,
        policy: &'a ResourceServer,
        revision: i64,
    ) -> BoxFuture<'a, Option<Standing>> {
        let read = async move {
            let found = self.read_standing(id, policy, revision).await;
            found
                .inspect_err(|error| tracing::warn!(event = "database_error", error = chain(error), pool = "server"))
                .ok()
        };
        read.boxed()
    }

    fn changes(&self) -> broadcast::Receiver<OwnerKey> {
        self.inner.standings.changes.subscribe()
    }
}

impl Activity {
    async fn read_standing(&self, id: &str, policy: &ResourceServer, revision: i64) -> Result<Standing, Error> {
        let mut tx = self.inner.parts.store.read().await?;
        let running = tx.running(Some(id), self.since()).await?;
        let coverage = self.coverage(&mut tx, (id, revision), &running).await?;
        let manifest = tx.tool_manifest(id).await?.and_then(|stored| super::manifest::read(id, &stored));
        tx.commit().await?;
        let tools = compare(policy, manifest.as_ref());
        let count = |is: fn(&Compared) -> bool| tools.iter().filter(|tool| is(tool)).count() as i64;
        Ok(Standing {
            coverage,
            unmapped: count(|tool| tool.state == ToolState::Unmapped),
            suggested: count(|tool| tool.suggestion.is_some()),
        })
    }

    /// Who was heard of since then is reporting.
    fn since(&self) -> Timestamp {
        let silence = SignedDuration::from_secs(FORGOTTEN * self.inner.parts.rules.ttl_seconds);
        self.inner.parts.clock.now().checked_sub(silence).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Of the policy that has this revision, which memory may not know yet.
    async fn coverage(&self, tx: &mut Tx, (id, revision): (&str, i64), running: &[Running]) -> Result<Coverage, Error> {
        if running.is_empty() {
            return Ok(Coverage::default());
        }
        let document = self.policy(id).filter(|document| document.tag.version == revision);
        let is_current = |running: &&Running| {
            running.tag.version == revision && document.as_ref().is_none_or(|made| made.tag == running.tag)
        };
        let reporting = running.iter().map(|running| running.points).sum();
        let current = running.iter().filter(is_current).map(|running| running.points).sum();
        let slowest = running.iter().filter(|running| !is_current(running)).map(|running| running.tag.version).min();
        let lacking_since = match slowest {
            // after a restore of the database an enforcement point may be ahead of it
            Some(version) => tx.in_force_after(id, version.min(revision - 1)).await?,
            None => None,
        };
        Ok(Coverage { reporting, current, lacking_since })
    }

    /// Looks at all resource servers, tells of those that stand otherwise than before, and forgets who is silent.
    ///
    /// # Errors
    /// The database is away, or another leads.
    pub async fn survey(&self, epoch: Epoch) -> Result<Vec<Surveyed>, Error> {
        let store = &self.inner.parts.store;
        let (snapshot, since) = (store.snapshot(), self.since());
        let mut tx = store.read().await?;
        let running = tx.running(None, since).await?;
        let digests: BTreeMap<String, String> = tx.manifest_digests().await?.into_iter().collect();
        let (mut surveyed, mut found) = (Vec::new(), Found::new());
        for entry in snapshot.resource_servers() {
            let from = running.partition_point(|running| running.resource_server_id < entry.id);
            let of: Vec<Running> =
                running[from..].iter().take_while(|r| r.resource_server_id == entry.id).cloned().collect();
            let coverage = self.coverage(&mut tx, (&entry.id, entry.revision), &of).await?;
            let digest = digests.get(&entry.id).cloned();
            if coverage.reporting > 0 || digest.is_some() {
                found.insert(entry.id.clone(), (coverage, digest));
            }
            let (id, owner, version) = (entry.id.clone(), entry.owner.clone(), entry.revision);
            surveyed.push(Surveyed { id, owner, version, coverage });
        }
        let silent = tx.has_silent_enforcement_points(since).await?;
        tx.commit().await?;
        self.tell(found, &surveyed);
        if silent {
            let mut tx = store.write_as_leader(&Actor::server(), epoch).await?;
            tx.forget_enforcement_points(since).await?;
            tx.commit().await?;
        }
        Ok(surveyed)
    }

    /// Whoever stands otherwise than at the last survey is looked at again.
    fn tell(&self, found: Found, surveyed: &[Surveyed]) {
        let mut last = self.inner.standings.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.take().unwrap_or_default();
        let ids: BTreeSet<&String> = before.keys().chain(found.keys()).collect();
        let moved = ids.into_iter().filter(|id| before.get(*id) != found.get(*id));
        let owners = moved.filter_map(|id| surveyed.iter().find(|s| s.id == *id)?.owner.clone());
        for owner in owners.filter(|owner| owner.kind == Kind::ResourceServer) {
            // nobody listens where no cluster is
            drop(self.inner.standings.changes.send(owner));
        }
        *last = Some(found);
    }

    /// Returns when enforcement points or publishers of this process have said something new.
    pub async fn heard(&self) {
        self.inner.reports.written.notified().await;
    }
}
