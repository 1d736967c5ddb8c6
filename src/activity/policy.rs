//! The policy as enforcement points are given it: one document for each resource server, with a tag that moves with
//! every input.
//!
//! Its version is the revision of the resource server, which every change of its rows raises, whoever makes it. The tag
//! adds what the text hashes to, so that a database that was restored and counts anew never says of another policy that
//! it is the one that somebody holds. Until a resource server is ready its tools are left out: an enforcement point that
//! overlooks `policy_complete` denies every call all the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Activity;
use crate::domain::enforcement::PolicyTag;
use crate::domain::policy::{Policy, ResourceServerEntry};
use crate::domain::resource_server::{Lifecycle, Role, Scope, Tool, ToolAccess};

/// What an enforcement point is given.
#[derive(Debug)]
pub struct PolicyDocument {
    pub tag: PolicyTag,
    /// JSON.
    pub bytes: Vec<u8>,
    /// Seconds for which it may be kept without asking again.
    pub ttl_seconds: i64,
    /// What it was made from.
    entry: Arc<ResourceServerEntry>,
}

#[derive(Serialize)]
struct Body<'a> {
    resource_server_id: &'a str,
    resource_uri: &'a str,
    state: &'static str,
    policy_complete: bool,
    policy_version: i64,
    ttl_seconds: i64,
    /// What becomes of a tool that is not listed.
    default: &'static str,
    scopes: Vec<ScopeBody<'a>>,
    tools: Vec<ToolBody<'a>>,
    roles: &'a [Role],
    /// Of the resource (RFC 9728).
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<String>,
}

#[derive(Serialize)]
struct ScopeBody<'a> {
    name: &'a str,
    risk: &'a str,
    description: &'a str,
}

impl<'a> From<&'a Scope> for ScopeBody<'a> {
    fn from(scope: &'a Scope) -> Self {
        Self { name: &scope.name, risk: &scope.risk, description: &scope.description }
    }
}

#[derive(Serialize)]
struct ToolBody<'a> {
    name: &'a str,
    access: &'static str,
    scopes: &'a [String],
    /// One of the scopes is enough, or all are needed.
    #[serde(rename = "match")]
    matching: &'static str,
}

impl<'a> From<&'a Tool> for ToolBody<'a> {
    fn from(tool: &'a Tool) -> Self {
        let access = match tool.access {
            ToolAccess::Scoped => "scoped",
            ToolAccess::Public => "public",
        };
        let matching = if tool.matching == "Any" { "any" } else { "all" };
        Self { name: &tool.name, access, scopes: &tool.scopes, matching }
    }
}

/// Documents that were made, by the id of their resource server.
#[derive(Default)]
pub(super) struct Made(Mutex<HashMap<String, Arc<PolicyDocument>>>);

impl Made {
    fn documents(&self) -> MutexGuard<'_, HashMap<String, Arc<PolicyDocument>>> {
        // whole documents are put in, so a panic elsewhere leaves nothing half done
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn forget(&self, id: &str) {
        self.documents().remove(id);
    }
}

impl Activity {
    /// The policy in force, from memory; `None` when there is no such resource server.
    pub fn policy(&self, id: &str) -> Option<Arc<PolicyDocument>> {
        let snapshot = self.inner.parts.store.snapshot();
        let entry = snapshot.resource_server(id)?;
        let made = self.inner.made.documents().get(id).cloned();
        if let Some(made) = made.filter(|made| Arc::ptr_eq(&made.entry, entry)) {
            return Some(made);
        }
        let document = Arc::new(self.document(entry));
        self.inner.made.documents().insert(id.to_owned(), Arc::clone(&document));
        Some(document)
    }

    fn document(&self, entry: &Arc<ResourceServerEntry>) -> PolicyDocument {
        let (policy, parts) = (&entry.resource_server, &self.inner.parts);
        let ready = policy.lifecycle == Lifecycle::Live;
        let ttl_seconds = if ready { parts.rules.ttl_seconds } else { parts.rules.not_ready_ttl_seconds };
        let metadata = entry.owner.as_ref().filter(|_| ready).map(|owner| {
            format!("{}/.well-known/oauth-protected-resource/{}/{}", parts.issuer, owner.namespace, owner.name)
        });
        let body = Body {
            resource_server_id: &entry.id,
            resource_uri: &policy.resource_uri,
            state: policy.lifecycle.state(),
            policy_complete: ready,
            policy_version: entry.revision,
            ttl_seconds,
            default: "deny",
            scopes: policy.scopes.iter().map(ScopeBody::from).collect(),
            tools: policy.tools.iter().filter(|_| ready).map(ToolBody::from).collect(),
            roles: &policy.roles,
            metadata,
        };
        // plain structs of strings, numbers and lists always serialise
        let bytes = serde_json::to_vec(&body).unwrap_or_default();
        let hash = URL_SAFE_NO_PAD.encode(&Sha256::digest(&bytes)[..12]);
        let tag = PolicyTag { version: entry.revision, hash };
        PolicyDocument { tag, bytes, ttl_seconds, entry: Arc::clone(entry) }
    }
}
