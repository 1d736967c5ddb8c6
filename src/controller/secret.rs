//! The Secret that carries a generated credential: whose it is, what is in it, and how it is written.
//!
//! First contact is a POST, so that a foreign Secret is met as AlreadyExists and not merged into. Afterwards it is
//! server-side apply without force, to the Secret as it was read: another field manager's value is a conflict.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, OwnerReference};
use kube::Api;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::crd::secret::{SecretKeys, SecretSource};
use crate::domain::{DeletionPolicy, OwnerKey, SecretText};
use crate::manifest::{Object, deletion_policy};
use crate::provision::Held;

use super::error::{Error, is_conflict, is_forbidden, is_invalid, is_not_found, kube_error, status};

/// The name under which this operator owns fields.
pub(super) const FIELD_MANAGER: &str = "holdfast.dev/operator";
/// By which the operator's own Secrets are watched.
pub(super) const MANAGED_LABEL: (&str, &str) = ("app.kubernetes.io/managed-by", "holdfast");
/// Says whose a Secret is that has no ownerReference: `OAuthClient/web/portal`.
pub(super) const OWNER_ANNOTATION: &str = "holdfast.dev/owner";

/// A Secret that an object asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    pub name: String,
    pub keys: SecretKeys,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

/// The object that asks.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    pub key: OwnerKey,
    pub uid: String,
    pub generation: i64,
    /// The Secret outlives the object.
    pub retain: bool,
}

impl Asker {
    pub(super) fn of(object: &Object) -> Self {
        Self {
            key: object.key(),
            uid: object.uid().to_owned(),
            generation: object.metadata().generation.unwrap_or_default(),
            retain: deletion_policy(object) == DeletionPolicy::Retain,
        }
    }
}

/// The generated Secret that an object asks for.
pub(super) fn wanted(object: &Object) -> Option<Wanted> {
    match object {
        Object::OAuthClient(client) => {
            let secret = client.spec.authentication.secret.as_ref()?;
            let template = secret.template.clone().unwrap_or_default();
            (secret.source == SecretSource::Generated).then(|| Wanted {
                name: secret.name.clone(),
                keys: secret.keys.clone(),
                labels: template.labels,
                annotations: template.annotations,
            })
        }
        Object::ResourceServer(server) => server.spec.introspection.as_ref().map(|introspection| Wanted {
            name: introspection.secret.name.clone(),
            keys: SecretKeys::default(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        }),
        Object::Provider(_) => None,
    }
}

/// How a write ended.
pub(super) enum Written {
    Done,
    /// Somebody else was there first: read again.
    Raced(kube::Error),
    Conflict(String),
    Unusable(String),
}

/// Why a Secret is not this object's; `None` = it is.
pub(super) fn foreign(secret: &Secret, asker: &Asker) -> Option<String> {
    let name = secret.metadata.name.as_deref().unwrap_or_default();
    let marked = annotation(secret, OWNER_ANNOTATION) == Some(&asker.key.to_string());
    let controller = secret.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    match controller {
        Some(owner) if owner.uid == asker.uid => None,
        // an earlier object of this name, whose Secret is not collected yet
        Some(owner) if owner.kind == asker.key.kind.as_str() && owner.name == asker.key.name && marked => None,
        Some(owner) => Some(format!("Secret {name} belongs to {} {}", owner.kind, owner.name)),
        None if marked => None,
        None => match annotation(secret, OWNER_ANNOTATION) {
            Some(other) => Some(format!("Secret {name} belongs to {other}")),
            None => Some(format!("Secret {name} exists and was not made by this object; it is left as it is")),
        },
    }
}

/// Whether the operator made it, for whatever object.
pub(super) fn is_made_here(secret: &Secret) -> bool {
    annotation(secret, OWNER_ANNOTATION).is_some()
}

fn annotation<'a>(secret: &'a Secret, name: &str) -> Option<&'a String> {
    secret.metadata.annotations.as_ref()?.get(name)
}

/// The credential in a Secret; `None` when its value is not text.
pub(super) fn held(secret: Option<&Secret>, key: &str) -> Option<Held> {
    let Some(value) = secret.and_then(|s| s.data.as_ref()).and_then(|data| data.get(key)) else {
        return Some(Held::Absent);
    };
    std::str::from_utf8(&value.0).ok().map(|text| Held::Value(SecretText::new(text)))
}

/// The whole Secret as it should be.
pub(super) fn content(wanted: &Wanted, asker: &Asker, issuer: &str, id: &str, value: &SecretText) -> Secret {
    let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
    let mut labels = wanted.labels.clone();
    labels.insert(MANAGED_LABEL.0.to_owned(), MANAGED_LABEL.1.to_owned());
    let mut annotations = wanted.annotations.clone();
    annotations.insert(OWNER_ANNOTATION.to_owned(), asker.key.to_string());
    let owner = OwnerReference {
        api_version: crate::crd::API_VERSION.to_owned(),
        kind: asker.key.kind.as_str().to_owned(),
        name: asker.key.name.clone(),
        uid: asker.uid.clone(),
        controller: Some(true),
        block_owner_deletion: None,
    };
    Secret {
        metadata: ObjectMeta {
            name: Some(wanted.name.clone()),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: (!asker.retain).then(|| vec![owner]),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([
            (wanted.keys.client_id.clone(), bytes(id)),
            (wanted.keys.client_secret.clone(), bytes(value.expose())),
            (wanted.keys.issuer.clone(), bytes(issuer)),
        ])),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

/// Whether the live Secret lacks something of `content`, or is owned although it should not be.
pub(super) fn differs(live: &Secret, content: &Secret, asker: &Asker) -> bool {
    let lacks = |live: &Option<BTreeMap<String, String>>, wanted: &Option<BTreeMap<String, String>>| {
        let has = |key: &String, value: &String| live.as_ref().and_then(|map| map.get(key)) == Some(value);
        wanted.iter().flatten().any(|(key, value)| !has(key, value))
    };
    let owned = live.metadata.owner_references.iter().flatten().any(|owner| owner.uid == asker.uid);
    let keys = |secret: &Secret| secret.data.clone().unwrap_or_default();
    let (live_data, wanted_data) = (keys(live), keys(content));
    owned == asker.retain
        || lacks(&live.metadata.labels, &content.metadata.labels)
        || lacks(&live.metadata.annotations, &content.metadata.annotations)
        || wanted_data.iter().any(|(key, value)| live_data.get(key) != Some(value))
}

/// Writes `content` where `live` was read.
pub(super) async fn write(api: &Api<Secret>, live: Option<&Secret>, content: Secret) -> Result<Written, Error> {
    let name = content.metadata.name.clone().unwrap_or_default();
    let result = match live {
        None => {
            let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
            api.create(&parameters, &content).await
        }
        Some(live) => {
            let claimed = claim_fields(api, &name, live).await?;
            let mut content = content;
            content.metadata.uid.clone_from(&live.metadata.uid);
            content.metadata.resource_version = claimed.or_else(|| live.metadata.resource_version.clone());
            api.patch(&name, &PatchParams::apply(FIELD_MANAGER), &Patch::Apply(&content)).await
        }
    };
    let Err(error) = result else { return Ok(Written::Done) };
    let message = status(&error).map(|status| status.message.clone()).unwrap_or_default();
    match &error {
        _ if is_conflict(&error) && is_field_conflict(&error) => {
            Ok(Written::Conflict(format!("Secret {name} was changed by somebody else and is left as it is: {message}")))
        }
        _ if is_conflict(&error) || is_not_found(&error) => Ok(Written::Raced(error)),
        _ if is_forbidden(&error) || is_invalid(&error) => {
            Ok(Written::Unusable(format!("Secret {name} could not be written: {message}")))
        }
        _ => Err(kube_error("write a Secret")(error)),
    }
}

fn is_field_conflict(error: &kube::Error) -> bool {
    let causes = status(error).and_then(|status| status.details.as_ref()).map(|details| &details.causes);
    causes.is_some_and(|causes| causes.iter().any(|cause| cause.reason == "FieldManagerConflict"))
}

/// What a POST wrote counts as an update, which would conflict with our own apply: it is recorded as applied. The
/// resourceVersion since, if there is a new one.
async fn claim_fields(api: &Api<Secret>, name: &str, live: &Secret) -> Result<Option<String>, Error> {
    let ours = |entry: &&ManagedFieldsEntry, operation: &str| {
        entry.manager.as_deref() == Some(FIELD_MANAGER) && entry.operation.as_deref() == Some(operation)
    };
    let entries = live.metadata.managed_fields.as_deref().unwrap_or_default();
    if !entries.iter().any(|entry| ours(&entry, "Update")) {
        return Ok(None);
    }
    let applied = entries.iter().any(|entry| ours(&entry, "Apply"));
    let claimed: Vec<ManagedFieldsEntry> = entries
        .iter()
        .filter(|entry| !(applied && ours(entry, "Update")))
        .cloned()
        .map(|mut entry| {
            if ours(&&entry, "Update") {
                entry.operation = Some("Apply".to_owned());
            }
            entry
        })
        .collect();
    let metadata = json!({ "resourceVersion": live.metadata.resource_version, "managedFields": claimed });
    let patch = Patch::Merge(json!({ "metadata": metadata }));
    match api.patch(name, &PatchParams::default(), &patch).await {
        // the apply that follows meets the same
        Err(error) if is_conflict(&error) || is_not_found(&error) => Ok(None),
        Err(error) => Err(kube_error("write a Secret")(error)),
        Ok(claimed) => Ok(claimed.metadata.resource_version),
    }
}

/// Takes the object's ownerReference off its Secret, so that the Secret outlives it.
pub(super) async fn disown(api: &Api<Secret>, name: &str, asker: &Asker) -> Result<(), Error> {
    let Some(live) = api.get_opt(name).await.map_err(kube_error("read a Secret"))? else { return Ok(()) };
    let owners = live.metadata.owner_references.clone().unwrap_or_default();
    let others: Vec<OwnerReference> = owners.iter().filter(|owner| owner.uid != asker.uid).cloned().collect();
    if others.len() == owners.len() {
        return Ok(());
    }
    let metadata = json!({ "resourceVersion": live.metadata.resource_version, "ownerReferences": others });
    let patch = Patch::Merge(json!({ "metadata": metadata }));
    api.patch(name, &PatchParams::default(), &patch).await.map_err(kube_error("release a Secret"))?;
    Ok(())
}
