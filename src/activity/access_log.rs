//! Calls that enforcement points decided about: taken in by the batch, each once, and read by administrators. What is
//! said of a client or a person is the reporter's word, and nothing but the log and the counters ever looks at it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use super::{Activity, Error, PAGE};
use crate::domain::actor::Actor;
use crate::domain::decision::{self, AccessFilter, AccessRecord, Decision, DecisionFault};
use crate::domain::enforcement::Instance;
use crate::domain::policy::Policy;

/// The largest batch, in bytes.
pub const MAX_DECISIONS: usize = 1024 * 1024;

/// What became of a batch.
#[derive(Debug, Default, Serialize)]
pub struct Taken {
    pub received: usize,
    /// Written now.
    pub new: usize,
    /// There already: their ids were taken before.
    pub known: usize,
    /// Older than the log goes back: not written.
    pub too_old: usize,
    #[serde(skip)]
    pub counted: Counted,
}

/// What is new of a batch, to be counted.
#[derive(Debug, Default)]
pub struct Counted {
    /// Namespace and name of the object that owns the resource server.
    pub resource_server: Option<String>,
    pub decisions: Vec<Decision>,
    /// Tools that the policy lists.
    pub listed: BTreeSet<String>,
}

/// A part of the log.
#[derive(Debug)]
pub struct AccessPage {
    /// The newest first.
    pub records: Vec<AccessRecord>,
    /// Where the next page begins; `None` = there is no more.
    pub next: Option<(Timestamp, String)>,
}

impl Activity {
    /// A batch as it was sent.
    ///
    /// # Errors
    /// What is wrong with it, and where; then nothing of it counts.
    pub fn read_decisions(&self, body: &[u8]) -> Result<Vec<Decision>, DecisionFault> {
        decision::batch(body, self.inner.parts.clock.now())
    }

    /// Keeps decisions about the calls of a resource server, in one commit.
    ///
    /// # Errors
    /// The database is away; then nothing is kept, and the same batch may come again.
    pub async fn take_in(
        &self,
        id: &str,
        mut decisions: Vec<Decision>,
        (by, point): (&Actor, Option<&Instance>),
    ) -> Result<Taken, Error> {
        let (parts, received) = (&self.inner.parts, decisions.len());
        let now = parts.clock.now();
        let oldest = now.saturating_sub(parts.rules.access_log_retention).unwrap_or(Timestamp::MIN);
        decisions.retain(|decision| decision.at >= oldest);
        // whoever sends the same at the same time waits for rows in the same order
        decisions.sort_by(|one, other| one.id.cmp(&other.id));
        let kept = decisions.len();
        if kept == 0 {
            return Ok(Taken { received, too_old: received, ..Taken::default() });
        }
        let mut tx = parts.store.write(by).await?;
        let mut new = tx.put_decisions(id, &decisions, (by, point), now).await?;
        tx.commit().await?;
        // of two with one id the first was written
        decisions.retain(|decision| new.remove(&decision.id));
        let snapshot = parts.store.snapshot();
        let entry = snapshot.resource_server(id);
        let owner = entry.and_then(|entry| entry.owner.as_ref());
        let listed = entry.map(|entry| entry.resource_server.tools.iter().map(|tool| tool.name.clone()).collect());
        Ok(Taken {
            received,
            new: decisions.len(),
            known: kept - decisions.len(),
            too_old: received - kept,
            counted: Counted {
                resource_server: owner.map(|owner| format!("{}/{}", owner.namespace, owner.name)),
                decisions,
                listed: listed.unwrap_or_default(),
            },
        })
    }

    /// The calls of a resource server, whether or not it is still there; `limit` is at most [`PAGE`]. `None` = no
    /// resource server ever had this id.
    ///
    /// # Errors
    /// The database is away.
    pub async fn access_log(&self, id: &str, filter: &AccessFilter, limit: i64) -> Result<Option<AccessPage>, Error> {
        let limit = limit.clamp(1, PAGE);
        let mut tx = self.inner.parts.store.read().await?;
        let mut records = tx.access_log(id, filter, limit + 1).await?;
        if records.is_empty() && !tx.knows_resource_server(id).await? {
            return Ok(None);
        }
        let size = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = records.len() > size;
        records.truncate(size);
        let next = records.last().filter(|_| more).map(|last| (last.decision.at, last.decision.id.clone()));
        Ok(Some(AccessPage { records, next }))
    }
}
