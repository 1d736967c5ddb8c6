//! The end of an object: its row is deleted or released, and only its ids may come back.

use jiff::Timestamp;
use serde_json::Value;

use super::brake::{Held, standing};
use super::situation::recall;
use super::{Error, Provisioner};
use crate::domain::policy::Entity;
use crate::domain::{DeletionPolicy, Kind, Managed, OwnerKey, Reason, Report, Spec};
use crate::store::{Revoke, RevokeCause, Tx};

/// What became of a deleted object's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    Deleted,
    /// The row stays, owned by nobody.
    Retained,
    /// There was nothing to do.
    Nothing,
    /// Something still needs it.
    Blocked(String),
    /// Too many deletions: it waits until somebody confirms the brake.
    Held(Held),
}

/// Whether a row that needs this one counts, by its owner; `None` = it has none.
pub type Counts<'a> = &'a (dyn Fn(Option<&OwnerKey>) -> bool + Sync);

impl Provisioner {
    /// Takes an object's policy out of force. May be called again after it succeeded.
    pub async fn remove(&self, owner: &OwnerKey, policy: DeletionPolicy, object_uid: &str) -> Result<Removed, Error> {
        self.remove_despite(owner, policy, object_uid, &|_| true).await
    }

    /// The same where not everything that needs the row counts: what is itself going does not.
    pub async fn remove_despite(
        &self,
        owner: &OwnerKey,
        policy: DeletionPolicy,
        object_uid: &str,
        counts: Counts<'_>,
    ) -> Result<Removed, Error> {
        let destroys = policy == DeletionPolicy::Delete;
        let mut tx = self.store().read().await?;
        let Some(known) = live(&mut tx, owner).await? else { return Ok(Removed::Nothing) };
        if destroys {
            if let Some(note) = blocked(&mut tx, &known, counts).await? {
                return Ok(Removed::Blocked(note));
            }
            if let Some(held) = standing(&mut tx, owner).await? {
                return Ok(Removed::Held(held));
            }
        }
        drop(tx);
        let now = self.now();
        let mut tx = self.write().await?;
        let Some(managed) = live(&mut tx, owner).await? else { return Ok(Removed::Nothing) };
        if destroys {
            if let Some(note) = blocked(&mut tx, &managed, counts).await? {
                return Ok(Removed::Blocked(note));
            }
            if let Some(held) = self.weigh(&mut tx, owner, object_uid, now).await? {
                tx.commit().await?;
                return Ok(Removed::Held(held));
            }
        }
        let removed = take_out(&mut tx, managed, (policy, object_uid), now).await?;
        tx.commit().await?;
        Ok(removed)
    }
}

/// What is remembered of an owner that was not removed yet.
pub(super) async fn live(tx: &mut Tx, owner: &OwnerKey) -> Result<Option<Managed>, Error> {
    Ok(recall(tx, owner).await?.0.filter(|managed| managed.deleted_at.is_none()))
}

/// Deletes or releases the row, and leaves a tombstone and word of it.
async fn take_out(
    tx: &mut Tx,
    mut managed: Managed,
    (policy, object_uid): (DeletionPolicy, &str),
    now: Timestamp,
) -> Result<Removed, Error> {
    let owner = managed.owner.key.clone();
    let (reason, removed, text) = match policy {
        DeletionPolicy::Retain => {
            if let Some(entity) = tx.entity(owner.kind, &managed.entity_id).await? {
                tx.put(&managed.entity_id, &entity.spec, None, now).await?;
            }
            // a deletion that waited ends as a release
            tx.drop_hold(&owner).await?;
            (Reason::Retained, Removed::Retained, "the row stays and is owned by nobody")
        }
        DeletionPolicy::Delete => {
            match owner.kind {
                Kind::OAuthClient => {
                    tx.revoke(Revoke::Client(&managed.entity_id), RevokeCause::Deleted, now).await?;
                }
                Kind::ResourceServer => {
                    tx.revoke(Revoke::ResourceServer(&managed.entity_id), RevokeCause::Deleted, now).await?;
                }
                Kind::Provider => {}
            }
            tx.delete(owner.kind, &managed.entity_id).await?;
            tx.forget_orphan(&owner).await?;
            (Reason::Deleted, Removed::Deleted, "the row and what was issued for it are gone")
        }
    };
    managed.deleted_at = Some(now);
    managed.last_applied = None;
    managed.credentials.clear();
    managed.drift = None;
    tx.put_managed(&managed).await?;
    tx.add_report(&Report::new(owner, object_uid, reason, text.to_owned(), now)).await?;
    Ok(removed)
}

/// A provider that a resource server takes its tokens from stays, and so does what another one fronts.
async fn blocked(tx: &mut Tx, managed: &Managed, counts: Counts<'_>) -> Result<Option<String>, Error> {
    let (kind, id) = (managed.owner.key.kind, managed.entity_id.as_str());
    if kind == Kind::OAuthClient {
        return Ok(None);
    }
    let named = |value: Option<&Value>| value.and_then(Value::as_str) == Some(id);
    let needs = |server: &Entity| match &server.spec {
        Spec::ResourceServer(spec) if kind == Kind::Provider => named(spec.token_source.get("providerID")),
        Spec::ResourceServer(spec) => {
            server.id != id && spec.fronting.iter().any(|item| named(item.members.get("targetID")))
        }
        Spec::Client(_) | Spec::Provider(_) => false,
    };
    for server in tx.resource_servers_that_name(id).await? {
        if needs(&server) && counts(server.owner.as_ref()) {
            let name = server.owner.as_ref().map_or_else(|| server.id.clone(), ToString::to_string);
            return Ok(Some(match kind {
                Kind::Provider => format!("{name} takes its tokens from this provider"),
                _ => format!("{name} fronts this resource"),
            }));
        }
    }
    Ok(None)
}
