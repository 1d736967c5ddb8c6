//! The end of an object: its row is deleted or released, and only its ids may come back.

use serde_json::Value;

use super::situation::recall;
use super::{Error, Provisioner};
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
}

impl Provisioner {
    /// Takes an object's policy out of force. May be called again after it succeeded.
    pub async fn remove(&self, owner: &OwnerKey, policy: DeletionPolicy, object_uid: &str) -> Result<Removed, Error> {
        let mut tx = self.store().read().await?;
        let Some(known) = recall(&mut tx, owner).await?.0.filter(|m| m.deleted_at.is_none()) else {
            return Ok(Removed::Nothing);
        };
        if let Some(note) = blocked(&mut tx, &known).await? {
            return Ok(Removed::Blocked(note));
        }
        drop(tx);
        let now = self.now();
        let mut tx = self.write().await?;
        let Some(mut managed) = recall(&mut tx, owner).await?.0.filter(|m| m.deleted_at.is_none()) else {
            return Ok(Removed::Nothing);
        };
        if let Some(note) = blocked(&mut tx, &managed).await? {
            return Ok(Removed::Blocked(note));
        }
        let (reason, removed, text) = match policy {
            DeletionPolicy::Retain => {
                if let Some(entity) = tx.entity(owner.kind, &managed.entity_id).await? {
                    tx.put(&managed.entity_id, &entity.spec, None, now).await?;
                }
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
                (Reason::Deleted, Removed::Deleted, "the row and what was issued for it are gone")
            }
        };
        managed.deleted_at = Some(now);
        managed.last_applied = None;
        managed.credentials.clear();
        managed.drift = None;
        tx.put_managed(&managed).await?;
        tx.add_report(&Report {
            id: 0,
            owner: owner.clone(),
            object_uid: object_uid.to_owned(),
            reason,
            field_path: String::new(),
            note: text.to_owned(),
            at: now,
        })
        .await?;
        tx.commit().await?;
        Ok(removed)
    }
}

/// A provider that a resource server takes its tokens from stays.
async fn blocked(tx: &mut Tx, managed: &Managed) -> Result<Option<String>, Error> {
    if managed.owner.key.kind != Kind::Provider {
        return Ok(None);
    }
    let servers = tx.entities(Kind::ResourceServer).await?;
    let user = servers.iter().find(|server| match &server.spec {
        Spec::ResourceServer(spec) => {
            spec.token_source.get("providerID").and_then(Value::as_str) == Some(&managed.entity_id)
        }
        _ => false,
    });
    Ok(user.map(|user| {
        let name = user.owner.as_ref().map_or_else(|| user.id.clone(), ToString::to_string);
        format!("{name} takes its tokens from this provider")
    }))
}
