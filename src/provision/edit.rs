//! Changes by the admin API, and what it lists.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;

use super::{Error, Provisioner};
use crate::domain::client::Origin;
use crate::domain::drift::{Correction, OpenDrift};
use crate::domain::policy::Entity;
use crate::domain::resource_server::Lifecycle;
use crate::domain::{Actor, Kind, OwnerKey, Spec};
use crate::store;

/// A row after an edit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Edited {
    pub id: String,
    pub spec: Value,
    pub revision: i64,
    /// The object that will find this change as drift.
    pub owner: Option<OwnerKey>,
}

/// A row as `GET /admin/resources` shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    pub kind: Kind,
    pub id: String,
    /// Of a client: managed, registered or document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<&'static str>,
    pub owner: Option<OwnerKey>,
    pub revision: i64,
    pub spec: Value,
    /// Ids of the live secrets, never a hash.
    pub secrets: Vec<String>,
    pub drift: Option<OpenDrift>,
    pub correction: Option<Correction>,
}

impl Provisioner {
    /// Applies a JSON merge patch (RFC 7396) to a row's spec. A row that an object owns is changed only by `force`,
    /// and the object then finds it as drift.
    pub async fn edit(&self, kind: Kind, id: &str, patch: &Value, force: bool, actor: &Actor) -> Result<Edited, Error> {
        let mut tx = self.store().write(actor).await?;
        tx.lock_entity(kind, id).await?;
        let entity = tx.entity(kind, id).await?.ok_or(Error::Unknown(kind))?;
        let owner = tx.managed_by_entity(kind, id).await?.filter(|m| m.deleted_at.is_none()).map(|m| m.owner.key);
        if let Some(owner) = owner.as_ref().filter(|_| !force) {
            return Err(Error::Owned(owner.clone()));
        }
        let spec = patched(&entity, patch)?;
        if spec != entity.spec {
            tx.put(id, &spec, owner.as_ref(), self.now()).await.map_err(|error| match error {
                store::Error::Conflict { .. } => Error::Taken(kind),
                other => other.into(),
            })?;
        }
        let edited = tx.entity(kind, id).await?.ok_or(Error::Unknown(kind))?;
        tx.commit().await?;
        Ok(Edited { id: edited.id, spec: members(&edited.spec), revision: edited.revision, owner })
    }

    /// Every policy row with what is known of it.
    pub async fn list(&self) -> Result<Vec<Listed>, Error> {
        let mut tx = self.store().read().await?;
        let managed = tx.all_managed().await?.into_iter().filter(|m| m.deleted_at.is_none());
        let managed: HashMap<_, _> = managed.map(|m| ((m.owner.key.kind, m.entity_id.clone()), m)).collect();
        let mut listed = Vec::new();
        for kind in Kind::ALL {
            for entity in tx.entities(kind).await? {
                let known = managed.get(&(kind, entity.id.clone()));
                listed.push(Listed {
                    kind,
                    origin: (kind == Kind::OAuthClient).then(|| Origin::of(&entity.id).as_str()),
                    owner: known.map(|m| m.owner.key.clone()),
                    revision: entity.revision,
                    spec: members(&entity.spec),
                    secrets: entity.credentials.iter().map(|c| c.id.clone()).collect(),
                    drift: known.and_then(|m| m.drift.clone()),
                    correction: known.and_then(|m| m.correction.clone()),
                    id: entity.id,
                });
            }
        }
        Ok(listed)
    }
}

/// The spec's own members, without the tag that names its kind.
fn members(spec: &Spec) -> Value {
    match serde_json::to_value(spec) {
        Ok(Value::Object(mut tagged)) => tagged.remove("spec").unwrap_or_default(),
        _ => Value::Null,
    }
}

fn patched(entity: &Entity, patch: &Value) -> Result<Spec, Error> {
    let Value::Object(changes) = patch else {
        return Err(Error::BadPatch { field: "body".into(), problem: "must be a JSON object".into() });
    };
    let mut spec = members(&entity.spec);
    for (name, value) in changes {
        if spec.get(name).is_none() {
            return Err(Error::BadPatch { field: name.clone(), problem: "is not a field of this kind".into() });
        }
        merge(&mut spec[name.as_str()], value);
        // one at a time, so that the error names the field that is to blame
        let kind = entity.spec.kind();
        let tagged = serde_json::json!({ "kind": kind.as_str(), "spec": spec.clone() });
        let bad = |problem: String| Error::BadPatch { field: name.clone(), problem };
        match serde_json::from_value::<Spec>(tagged).map_err(|error| bad(error.to_string()))? {
            Spec::ResourceServer(server) if name == "accessToken" => {
                server.access_token.fault().map_or(Ok(()), |fault| Err(bad(fault.to_owned())))?;
            }
            _ => {}
        }
    }
    let tagged = serde_json::json!({ "kind": entity.spec.kind().as_str(), "spec": spec });
    let bad = |field: &str, problem: String| Error::BadPatch { field: field.to_owned(), problem };
    let spec: Spec = serde_json::from_value(tagged).map_err(|error| bad("body", error.to_string()))?;
    match launching(&entity.spec, &spec) {
        Some(failures) if !failures.is_empty() => Err(bad("lifecycle", failures.join("; "))),
        _ => Ok(spec),
    }
}

/// What keeps a resource server from going live that is now asked to.
fn launching(before: &Spec, after: &Spec) -> Option<Vec<String>> {
    let (Spec::ResourceServer(before), Spec::ResourceServer(after)) = (before, after) else { return None };
    let goes = before.lifecycle != Lifecycle::Live && after.lifecycle == Lifecycle::Live;
    goes.then(|| after.activation_failures())
}

/// RFC 7396: objects are merged, null takes away, all else replaces.
fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (name, value) in patch {
                if value.is_null() {
                    target.remove(name);
                } else {
                    merge(target.entry(name.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}
