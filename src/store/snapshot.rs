//! The policy in memory: what requests are decided by, never from SQL.

use std::sync::Arc;

use rpds::HashTrieMapSync as Map;
use url::Url;

use crate::domain::credential::Credential;
use crate::domain::owner::{Kind, OwnerKey};
use crate::domain::policy::{ClientEntry, Entity, Policy, ResourceServerEntry};
use crate::domain::spec::Spec;

/// All policy as it was at one moment. What follows on a change shares all that the change left alone, so that one of
/// ten thousand clients costs no more than one of ten.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    clients: Map<String, Arc<ClientEntry>>,
    resource_servers: Map<String, Arc<ResourceServerEntry>>,
    /// Registered and canonical form of the resource URI → id.
    by_uri: Map<String, String>,
    providers: Map<String, Arc<Entity>>,
    by_owner: Map<OwnerKey, String>,
}

impl Policy for Snapshot {
    fn client(&self, id: &str) -> Option<&Arc<ClientEntry>> {
        self.clients.get(id)
    }

    fn resource_server(&self, id: &str) -> Option<&Arc<ResourceServerEntry>> {
        self.resource_servers.get(id)
    }

    fn resource_server_by_uri(&self, uri: &str) -> Option<&Arc<ResourceServerEntry>> {
        let id = self.by_uri.get(uri).or_else(|| self.by_uri.get(&canonical(uri)))?;
        self.resource_servers.get(id)
    }

    fn resource_servers(&self) -> impl Iterator<Item = &Arc<ResourceServerEntry>> {
        self.resource_servers.values()
    }
}

impl Snapshot {
    /// The id of the entity that this resource owns.
    pub fn entity_of(&self, owner: &OwnerKey) -> Option<&str> {
        self.by_owner.get(owner).map(String::as_str)
    }

    pub fn provider(&self, id: &str) -> Option<&Arc<Entity>> {
        self.providers.get(id)
    }

    pub fn clients(&self) -> impl Iterator<Item = &Arc<ClientEntry>> {
        self.clients.values()
    }

    pub fn resource_servers(&self) -> impl Iterator<Item = &Arc<ResourceServerEntry>> {
        self.resource_servers.values()
    }

    pub fn providers(&self) -> impl Iterator<Item = &Arc<Entity>> {
        self.providers.values()
    }

    /// How many entities of a kind there are.
    pub fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::ResourceServer => self.resource_servers.size(),
            Kind::OAuthClient => self.clients.size(),
            Kind::Provider => self.providers.size(),
        }
    }

    /// Revision and owner of an entity, to tell whether it changed.
    pub(super) fn state(&self, kind: Kind, id: &str) -> Option<(i64, Option<&OwnerKey>)> {
        match kind {
            Kind::ResourceServer => self.resource_servers.get(id).map(|e| (e.revision, e.owner.as_ref())),
            Kind::OAuthClient => self.clients.get(id).map(|e| (e.revision, e.owner.as_ref())),
            Kind::Provider => self.providers.get(id).map(|e| (e.revision, e.owner.as_ref())),
        }
    }

    /// Every id of a kind.
    pub fn ids(&self, kind: Kind) -> Vec<&String> {
        match kind {
            Kind::ResourceServer => self.resource_servers.keys().collect(),
            Kind::OAuthClient => self.clients.keys().collect(),
            Kind::Provider => self.providers.keys().collect(),
        }
    }

    /// Whether it is known just as it is, but for when its secrets were last used.
    pub fn holds(&self, entity: &Entity) -> bool {
        let unused = |credentials: &[Credential]| -> Vec<Credential> {
            credentials.iter().map(|c| Credential { last_used_at: None, ..c.clone() }).collect()
        };
        let known = match &entity.spec {
            Spec::ResourceServer(server) => self
                .resource_servers
                .get(&entity.id)
                .is_some_and(|e| e.resource_server == *server && unused(&e.credentials) == unused(&entity.credentials)),
            Spec::Client(client) => self
                .clients
                .get(&entity.id)
                .is_some_and(|e| e.client == *client && unused(&e.credentials) == unused(&entity.credentials)),
            spec @ Spec::Provider(_) => self.providers.get(&entity.id).is_some_and(|e| e.spec == *spec),
        };
        known && self.state(entity.spec.kind(), &entity.id).is_some_and(|(_, owner)| owner == entity.owner.as_ref())
    }

    /// Puts what was read in the place of what was known.
    pub(super) fn replace(&mut self, kind: Kind, id: &str, entity: Option<Entity>) {
        if let Some(owner) = self.state(kind, id).and_then(|(_, owner)| owner.cloned())
            && self.entity_of(&owner) == Some(id)
        {
            self.by_owner.remove_mut(&owner);
        }
        match kind {
            Kind::ResourceServer => {
                let known = self.resource_servers.get(id).map(|entry| entry.resource_server.resource_uri.clone());
                for uri in known.into_iter().flat_map(forms) {
                    if self.by_uri.get(&uri).is_some_and(|holder| holder == id) {
                        self.by_uri.remove_mut(&uri);
                    }
                }
                self.resource_servers.remove_mut(id);
            }
            Kind::OAuthClient => drop(self.clients.remove_mut(id)),
            Kind::Provider => drop(self.providers.remove_mut(id)),
        }
        if let Some(entity) = entity {
            self.insert(entity);
        }
    }

    pub(super) fn insert(&mut self, entity: Entity) {
        if let Some(owner) = &entity.owner {
            self.by_owner.insert_mut(owner.clone(), entity.id.clone());
        }
        let Entity { id, spec, revision, credentials, owner } = entity;
        match spec {
            Spec::ResourceServer(resource_server) => {
                for uri in forms(resource_server.resource_uri.clone()) {
                    self.by_uri.insert_mut(uri, id.clone());
                }
                let entry = ResourceServerEntry { id: id.clone(), resource_server, credentials, revision, owner };
                self.resource_servers.insert_mut(id, Arc::new(entry));
            }
            Spec::Client(client) => {
                let entry = ClientEntry { id: id.clone(), client, credentials, revision, owner };
                self.clients.insert_mut(id, Arc::new(entry));
            }
            spec @ Spec::Provider(_) => {
                let entity = Entity { id: id.clone(), spec, revision, credentials, owner };
                self.providers.insert_mut(id, Arc::new(entity));
            }
        }
    }
}

/// The forms by which a resource URI is found.
fn forms(uri: String) -> [String; 2] {
    [canonical(&uri), uri]
}

/// RFC 3986 §6.2.3: `https://H` and `https://h:443/` are `https://h/`.
fn canonical(uri: &str) -> String {
    Url::parse(uri).map_or_else(|_| uri.to_owned(), String::from)
}
