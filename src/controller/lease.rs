//! One writer at a time: a Lease held by compare-and-swap and given back on the way out.
//!
//! A foreign clock is never trusted: another's Lease has run out when it did not change for its whole duration by our
//! own clock. The fencing epoch in the database covers what a Lease cannot: a process that was stopped and woke up.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::time::Instant;

use crate::domain::Clock;

use super::error::{Error, is_conflict, kube_error};

/// How long a Lease holds without renewal.
const DURATION: Duration = Duration::from_secs(15);
/// A leader that could not renew for this long has stopped writing before its Lease ends.
pub(super) const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Between two attempts to renew or to acquire.
pub(super) const RETRY: Duration = Duration::from_secs(2);

/// Takes part in the election of one installation's leader.
pub(super) struct Elector {
    api: Api<Lease>,
    name: String,
    identity: String,
    clock: Arc<dyn Clock>,
    /// The other's Lease as last seen to change, and when that was.
    seen: Option<(String, Instant)>,
}

impl Elector {
    pub(super) fn new(client: Client, namespace: &str, name: &str, identity: &str, clock: Arc<dyn Clock>) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            clock,
            seen: None,
        }
    }

    /// Acquires or renews; whether we hold the Lease now.
    pub(super) async fn hold(&mut self) -> Result<bool, Error> {
        let Some(lease) = self.api.get_opt(&self.name).await.map_err(kube_error("read the Lease"))? else {
            return self.create().await;
        };
        let ours = self.is_ours(&lease);
        if !ours && !self.is_free(&lease) {
            return Ok(false);
        }
        let taken = self.take(lease);
        match self.api.replace(&self.name, &PostParams::default(), &taken).await {
            Ok(_) => Ok(true),
            // somebody wrote into our Lease, which is no reason to give it up before it is read again
            Err(error) if is_conflict(&error) && !ours => Ok(false),
            Err(error) => Err(kube_error("renew the Lease")(error)),
        }
    }

    /// Gives the Lease back, so that the next leader need not wait. Does nothing when it is no longer ours.
    pub(super) async fn release(&self) -> Result<(), Error> {
        let lease = self.api.get_opt(&self.name).await.map_err(kube_error("read the Lease"))?;
        let Some(mut lease) = lease.filter(|lease| self.is_ours(lease)) else { return Ok(()) };
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = None;
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(MicroTime(self.clock.now()));
        match self.api.replace(&self.name, &PostParams::default(), &lease).await {
            Err(error) if !is_conflict(&error) => Err(kube_error("release the Lease")(error)),
            _ => Ok(()),
        }
    }

    async fn create(&self) -> Result<bool, Error> {
        let empty =
            Lease { metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() }, spec: None };
        match self.api.create(&PostParams::default(), &self.take(empty)).await {
            Ok(_) => Ok(true),
            Err(error) if is_conflict(&error) => Ok(false),
            Err(error) => Err(kube_error("create the Lease")(error)),
        }
    }

    fn is_ours(&self, lease: &Lease) -> bool {
        holder(lease) == Some(self.identity.as_str())
    }

    fn is_free(&mut self, lease: &Lease) -> bool {
        if holder(lease).is_none_or(str::is_empty) {
            return true;
        }
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
        let holds = seconds.and_then(|s| u64::try_from(s).ok()).map_or(DURATION, Duration::from_secs);
        match &self.seen {
            Some((before, since)) if *before == version => since.elapsed() >= holds,
            _ => {
                self.seen = Some((version, Instant::now()));
                false
            }
        }
    }

    /// The Lease as ours; keeps the resourceVersion, which makes the replacement a compare-and-swap.
    fn take(&self, mut lease: Lease) -> Lease {
        let now = MicroTime(self.clock.now());
        let renewed = self.is_ours(&lease);
        let before = lease.spec.take().unwrap_or_default();
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            renew_time: Some(now.clone()),
            acquire_time: if renewed { before.acquire_time } else { Some(now) },
            lease_transitions: Some(before.lease_transitions.unwrap_or(0) + i32::from(!renewed)),
            ..LeaseSpec::default()
        });
        lease
    }
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref()
}
