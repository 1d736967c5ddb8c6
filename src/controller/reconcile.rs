//! The walk of one object: dereference → desired → apply → publish → status.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::domain::{DeletionPolicy, Desired, OwnerKey, Spec};
use crate::manifest::{self, Object};
use crate::provision::{self, Applied, ChangeKind};

use super::backoff::spread;
use super::cleanup::{Cleanup, cleanup, release_secret};
use super::context::Context;
use super::dereference::dereference;
use super::error::Error;
use super::kubernetes::{has_finalizer, is_as_shown, set_finalizer};
use super::outcome::{Outcome, Published, Verdict};
use super::publish::publish;
use super::report;
use super::secret::{Asker, wanted};
use super::status;

/// While something outside is awaited that no watch shows: an unlabelled Secret, a blocked deletion.
const AWAITED: Duration = Duration::from_secs(60);
/// A time that has come is not waited for in a spin.
const SOON: Duration = Duration::from_secs(1);

/// How a walk ended, for the log line and the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Changed,
    Unchanged,
    Invalid,
    /// Another installation's object, or one that is gone.
    Ignored,
}

/// Looks at one object, whatever the reason, and says when to look again.
pub(super) async fn reconcile(object: &Object, context: &Context) -> Result<Option<Duration>, Error> {
    let started = Instant::now();
    let key = object.key();
    let walked = walk(context, object).await;
    report::reconciled(context, &key, walked.as_ref().map(|(ended, _)| *ended), started.elapsed());
    context.told.notify_one();
    if walked.as_ref().is_err_and(Error::is_fenced) {
        context.fenced.cancel();
    }
    let (_, again) = walked?;
    context.backoff.succeeded(&key);
    Ok(again)
}

/// An object that this program cannot read is told so; what was in force stays.
pub(super) async fn unreadable(key: &OwnerKey, error: &str, context: &Context) -> Result<Duration, Error> {
    let started = Instant::now();
    status::publish_unreadable(context, key, error).await?;
    report::reconciled(context, key, Ok(Ended::Invalid), started.elapsed());
    Ok(spread(key, context.settings.rescan))
}

async fn walk(context: &Context, object: &Object) -> Result<(Ended, Option<Duration>), Error> {
    if !manifest::is_ours(object, &context.settings.policy) {
        return Ok((Ended::Ignored, None));
    }
    if object.metadata().deletion_timestamp.is_some() {
        return Ok(match cleanup(context, object).await? {
            Cleanup::Gone => (Ended::Changed, None),
            Cleanup::Blocked => (Ended::Unchanged, Some(AWAITED)),
        });
    }
    keep_deletion_policy(context, object).await?;
    let (outcome, failure) = apply(context, object).await?;
    status::publish(context, object, &outcome).await?;
    match failure {
        Some(error) => Err(error),
        None => Ok((ended(&outcome), Some(again(context, &object.key(), &outcome)))),
    }
}

/// Finalizer and ownerReference exist only under Delete, so that a retained object can never hang.
async fn keep_deletion_policy(context: &Context, object: &Object) -> Result<(), Error> {
    let delete = manifest::deletion_policy(object) == DeletionPolicy::Delete;
    if delete == has_finalizer(object) {
        return Ok(());
    }
    if !delete {
        release_secret(context, object).await?;
    }
    set_finalizer(context, object, delete).await
}

/// Everything but the status. With a failure of the infrastructure comes what can still be said.
async fn apply(context: &Context, object: &Object) -> Result<(Outcome, Option<Error>), Error> {
    let policy = &context.settings.policy;
    let wanted = wanted(object);
    let needs = manifest::needs(object);
    context.caches.index.put(&object.key(), &needs, wanted.as_ref().map(|wanted| wanted.name.as_str()));
    let references = dereference(context, object, &needs).await?;
    let desired = match manifest::desired(object, &references, policy) {
        Ok(desired) => desired,
        Err(invalid) => return Ok((Outcome::of(object, &references, policy, Verdict::Invalid(invalid)), None)),
    };
    let failed = |error: Error| {
        if error.is_fenced() {
            return Err(error);
        }
        let verdict = match &error {
            Error::Provision(provision::Error::Uncorrected { drift, .. }) => Verdict::Uncorrected(drift.clone()),
            _ => Verdict::Unavailable,
        };
        let mut outcome = Outcome::of(object, &references, policy, verdict);
        outcome.desired = Some(Box::new(desired.clone()));
        Ok((outcome, Some(error)))
    };
    let applied = match hold_to(context, object, &desired).await {
        Ok(applied) => applied,
        Err(error @ Error::Provision(_)) => return failed(error),
        Err(error) => return Err(error),
    };
    let mut outcome = Outcome::of(object, &references, policy, applied.into());
    if let Some(done) = outcome.done() {
        match publish(context, &Asker::of(object), wanted.as_ref(), &desired, done).await {
            Ok(published) => outcome.secret = published,
            Err(error @ Error::Provision(_)) => return failed(error),
            Err(error) => return Err(error),
        }
    }
    if let (Some(done), Spec::ResourceServer(policy)) = (outcome.done(), &desired.spec) {
        outcome.standing = context.enforcement.standing(&done.entity_id, policy, done.revision).await;
    }
    outcome.desired = Some(Box::new(desired));
    Ok((outcome, None))
}

/// Holds the database to it. What a watch shows may be long past: before anything is written, the object itself is asked.
async fn hold_to(context: &Context, object: &Object, desired: &Desired) -> Result<Applied, Error> {
    if let Some(applied) = context.provisioner.look(desired).await? {
        return Ok(applied);
    }
    if !is_as_shown(context, object).await? {
        return Err(Error::Behind);
    }
    Ok(context.provisioner.apply(desired).await?)
}

fn ended(outcome: &Outcome) -> Ended {
    match &outcome.verdict {
        Verdict::Applied(done) if done.change == ChangeKind::Unchanged => Ended::Unchanged,
        Verdict::Applied(_) => Ended::Changed,
        Verdict::Refused(_) | Verdict::Invalid(_) | Verdict::Unavailable | Verdict::Uncorrected(_) => Ended::Invalid,
    }
}

/// When something falls due, at the latest with the full scan.
fn again(context: &Context, key: &OwnerKey, outcome: &Outcome) -> Duration {
    let awaited = matches!(outcome.secret, Published::Conflict(_) | Published::Unusable(_))
        || outcome.unresolved.iter().any(|unresolved| unresolved.error.message.starts_with("Secret "));
    let scan = spread(key, if awaited { AWAITED.min(context.settings.rescan) } else { context.settings.rescan });
    let now = context.clock.now();
    let due = outcome.secret_state().into_iter().flat_map(|state| {
        state.next_rotation.into_iter().chain(state.retiring.iter().filter_map(|credential| credential.retire_at))
    });
    due.map(|when| until(now, when).max(SOON)).min().map_or(scan, |due| due.min(scan))
}

fn until(now: Timestamp, when: Timestamp) -> Duration {
    // a little late rather than a little early, or the look would find nothing due
    Duration::try_from(when.duration_since(now)).unwrap_or_default() + Duration::from_millis(50)
}

/// Tells that a look failed, and decides when the next one is due.
pub(super) fn failed(key: &OwnerKey, error: &str, context: &Context) -> Duration {
    let wait = context.backoff.failed(key);
    tracing::warn!(
        event = "reconcile_failed",
        kind = key.kind.as_str(),
        namespace = key.namespace,
        name = key.name,
        retry_seconds = wait.as_secs_f64(),
        error
    );
    wait
}
