//! The end of an object: its policy is taken out of force before it may go, and only then.

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;

use crate::domain::DeletionPolicy;
use crate::manifest::{Object, deletion_policy};
use crate::provision::Removed;

use super::context::Context;
use super::error::{Error, kube_error};
use super::kubernetes::{definition, has_finalizer, is_as_shown, read, set_finalizer};
use super::secret::{Asker, disown, wanted};
use super::status;

/// Whether the object may go now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cleanup {
    Gone,
    /// Something still needs it.
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
    if policy == DeletionPolicy::Delete && is_definition_terminating(context, object).await? {
        policy = DeletionPolicy::Retain;
    }
    match context.provisioner.remove(&key, policy, object.uid()).await? {
        Removed::Blocked(note) => {
            context.blocked().insert(key);
            status::publish_blocked(context, object, &note).await?;
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

/// Deleting a definition stamps all its objects and looks like deleting each: that must not revoke everything.
async fn is_definition_terminating(context: &Context, object: &Object) -> Result<bool, Error> {
    let api: Api<CustomResourceDefinition> = Api::all(context.client.clone());
    let found = api.get_opt(&definition(object.kind())).await.map_err(kube_error("read the definition"))?;
    Ok(found.is_none_or(|definition| definition.metadata.deletion_timestamp.is_some()))
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
