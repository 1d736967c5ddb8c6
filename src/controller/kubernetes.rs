//! Our own objects at the API server: read, conditions, finalizer.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{ApiResource, DynamicObject, ObjectMeta, Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde_json::json;

use crate::crd;
use crate::domain::{Kind, OwnerKey};
use crate::manifest::Object;

use super::context::Context;
use super::error::{Error, is_not_found, kube_error};

/// Held while the object's policy has to be taken out of force before it may go.
pub(super) const FINALIZER: &str = "holdfast.dev/cleanup";

fn resource(kind: Kind) -> ApiResource {
    match kind {
        Kind::ResourceServer => ApiResource::erase::<crd::ResourceServer>(&()),
        Kind::OAuthClient => ApiResource::erase::<crd::OAuthClient>(&()),
        Kind::Provider => ApiResource::erase::<crd::Provider>(&()),
    }
}

/// The name of the kind's definition.
pub(super) fn definition(kind: Kind) -> String {
    let plural = match kind {
        Kind::ResourceServer => crd::ResourceServer::plural(&()),
        Kind::OAuthClient => crd::OAuthClient::plural(&()),
        Kind::Provider => crd::Provider::plural(&()),
    };
    format!("{plural}.{}", crd::GROUP)
}

/// The objects of a kind in a namespace, without their types.
pub(super) fn api(client: &Client, key: &OwnerKey) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), &key.namespace, &resource(key.kind))
}

/// The object as it is at the API server now.
pub(super) async fn read(context: &Context, key: &OwnerKey) -> Result<Option<Object>, Error> {
    let found = api(&context.client, key).get_opt(&key.name).await.map_err(kube_error("read the object"))?;
    let Some(found) = found else { return Ok(None) };
    Ok(Some(Object::from_value(serde_json::to_value(found)?)?))
}

/// Whether this is the object, and the spec, that the API server has now.
pub(super) async fn is_as_shown(context: &Context, object: &Object) -> Result<bool, Error> {
    let key = object.key();
    let live = api(&context.client, &key).get_metadata_opt(&key.name).await.map_err(kube_error("read the object"))?;
    let of = |metadata: &ObjectMeta| (metadata.uid.clone(), metadata.generation);
    Ok(live.is_some_and(|live| of(&live.metadata) == of(object.metadata())))
}

pub(super) fn conditions_of(object: &Object) -> &[Condition] {
    match object {
        Object::ResourceServer(object) => object.status.as_ref().map(|status| status.conditions.as_slice()),
        Object::OAuthClient(object) => object.status.as_ref().map(|status| status.conditions.as_slice()),
        Object::Provider(object) => object.status.as_ref().map(|status| status.conditions.as_slice()),
    }
    .unwrap_or_default()
}

pub(super) fn has_finalizer(object: &Object) -> bool {
    object.metadata().finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}

/// Adds or takes away the finalizer. The API server tests that it is this object, and each step, so that no other
/// finalizer is lost.
pub(super) async fn set_finalizer(context: &Context, object: &Object, wanted: bool) -> Result<(), Error> {
    let present = object.metadata().finalizers.as_deref().unwrap_or_default();
    let position = present.iter().position(|finalizer| finalizer == FINALIZER);
    let this = json!({ "op": "test", "path": "/metadata/uid", "value": object.uid() });
    let operations = match (wanted, position) {
        (true, None) if present.is_empty() => json!([
            this,
            { "op": "test", "path": "/metadata/finalizers", "value": null },
            { "op": "add", "path": "/metadata/finalizers", "value": [FINALIZER] },
        ]),
        (true, None) => json!([
            this,
            { "op": "test", "path": "/metadata/finalizers", "value": present },
            { "op": "add", "path": "/metadata/finalizers/-", "value": FINALIZER },
        ]),
        (false, Some(index)) => json!([
            this,
            { "op": "test", "path": format!("/metadata/finalizers/{index}"), "value": FINALIZER },
            { "op": "remove", "path": format!("/metadata/finalizers/{index}") },
        ]),
        (true, Some(_)) | (false, None) => return Ok(()),
    };
    let patch = Patch::<()>::Json(serde_json::from_value(operations)?);
    let key = object.key();
    match api(&context.client, &key).patch(&key.name, &PatchParams::default(), &patch).await {
        Err(error) if !wanted && is_not_found(&error) => Ok(()),
        other => other.map(drop).map_err(kube_error("write the finalizer")),
    }
}
