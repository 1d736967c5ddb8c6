//! What the watches have seen: objects by kind and namespace, Secrets and Namespaces as metadata only.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::core::{DeserializeGuard, NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::crd;
use crate::domain::{Kind, OwnerKey};
use crate::manifest::Object;

use super::index::Index;

/// One of our kinds as kube sees it.
pub(super) trait Watched:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + std::fmt::Debug
    + DeserializeOwned
    + Into<Object>
    + Send
    + Sync
    + 'static
{
    const KIND: Kind;
}

impl Watched for crd::ResourceServer {
    const KIND: Kind = Kind::ResourceServer;
}

impl Watched for crd::OAuthClient {
    const KIND: Kind = Kind::OAuthClient;
}

impl Watched for crd::Provider {
    const KIND: Kind = Kind::Provider;
}

/// Whose it is.
pub(super) fn key<K: Watched>(object: &Guarded<K>) -> OwnerKey {
    OwnerKey::new(K::KIND, object.namespace().unwrap_or_default(), object.name_any())
}

/// An object that may not have the form that this program knows: one such must not stop the watch on all others.
pub(super) type Guarded<K> = DeserializeGuard<K>;

/// The objects of one kind in one watched namespace, or in all.
struct Lane<K: Watched> {
    namespace: Option<String>,
    objects: Store<Guarded<K>>,
    /// The store's own readiness wakes one of those who wait for it, and there are many.
    listed: CancellationToken,
}

/// The other end of a lane, which its watch fills.
pub(super) struct Inlet<K: Watched> {
    pub api: Api<Guarded<K>>,
    pub writer: Writer<Guarded<K>>,
    /// To be cancelled when all objects were listed once.
    pub listed: CancellationToken,
}

struct Lanes<K: Watched>(Vec<Lane<K>>);

impl<K: Watched> Lanes<K> {
    /// One lane for each namespace, or one for all when the list is empty.
    fn new(client: &Client, namespaces: &[String]) -> (Self, Vec<Inlet<K>>) {
        let scopes: Vec<Option<String>> = match namespaces {
            [] => vec![None],
            list => list.iter().cloned().map(Some).collect(),
        };
        let lane = |namespace: Option<String>| {
            let (objects, writer) = store();
            let api = match &namespace {
                Some(namespace) => Api::namespaced(client.clone(), namespace),
                None => Api::all(client.clone()),
            };
            let listed = CancellationToken::new();
            let lane = Lane { namespace, objects, listed: listed.clone() };
            (lane, Inlet { api, writer, listed })
        };
        let (lanes, inlets) = scopes.into_iter().map(lane).unzip();
        (Self(lanes), inlets)
    }

    fn of(&self, namespace: &str) -> Option<&Lane<K>> {
        self.0.iter().find(|lane| lane.namespace.as_deref().is_none_or(|watched| watched == namespace))
    }

    fn keys(&self) -> impl Iterator<Item = OwnerKey> {
        self.0.iter().flat_map(|lane| lane.objects.state()).map(|object| key(&*object))
    }

    /// Waits until every lane has listed its objects once.
    async fn listed(&self) {
        for lane in &self.0 {
            lane.listed.cancelled().await;
        }
    }

    fn get(&self, namespace: &str, name: &str) -> Option<Arc<Guarded<K>>> {
        self.of(namespace)?.objects.get(&ObjectRef::new(name).within(namespace))
    }

    fn is_going(&self, namespace: &str, name: &str) -> bool {
        self.get(namespace, name).is_some_and(|object| object.meta().deletion_timestamp.is_some())
    }

    /// The object, or why it cannot be read.
    fn look(&self, namespace: &str, name: &str) -> Option<Result<Object, String>> {
        Some(match &self.get(namespace, name)?.0 {
            Ok(object) => Ok(object.clone().into()),
            Err(invalid) => Err(invalid.error.clone()),
        })
    }
}

/// Everything that was seen.
pub(super) struct Caches {
    resource_servers: Lanes<crd::ResourceServer>,
    clients: Lanes<crd::OAuthClient>,
    providers: Lanes<crd::Provider>,
    pub index: Index,
    /// `None` where only listed namespaces are watched.
    namespaces: Option<Store<PartialObjectMeta<Namespace>>>,
    secrets: Vec<Store<PartialObjectMeta<Secret>>>,
}

/// The inlets of all kinds.
pub(super) struct Inlets {
    pub resource_servers: Vec<Inlet<crd::ResourceServer>>,
    pub clients: Vec<Inlet<crd::OAuthClient>>,
    pub providers: Vec<Inlet<crd::Provider>>,
    pub namespaces: Option<Writer<PartialObjectMeta<Namespace>>>,
    /// By namespace; `None` = all.
    pub secrets: Vec<(Option<String>, Writer<PartialObjectMeta<Secret>>)>,
}

impl Caches {
    pub(super) fn new(client: &Client, watched: &[String]) -> (Self, Inlets) {
        let (resource_servers, servers) = Lanes::new(client, watched);
        let (clients, oauth_clients) = Lanes::new(client, watched);
        let (providers, oauth_providers) = Lanes::new(client, watched);
        let (namespaces, namespaces_writer) = if watched.is_empty() { Some(store()).unzip() } else { (None, None) };
        let scopes = clients.0.iter().map(|lane| lane.namespace.clone());
        let (secrets, secret_writers) = scopes
            .map(|scope| {
                let (reader, writer) = store();
                (reader, (scope, writer))
            })
            .unzip();
        let inlets = Inlets {
            resource_servers: servers,
            clients: oauth_clients,
            providers: oauth_providers,
            namespaces: namespaces_writer,
            secrets: secret_writers,
        };
        let index = Index::default();
        (Self { resource_servers, clients, providers, index, namespaces, secrets }, inlets)
    }

    /// Waits until every kind was listed once: before, absence means nothing.
    pub(super) async fn listed(&self) {
        self.resource_servers.listed().await;
        self.clients.listed().await;
        self.providers.listed().await;
    }

    /// Whether objects of this namespace are watched.
    pub(super) fn watches(&self, namespace: &str) -> bool {
        self.clients.of(namespace).is_some()
    }

    /// All that is there.
    pub(super) fn keys(&self) -> Vec<OwnerKey> {
        self.resource_servers.keys().chain(self.clients.keys()).chain(self.providers.keys()).collect()
    }

    /// An object as the watch has it, or why it cannot be read.
    pub(super) fn look(&self, key: &OwnerKey) -> Option<Result<Object, String>> {
        match key.kind {
            Kind::ResourceServer => self.resource_servers.look(&key.namespace, &key.name),
            Kind::OAuthClient => self.clients.look(&key.namespace, &key.name),
            Kind::Provider => self.providers.look(&key.namespace, &key.name),
        }
    }

    /// Whether the watch has the object, readable or not.
    pub(super) fn has(&self, key: &OwnerKey) -> bool {
        match key.kind {
            Kind::ResourceServer => self.resource_servers.get(&key.namespace, &key.name).is_some(),
            Kind::OAuthClient => self.clients.get(&key.namespace, &key.name).is_some(),
            Kind::Provider => self.providers.get(&key.namespace, &key.name).is_some(),
        }
    }

    /// Whether somebody deleted the object and it is not gone yet.
    pub(super) fn is_going(&self, key: &OwnerKey) -> bool {
        match key.kind {
            Kind::ResourceServer => self.resource_servers.is_going(&key.namespace, &key.name),
            Kind::OAuthClient => self.clients.is_going(&key.namespace, &key.name),
            Kind::Provider => self.providers.is_going(&key.namespace, &key.name),
        }
    }

    /// The metadata of a namespace, where namespaces are watched and it was seen.
    pub(super) fn namespace(&self, name: &str) -> Option<kube::api::ObjectMeta> {
        let found = self.namespaces.as_ref()?.get(&ObjectRef::new(name))?;
        Some(found.metadata.clone())
    }

    /// The resourceVersion of one of our own Secrets.
    pub(super) fn secret_version(&self, namespace: &str, name: &str) -> Option<String> {
        let reference = ObjectRef::new(name).within(namespace);
        let found = self.secrets.iter().find_map(|store| store.get(&reference))?;
        found.metadata.resource_version.clone()
    }
}
