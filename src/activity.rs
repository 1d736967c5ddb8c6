//! What happens to a live policy, and what those who enforce it are told: the log of changes, the policy that
//! enforcement points run, the manifests that they publish, the calls that they decide about.

mod access_log;
mod log;
mod manifest;
mod policy;
mod report;
mod standing;
mod waiting;

use std::sync::Arc;

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use crate::domain::{Clock, Observer};
use crate::store::{self, Store};

pub use access_log::{AccessPage, Counted, MAX_DECISIONS, Taken};
pub use log::{PAGE, Page};
pub use manifest::{Before, Comparison, MAX_MANIFEST, Published};
pub use policy::PolicyDocument;
pub use report::MOST_POINTS;
pub use standing::Surveyed;
pub use waiting::{MOST_WAITING, Place, TooManyWaiting};

/// What this room could not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else published since (RFC 9110 §13.1.1).
    #[error("another manifest was published since")]
    Changed,
    #[error("there is no such ResourceServer")]
    Gone,
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// The same call may work later.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_unavailable())
    }
}

/// What the room is made of.
pub struct Parts {
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    pub observer: Arc<dyn Observer>,
    /// Without a slash at its end.
    pub issuer: String,
    pub rules: Rules,
}

/// How long things are kept.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Seconds for which enforcement points may keep a policy without asking again.
    pub ttl_seconds: i64,
    /// The same while a resource server is not ready.
    pub not_ready_ttl_seconds: i64,
    /// Calls that are older are not taken into the log.
    pub access_log_retention: SignedDuration,
}

impl Default for Rules {
    fn default() -> Self {
        let access_log_retention = SignedDuration::from_hours(30 * 24);
        Self { ttl_seconds: 300, not_ready_ttl_seconds: 60, access_log_retention }
    }
}

/// The room. Cheap to clone.
#[derive(Clone)]
pub struct Activity {
    inner: Arc<Inner>,
}

struct Inner {
    parts: Parts,
    made: policy::Made,
    waiting: Arc<waiting::Waiting>,
    reports: report::Reports,
    standings: standing::Standings,
}

impl Activity {
    pub fn new(parts: Parts) -> Self {
        Self {
            inner: Arc::new(Inner {
                parts,
                made: policy::Made::default(),
                waiting: Arc::default(),
                reports: report::Reports::default(),
                standings: standing::Standings::default(),
            }),
        }
    }

    /// What every replica does until `stop`: wakes those who wait for a policy, and writes down what enforcement points
    /// say.
    pub async fn follow(&self, stop: CancellationToken) {
        tokio::join!(self.ring(&stop), self.write_reports(&stop));
    }
}
