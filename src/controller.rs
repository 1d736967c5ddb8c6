//! The cluster's door: custom resources in, conditions, Events and Secrets out.
//!
//! Only the leader walks through it. A term of leadership begins when the Lease is held and the database has given a
//! fencing epoch; it ends before the Lease does, and everything that it started ends with it.

mod backoff;
mod board;
mod brake;
mod cache;
mod cleanup;
mod conditions;
mod context;
mod definitions;
mod dereference;
mod error;
mod event;
mod index;
mod kubernetes;
mod lease;
mod line;
mod master_key;
mod orphans;
mod outcome;
mod publish;
mod queue;
mod reconcile;
mod report;
mod review;
mod scan;
mod secret;
mod status;
mod term;
mod wake;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use tokio::sync::watch::Sender;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::enforcement::Enforcement;
use crate::domain::{Clock, Epoch};
use crate::manifest::Policy;
use crate::metrics::Metrics;
use crate::provision::Provisioner;

use context::Start;
use lease::{Elector, RENEW_DEADLINE, RETRY};

pub use board::Board;
pub use error::Error;
pub use master_key::MasterKeySecret;
pub use review::TokenReviews;

/// What the controller is made of.
pub struct Parts {
    pub client: Client,
    pub provisioner: Provisioner,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    pub settings: Settings,
    /// Told when this process begins and ceases to lead; `provisioner` listens.
    pub leadership: Sender<Option<Epoch>>,
    /// Where the last word on each object is kept.
    pub board: Board,
    /// Who hears from enforcement points.
    pub enforcement: Arc<dyn Enforcement>,
}

/// What configuration says.
#[derive(Debug, Clone)]
pub struct Settings {
    pub policy: Policy,
    /// Goes into generated Secrets, as configured.
    pub issuer: String,
    /// Namespaces to watch; empty = all.
    pub namespaces: Vec<String>,
    /// Namespace and name of the Lease.
    pub lease: (String, String),
    /// Who holds the Lease and reports Events: the pod's name, unlike any other's.
    pub identity: String,
    /// How often each object is looked at though nothing happened; spread by up to a quarter.
    pub rescan: Duration,
    /// A brake to confirm at the beginning of a term.
    pub confirm: Option<String>,
}

/// How long reconciles that are under way may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// The identity of a cluster: uid of the namespace kube-system.
///
/// # Errors
/// The API server refused or could not be reached.
pub async fn cluster_uid(client: &Client) -> Result<String, Error> {
    let api: Api<Namespace> = Api::all(client.clone());
    let found = api.get_metadata("kube-system").await.map_err(error::kube_error("read the namespace kube-system"))?;
    found.metadata.uid.ok_or(Error::Anonymous("uid"))
}

/// Takes part in the election until `stop`, and reconciles while it leads.
pub async fn run(parts: Parts, stop: CancellationToken) {
    let (namespace, name) = &parts.settings.lease;
    let clock = Arc::clone(&parts.clock);
    let mut elector = Elector::new(parts.client.clone(), namespace, name, &parts.settings.identity, clock);
    while campaign(&mut elector, &stop).await {
        match parts.provisioner.take_over().await {
            Ok(epoch) => lead(&parts, &mut elector, epoch, &stop).await,
            Err(error) => {
                tracing::warn!(event = "leadership_failed", error = Error::from(error).chain());
                let _ = stop.run_until_cancelled(tokio::time::sleep(RETRY)).await;
            }
        }
        if let Ok(Err(error)) = tokio::time::timeout(GRACE, elector.release()).await {
            tracing::warn!(event = "leadership_failed", error = error.chain());
        }
    }
}

/// Waits for the Lease; `false` when there is nothing more to wait for.
async fn campaign(elector: &mut Elector, stop: &CancellationToken) -> bool {
    while !stop.is_cancelled() {
        let attempt = tokio::time::timeout(RENEW_DEADLINE, elector.hold());
        match stop.run_until_cancelled(attempt).await {
            Some(Ok(Ok(true))) => return true,
            Some(Ok(Ok(false)) | Err(_)) | None => {}
            Some(Ok(Err(error))) => tracing::warn!(event = "leadership_failed", error = error.chain()),
        }
        let _ = stop.run_until_cancelled(tokio::time::sleep(RETRY)).await;
    }
    false
}

/// One term: begins at once, ends with `stop`, with the Lease, or when the database knows a later leader.
async fn lead(parts: &Parts, elector: &mut Elector, epoch: Epoch, stop: &CancellationToken) {
    let lead_over = |epoch: Option<Epoch>| {
        parts.leadership.send_replace(epoch);
        parts.metrics.leader(epoch);
    };
    tracing::info!(event = "leading", epoch = epoch.0, identity = parts.settings.identity);
    lead_over(Some(epoch));
    let over = stop.child_token();
    let start = Start {
        client: parts.client.clone(),
        provisioner: parts.provisioner.clone(),
        metrics: Arc::clone(&parts.metrics),
        clock: Arc::clone(&parts.clock),
        settings: parts.settings.clone(),
        board: parts.board.clone(),
        enforcement: Arc::clone(&parts.enforcement),
    };
    let mut term = tokio::spawn(term::serve(start, over.clone()));
    let lost = renew(elector, &over).await;
    over.cancel();
    if lost {
        // nothing may be written any more: what is under way is refused by the database
        lead_over(None);
    }
    if tokio::time::timeout(GRACE, &mut term).await.is_err() {
        term.abort();
    }
    lead_over(None);
    tracing::info!(event = "not_leading", epoch = epoch.0, lost);
}

/// Renews until the term is over; whether the Lease was lost.
async fn renew(elector: &mut Elector, over: &CancellationToken) -> bool {
    let mut renewed = Instant::now();
    while over.run_until_cancelled(tokio::time::sleep(RETRY)).await.is_some() {
        let started = Instant::now();
        match tokio::time::timeout(RENEW_DEADLINE.saturating_sub(renewed.elapsed()), elector.hold()).await {
            Ok(Ok(true)) => renewed = started,
            Ok(Ok(false)) => return true,
            Ok(Err(error)) => tracing::warn!(event = "leadership_failed", error = error.chain()),
            Err(_) => {}
        }
        if renewed.elapsed() >= RENEW_DEADLINE {
            return true;
        }
    }
    false
}
