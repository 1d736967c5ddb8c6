//! The end of an object: its row is deleted or released, and only its ids may come back.

use super::{Error, Provisioner};
use crate::domain::{DeletionPolicy, Kind, OwnerKey, Reason, Report};
use crate::store::{Revoke, RevokeCause};

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
        if let Some(note) = self.blocked(owner) {
            return Ok(Removed::Blocked(note));
        }
        let mut tx = self.store().read().await?;
        let known = tx.managed(owner).await?.is_some_and(|m| m.deleted_at.is_none());
        drop(tx);
        if !known {
            return Ok(Removed::Nothing);
        }
        let now = self.now();
        let mut tx = self.write().await?;
        let Some(mut managed) = tx.managed(owner).await?.filter(|m| m.deleted_at.is_none()) else {
            return Ok(Removed::Nothing);
        };
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

    /// A provider that a live resource server takes its tokens from stays.
    fn blocked(&self, owner: &OwnerKey) -> Option<String> {
        if owner.kind != Kind::Provider {
            return None;
        }
        let snapshot = self.store().snapshot();
        let id = snapshot.entity_of(owner)?;
        let user = snapshot.resource_servers().find(|entry| {
            entry.resource_server.token_source.pointer("/providerID").and_then(|v| v.as_str()) == Some(id)
        })?;
        let name = user.owner.as_ref().map_or_else(|| user.id.clone(), ToString::to_string);
        Some(format!("{name} takes its tokens from this provider"))
    }
}
