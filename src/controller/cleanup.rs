//! The end of an object: its policy is taken out of force before it may go, and only then.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use crate::domain::{DeletionPolicy, OwnerKey, Reason};
use crate::manifest::{Object, deletion_policy};
use crate::provision::Removed;

use super::context::Context;
use super::definitions::stands;
use super::dereference::namespace;
use super::error::Error;
use super::kubernetes::{has_finalizer, is_as_shown, read, set_finalizer};
use super::secret::{Asker, disown, wanted};
use super::status;

/// Whether the object may go now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cleanup {
    Gone,
    /// Something still needs it, or the brake holds it.
    Blocked,
}

/// Takes the policy out of force and lets the object go. Safe to repeat from any point.
pub(super) async fn cleanup(context: &Context, object: &Object) -> Result<Cleanup, Error> {
    let key = object.key();
    if !has_finalizer(object) {
        return Ok(Cleanup::Gone);
    }
    // an earlier object of this name, as an old list shows it, takes nothing along
    if !is_as_shown(context, object).await? {
        return Err(Error::Behind);
    }
    let mut policy = deletion_policy(object);
    // deleting a definition stamps all its objects and looks like deleting each: that must not revoke everything
    if policy == DeletionPolicy::Delete && !stands(context, object.kind()).await? {
        policy = DeletionPolicy::Retain;
    }
    match remove(context, object, policy).await? {
        Removed::Blocked(note) => {
            context.blocked().insert(key);
            status::publish_waiting(context, object, Reason::DeletionBlocked, &note).await?;
            return Ok(Cleanup::Blocked);
        }
        Removed::Held(held) => {
            status::publish_waiting(context, object, Reason::MassChangeBrake, &held.note).await?;
            return Ok(Cleanup::Blocked);
        }
        Removed::Deleted | Removed::Retained | Removed::Nothing => {}
    }
    if policy == DeletionPolicy::Retain {
        release_secret(context, object).await?;
    }
    set_finalizer(context, object, false).await?;
    forget(context, object);
    Ok(Cleanup::Gone)
}

/// What is itself going blocks nothing, and in a namespace that is going nothing is blocked.
async fn remove(context: &Context, object: &Object, policy: DeletionPolicy) -> Result<Removed, Error> {
    let (provisioner, key) = (&context.provisioner, object.key());
    let stays = |owner: Option<&OwnerKey>| owner.is_none_or(|owner| !context.caches.is_going(owner));
    let removed = provisioner.remove_despite(&key, policy, object.uid(), &stays).await?;
    if !matches!(removed, Removed::Blocked(_)) {
        return Ok(removed);
    }
    if namespace(context, object.namespace()).await?.deletion_timestamp.is_none() {
        return Ok(removed);
    }
    Ok(provisioner.remove_despite(&key, policy, object.uid(), &|_| false).await?)
}

/// An object whose policy is Retain is gone without a finalizer: its row is released.
pub(super) async fn release(context: &Context, object: &Object) -> Result<(), Error> {
    forget(context, object);
    if !has_finalizer(object) && deletion_policy(object) == DeletionPolicy::Retain {
        if read(context, &object.key()).await?.is_some() {
            // another object has the name by now, and the row
            return Ok(());
        }
        context.provisioner.remove(&object.key(), DeletionPolicy::Retain, object.uid()).await?;
        context.told.notify_one();
    }
    Ok(())
}

/// Takes the object's ownership off its generated Secret, which would be collected with it.
pub(super) async fn release_secret(context: &Context, object: &Object) -> Result<(), Error> {
    let Some(wanted) = wanted(object) else { return Ok(()) };
    let api: Api<Secret> = Api::namespaced(context.client.clone(), object.namespace());
    disown(&api, &wanted.name, &Asker::of(object)).await
}

fn forget(context: &Context, object: &Object) {
    let key = object.key();
    context.caches.index.remove(&key);
    context.board.remove(&key);
    context.blocked().remove(&key);
    context.settled().remove(&key);
    context.backoff.succeeded(&key);
}
