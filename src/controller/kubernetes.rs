//! Our own objects at the API server: read, conditions, finalizer.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
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

/// Adds or takes away the finalizer. Every step is tested by the API server, so that no other finalizer is lost.
pub(super) async fn set_finalizer(context: &Context, object: &Object, wanted: bool) -> Result<(), Error> {
    let present = object.metadata().finalizers.as_deref().unwrap_or_default();
    let position = present.iter().position(|finalizer| finalizer == FINALIZER);
    let operations = match (wanted, position) {
        (true, None) if present.is_empty() => json!([
            { "op": "test", "path": "/metadata/finalizers", "value": null },
            { "op": "add", "path": "/metadata/finalizers", "value": [FINALIZER] },
        ]),
        (true, None) => json!([
            { "op": "test", "path": "/metadata/finalizers", "value": present },
            { "op": "add", "path": "/metadata/finalizers/-", "value": FINALIZER },
        ]),
        (false, Some(index)) => json!([
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
