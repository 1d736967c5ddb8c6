//! What an object's references resolve to, among the files and the rows that were made from them.

use std::collections::BTreeMap;

use crate::domain::{Kind, OwnerKey};
use crate::manifest::{Object, ObjectKey, References, Resolved, needs, permits};
use crate::provision::Provisioner;

use super::world::World;

/// Resolves all references of one object. Nothing is unreadable here: a file that is, keeps its last good documents.
pub fn dereference(object: &Object, world: &World, provisioner: &Provisioner) -> References {
    let needs = needs(object);
    let from = object.namespace();
    let labels = labels(world, from);
    let resolve = |kind: Kind, key: &ObjectKey| {
        let owner = OwnerKey::new(kind, &key.namespace, &key.name);
        let Some(target) = world.objects.get(&owner) else { return Resolved::Missing };
        if !permits(target.allowed_namespaces(), &key.namespace, from, &labels) {
            return Resolved::NotPermitted;
        }
        provisioner.entity_id(&owner).map_or(Resolved::Missing, Resolved::Found)
    };
    let all = |kind: Kind, keys: &BTreeMap<ObjectKey, String>| {
        keys.keys().map(|key| (key.clone(), resolve(kind, key))).collect::<BTreeMap<_, _>>()
    };
    References {
        namespace_uid: String::new(),
        resource_servers: all(Kind::ResourceServer, &needs.resource_servers),
        clients: all(Kind::OAuthClient, &needs.clients),
        providers: all(Kind::Provider, &needs.providers),
        secrets: needs
            .secrets
            .keys()
            .map(|key| {
                let secret = world.secrets.get(&ObjectKey::new(from, &key.name));
                (key.clone(), secret.map_or(Resolved::Missing, |secret| secret.resolve(key)))
            })
            .collect(),
    }
}

/// The labels of a namespace: its document's, and the one that every API server sets.
fn labels(world: &World, namespace: &str) -> BTreeMap<String, String> {
    let mut labels = world.namespaces.get(namespace).map(|document| document.labels.clone()).unwrap_or_default();
    labels.insert("kubernetes.io/metadata.name".to_owned(), namespace.to_owned());
    labels
}
