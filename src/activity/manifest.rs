//! The manifests that MCP servers publish: replaced whole, shown beside what is effective, and never effective.

use std::collections::BTreeSet;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Activity, Error};
use crate::domain::activity::{Activity as Happened, ActivityType, Cause};
use crate::domain::actor::Actor;
use crate::domain::audit::{AuditKind, Record};
use crate::domain::resource_server::{ResourceServer, Tool};
use crate::domain::tool_manifest::{Compared, ToolManifest, ToolState, compare};
use crate::domain::{Kind, Spec};
use crate::store::{StoredManifest, Tx};

/// The largest manifest, in bytes.
pub const MAX_MANIFEST: usize = 1024 * 1024;

/// What a publisher demands of the manifest that it replaces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Before {
    #[default]
    Any,
    /// There is none (`If-None-Match: *`).
    None,
    /// It is one of these (`If-Match`).
    Tags(Vec<String>),
    /// There is one (`If-Match: *`).
    Some,
}

impl Before {
    fn allows(&self, present: Option<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::None => present.is_none(),
            Self::Some => present.is_some(),
            Self::Tags(tags) => present.is_some_and(|present| tags.iter().any(|tag| tag == present)),
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Published {
    /// False: the same manifest was there, and nothing was written.
    pub changed: bool,
    #[serde(skip)]
    pub digest: String,
    /// How many tools there are.
    pub tools: usize,
    /// Those that policy does not list: denied.
    pub unmapped: Vec<String>,
}

impl Published {
    fn of(policy: &ResourceServer, manifest: &ToolManifest, digest: String, changed: bool) -> Self {
        let compared = compare(policy, Some(manifest)).into_iter();
        let unmapped = compared.filter(|tool| tool.state == ToolState::Unmapped).map(|tool| tool.name).collect();
        Self { changed, digest, tools: manifest.tools.len(), unmapped }
    }
}

/// Tools as published and as policy has them.
#[derive(Debug, Serialize)]
pub struct Comparison {
    pub resource_server_id: String,
    /// `None` = nobody has published anything.
    pub manifest: Option<ShownManifest>,
    pub tools: Vec<Compared>,
    /// Suggested scopes that are not in the catalogue: they would have to be added to `spec.scopes`.
    pub unknown_scopes: Vec<String>,
    /// What `spec.tools` would be if every suggestion for an unlisted tool were taken up: to be read, cut and pasted.
    pub suggested_spec_tools: Vec<Tool>,
}

/// A manifest, and who published it when.
#[derive(Debug, Serialize)]
pub struct ShownManifest {
    pub etag: String,
    pub published_by: Actor,
    pub published_at: Timestamp,
    #[serde(flatten)]
    pub manifest: ToolManifest,
}

/// A manifest as it was stored; one that cannot be read is none.
pub(super) fn read(id: &str, stored: &StoredManifest) -> Option<ToolManifest> {
    let read = serde_json::from_str(&stored.manifest);
    read.inspect_err(|_| tracing::error!(event = "manifest_unreadable", resource_server = id)).ok()
}

impl Activity {
    /// Replaces what a resource server publishes, in one transaction with its record.
    ///
    /// # Errors
    /// Another manifest is there than was expected, the resource server is gone, or the database is away.
    pub async fn publish(
        &self,
        id: &str,
        manifest: &ToolManifest,
        before: &Before,
        (by, source): (&Actor, IpAddr),
    ) -> Result<Published, Error> {
        // plain structs of strings and lists always serialise
        let text = serde_json::to_string(manifest).unwrap_or_default();
        let digest = URL_SAFE_NO_PAD.encode(&Sha256::digest(&text)[..12]);
        let (store, now) = (&self.inner.parts.store, self.inner.parts.clock.now());
        let mut tx = store.read().await?;
        let (policy, present) = expected(&mut tx, id, before).await?;
        drop(tx);
        if present.is_some_and(|present| present.digest == digest) {
            return Ok(Published::of(&policy, manifest, digest, false));
        }
        let mut tx = store.write(by).await?;
        tx.lock_entity(Kind::ResourceServer, id).await?;
        let (policy, present) = expected(&mut tx, id, before).await?;
        let published = Published::of(&policy, manifest, digest.clone(), true);
        let stored = StoredManifest { digest, manifest: text, published_by: by.clone(), published_at: now };
        tx.put_tool_manifest(id, &stored).await?;
        let detail = json!({ "tools": published.tools, "unmapped": published.unmapped.len() });
        let record = Record { resource: Some(id), source: Some(source), detail, ..Record::new(now, by.clone()) };
        tx.audit(AuditKind::ManifestPublished, &record).await?;
        let prior = present.and_then(|present| read(id, &present));
        tx.record_activity(id, &Cause::own(by.clone(), now), &told(prior.as_ref(), manifest)).await?;
        tx.commit().await?;
        self.inner.reports.written.notify_one();
        Ok(published)
    }

    /// What a resource server publishes beside what is effective.
    ///
    /// # Errors
    /// There is no such resource server, or the database is away.
    pub async fn comparison(&self, id: &str) -> Result<Comparison, Error> {
        let mut tx = self.inner.parts.store.read().await?;
        let policy = effective(&mut tx, id).await?;
        let stored = tx.tool_manifest(id).await?;
        tx.commit().await?;
        let manifest = stored.as_ref().and_then(|stored| read(id, stored));
        let tools = compare(&policy, manifest.as_ref());
        let catalogue = policy.scope_names();
        let mut unknown: Vec<String> =
            tools.iter().filter_map(|t| t.suggestion.as_ref()).flat_map(|t| t.scopes.clone()).collect();
        unknown.retain(|scope| !catalogue.contains(scope.as_str()));
        unknown.sort();
        unknown.dedup();
        let suggested = tools.iter().filter_map(|t| t.effective.clone().or_else(|| t.suggestion.clone())).collect();
        let shown = stored.zip(manifest).map(|(stored, manifest)| ShownManifest {
            etag: format!("\"{}\"", stored.digest),
            published_by: stored.published_by,
            published_at: stored.published_at,
            manifest,
        });
        Ok(Comparison {
            resource_server_id: id.to_owned(),
            manifest: shown,
            tools,
            unknown_scopes: unknown,
            suggested_spec_tools: suggested,
        })
    }
}

/// The policy, and the manifest beside it, which has to be one that the publisher expects.
async fn expected(tx: &mut Tx, id: &str, before: &Before) -> Result<(ResourceServer, Option<StoredManifest>), Error> {
    let (policy, present) = (effective(tx, id).await?, tx.tool_manifest(id).await?);
    let as_expected = before.allows(present.as_ref().map(|present| present.digest.as_str()));
    if as_expected { Ok((policy, present)) } else { Err(Error::Changed) }
}

/// What the log is told: that there is another manifest, and which tools came and went with it.
fn told(prior: Option<&ToolManifest>, manifest: &ToolManifest) -> Vec<Happened> {
    let names = |manifest: Option<&ToolManifest>| -> BTreeSet<String> {
        manifest.into_iter().flat_map(|manifest| &manifest.tools).map(|tool| tool.name.clone()).collect()
    };
    let (before, after) = (names(prior), names(Some(manifest)));
    let one = |event: ActivityType, name: &String| Happened::new(event, json!({ "tool_name": name })).affecting(1);
    let came = after.difference(&before).map(|name| one(ActivityType::ToolPublished, name));
    let went = before.difference(&after).map(|name| one(ActivityType::ToolWithdrawn, name));
    let tools = after.symmetric_difference(&before).count();
    let published = Happened::new(ActivityType::ManifestPublished, json!({ "tools": after.len() })).affecting(tools);
    std::iter::once(published).chain(came).chain(went).collect()
}

async fn effective(tx: &mut Tx, id: &str) -> Result<ResourceServer, Error> {
    match tx.entity(Kind::ResourceServer, id).await?.map(|entity| entity.spec) {
        Some(Spec::ResourceServer(policy)) => Ok(policy),
        _ => Err(Error::Gone),
    }
}
