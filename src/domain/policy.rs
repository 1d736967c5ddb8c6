//! The policy as a request sees it: clients and resource servers by what a request can name.

use std::sync::Arc;

use jiff::Timestamp;

use super::actor::Actor;
use super::client::Client;
use super::credential::Credential;
use super::owner::{Kind, OwnerKey};
use super::resource_server::ResourceServer;
use super::spec::Spec;

/// A client with what is needed to decide about it.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientEntry {
    pub id: String,
    pub client: Client,
    pub credentials: Vec<Credential>,
    /// Raised by every change to the client, its secrets or its attachments.
    pub revision: i64,
    /// The resource that owns the row; `None` = made by the admin API or the command line.
    pub owner: Option<OwnerKey>,
}

/// A resource server with what is needed to decide about it.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceServerEntry {
    /// `rs_…`
    pub id: String,
    pub resource_server: ResourceServer,
    /// Of the introspection secret, if it has one.
    pub credentials: Vec<Credential>,
    pub revision: i64,
    pub owner: Option<OwnerKey>,
}

/// Where decisions look things up: in memory, never in SQL.
pub trait Policy {
    fn client(&self, id: &str) -> Option<&Arc<ClientEntry>>;
    fn resource_server(&self, id: &str) -> Option<&Arc<ResourceServerEntry>>;
    /// By RFC 8707 audience; `https://h` and `https://h/` name the same one.
    fn resource_server_by_uri(&self, uri: &str) -> Option<&Arc<ResourceServerEntry>>;
    /// All of them.
    fn resource_servers(&self) -> impl Iterator<Item = &Arc<ResourceServerEntry>>;
}

/// A policy row of any kind as the database has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    /// Client id, `rs_…` or `prv_…`.
    pub id: String,
    pub spec: Spec,
    pub revision: i64,
    pub credentials: Vec<Credential>,
    pub owner: Option<OwnerKey>,
}

/// Who touched a row, and when: read from the change rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    pub sequence: i64,
    /// Table that was changed, the entity's own or a child's.
    pub table: String,
    pub actor: Actor,
    pub at: Timestamp,
}

/// Word from the change feed: this entity is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    pub kind: Kind,
    pub id: String,
    pub owner: Option<OwnerKey>,
}
