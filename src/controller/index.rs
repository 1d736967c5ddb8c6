//! Who refers to what, so that a change wakes those it concerns and nobody else.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::{Kind, OwnerKey};
use crate::manifest::{Needs, ObjectKey};

/// What an object can refer to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Target {
    Object(OwnerKey),
    Secret(ObjectKey),
}

/// Kept up to date by each look at an object.
#[derive(Default)]
pub(super) struct Index(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    referrers: HashMap<Target, BTreeSet<OwnerKey>>,
    targets: HashMap<OwnerKey, Vec<Target>>,
}

impl Index {
    /// These are all references of `owner` now; `secret` is the Secret it asks for.
    pub(super) fn put(&self, owner: &OwnerKey, needs: &Needs, secret: Option<&str>) {
        let of = |kind: Kind, keys: Vec<&ObjectKey>| -> Vec<Target> {
            keys.into_iter().map(|key| Target::Object(OwnerKey::new(kind, &key.namespace, &key.name))).collect()
        };
        let mut targets = of(Kind::ResourceServer, needs.resource_servers.keys().collect());
        targets.extend(of(Kind::OAuthClient, needs.clients.keys().collect()));
        targets.extend(of(Kind::Provider, needs.providers.keys().collect()));
        let secrets = needs.secrets.keys().map(|key| key.name.as_str()).chain(secret);
        targets.extend(secrets.map(|name| Target::Secret(ObjectKey::new(&owner.namespace, name))));
        let mut entries = self.entries();
        entries.forget(owner);
        for target in &targets {
            entries.referrers.entry(target.clone()).or_default().insert(owner.clone());
        }
        entries.targets.insert(owner.clone(), targets);
    }

    pub(super) fn remove(&self, owner: &OwnerKey) {
        self.entries().forget(owner);
    }

    pub(super) fn referrers(&self, target: &Target) -> Vec<OwnerKey> {
        self.entries().referrers.get(target).into_iter().flatten().cloned().collect()
    }

    /// Objects in a namespace that refer to something: they may gain or lose the right to.
    pub(super) fn in_namespace(&self, namespace: &str) -> Vec<OwnerKey> {
        let entries = self.entries();
        let refers = |(owner, targets): &(&OwnerKey, &Vec<Target>)| owner.namespace == namespace && !targets.is_empty();
        entries.targets.iter().filter(refers).map(|(owner, _)| owner.clone()).collect()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn forget(&mut self, owner: &OwnerKey) {
        for target in self.targets.remove(owner).unwrap_or_default() {
            if let Some(referrers) = self.referrers.get_mut(&target) {
                referrers.remove(owner);
                if referrers.is_empty() {
                    self.referrers.remove(&target);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_that_is_gone_wakes_nobody() {
        let (index, client) = (Index::default(), OwnerKey::new(Kind::OAuthClient, "web", "portal"));
        let server = Target::Object(OwnerKey::new(Kind::ResourceServer, "billing", "mcp"));
        let mut needs = Needs::default();
        needs.resource_servers.insert(ObjectKey::new("billing", "mcp"), "spec.resources[x]".into());
        index.put(&client, &needs, Some("portal-oauth"));
        let (expected, secret) = (vec![client.clone()], Target::Secret(ObjectKey::new("web", "portal-oauth")));
        assert_eq!(index.referrers(&server), expected);
        assert_eq!(index.referrers(&secret), expected);
        assert_eq!(index.in_namespace("web"), expected);
        index.put(&client, &Needs::default(), None);
        assert!(index.referrers(&server).is_empty() && index.in_namespace("web").is_empty());
    }
}
