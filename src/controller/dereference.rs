//! What each reference of an object leads to: Found, Missing, NotPermitted or Unreadable.
//!
//! Fails only when the API fails; a missing reference is a normal state, in which the object waits.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Api;
use kube::api::ObjectMeta;

use crate::crd::common::REFERENCED_LABEL;
use crate::crd::reference::AllowedNamespaces;
use crate::domain::{Kind, OwnerKey, SecretText};
use crate::manifest::{Needs, Object, ObjectKey, References, Resolved, SecretKey, permits};

use super::context::Context;
use super::error::{Error, is_forbidden, kube_error};
use super::kubernetes::read;
use super::secret::is_made_here;

/// The object's namespace: what proves its identity, and what selectors match.
struct Place<'a> {
    name: &'a str,
    labels: BTreeMap<String, String>,
}

pub(super) async fn dereference(context: &Context, object: &Object, needs: &Needs) -> Result<References, Error> {
    let metadata = namespace(context, object.namespace()).await?;
    let namespace_uid = metadata.uid.ok_or(Error::Anonymous("uid"))?;
    let place = Place { name: object.namespace(), labels: metadata.labels.unwrap_or_default() };
    let objects = async |kind: Kind, keys: &BTreeMap<ObjectKey, String>| -> Result<BTreeMap<_, _>, Error> {
        let mut found = BTreeMap::new();
        for key in keys.keys() {
            found.insert(key.clone(), find(context, kind, key, &place).await?);
        }
        Ok(found)
    };
    Ok(References {
        namespace_uid,
        resource_servers: objects(Kind::ResourceServer, &needs.resource_servers).await?,
        clients: objects(Kind::OAuthClient, &needs.clients).await?,
        providers: objects(Kind::Provider, &needs.providers).await?,
        secrets: secrets(context, object.namespace(), needs).await?,
    })
}

/// The namespace from the watch, else live.
pub(super) async fn namespace(context: &Context, name: &str) -> Result<ObjectMeta, Error> {
    if let Some(seen) = context.caches.namespace(name) {
        return Ok(seen);
    }
    let api: Api<Namespace> = Api::all(context.client.clone());
    Ok(api.get_metadata(name).await.map_err(kube_error("read the namespace"))?.metadata)
}

/// An object's id, from the policy in force: an object that was not applied yet is as good as missing.
async fn find(context: &Context, kind: Kind, key: &ObjectKey, from: &Place<'_>) -> Result<Resolved<String>, Error> {
    let (provisioner, owner) = (&context.provisioner, OwnerKey::new(kind, &key.namespace, &key.name));
    let id = match provisioner.entity_id(&owner) {
        None => kept(context, &owner).await?,
        known => known,
    };
    let Some(id) = id else { return Ok(Resolved::Missing) };
    let allowed: AllowedNamespaces = match kind {
        Kind::ResourceServer => {
            let Some(entry) = provisioner.resource_server(&id) else { return Ok(Resolved::Missing) };
            serde_json::from_value(entry.resource_server.allowed_namespaces.clone()).unwrap_or_default()
        }
        Kind::OAuthClient | Kind::Provider => {
            let object = match context.caches.look(&owner) {
                Some(Ok(seen)) => Some(seen),
                // its policy is in force: the watch may be behind
                _ => read(context, &owner).await?,
            };
            let Some(object) = object else { return Ok(Resolved::Missing) };
            object.allowed_namespaces().clone()
        }
    };
    let permitted = permits(&allowed, &key.namespace, from.name, &from.labels);
    Ok(if permitted { Resolved::Found(id) } else { Resolved::NotPermitted })
}

/// What an object that is there again returns to: whoever refers to it and returns, too, must not lose it meanwhile.
async fn kept(context: &Context, owner: &OwnerKey) -> Result<Option<String>, Error> {
    if !context.caches.has(owner) {
        return Ok(None);
    }
    let uid = namespace(context, &owner.namespace).await?.uid.ok_or(Error::Anonymous("uid"))?;
    Ok(context.provisioner.kept_id(owner, &uid).await?)
}

async fn secrets(
    context: &Context,
    namespace: &str,
    needs: &Needs,
) -> Result<BTreeMap<SecretKey, Resolved<SecretText>>, Error> {
    let api: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    let mut resolved = BTreeMap::new();
    for key in needs.secrets.keys() {
        let value = match api.get_opt(&key.name).await {
            Ok(None) => Resolved::Missing,
            Ok(Some(secret)) => value(&secret, &key.key),
            Err(error) if is_forbidden(&error) => Resolved::Unreadable,
            Err(error) => return Err(kube_error("read a Secret")(error)),
        };
        resolved.insert(key.clone(), value);
    }
    Ok(resolved)
}

/// A Secret is used only when its owner labelled it for that, and never when it is the operator's own.
fn value(secret: &Secret, key: &str) -> Resolved<SecretText> {
    let label = secret.metadata.labels.as_ref().and_then(|labels| labels.get(REFERENCED_LABEL));
    if label.map(String::as_str) != Some("true") || is_made_here(secret) {
        return Resolved::NotPermitted;
    }
    let Some(bytes) = secret.data.as_ref().and_then(|data| data.get(key)) else { return Resolved::Missing };
    match std::str::from_utf8(&bytes.0) {
        Ok(text) => Resolved::Found(SecretText::new(text)),
        Err(_) => Resolved::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use rstest::rstest;

    use super::*;
    use crate::controller::secret::OWNER_ANNOTATION;

    fn secret(label: Option<&str>, made_here: bool) -> Secret {
        let map = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        Secret {
            metadata: ObjectMeta {
                labels: label.map(|value| map(REFERENCED_LABEL, value)),
                annotations: made_here.then(|| map(OWNER_ANNOTATION, "OAuthClient/a/b")),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([("k".to_owned(), ByteString(b"value".to_vec()))])),
            ..Secret::default()
        }
    }

    #[rstest]
    #[case(Some("true"), false, true)]
    #[case(Some("false"), false, false)]
    #[case(None, false, false)]
    #[case(Some("true"), true, false)]
    fn a_secret_is_used_only_with_its_owners_word(
        #[case] label: Option<&str>,
        #[case] made_here: bool,
        #[case] used: bool,
    ) {
        let value = value(&secret(label, made_here), "k");
        assert_eq!(value.found().map(SecretText::expose), used.then_some("value"));
        assert_eq!(matches!(value, Resolved::NotPermitted), !used);
    }
}
