//! Rows whose object is gone although nobody saw it go: told at once, suspended after an hour, deleted after a month.
//!
//! A suspended row is suspended in the memory of what was applied, too: an object that comes back finds its own older
//! intent, not drift, and one apply puts everything in force again. Only what was issued is gone.

use super::remove::live;
use super::{Error, Provisioner};
use crate::domain::client::ClientState;
use crate::domain::orphan::Orphan;
use crate::domain::resource_server::Lifecycle;
use crate::domain::{Kind, Owner, OwnerKey, Reason, Report, Spec};
use crate::store::{self, Revoke, RevokeCause};

impl Provisioner {
    /// Every row whose object was missed and is not back.
    pub async fn orphans(&self) -> Result<Vec<Orphan>, Error> {
        Ok(self.store().read().await?.orphans().await?)
    }

    /// A complete look did not find the object of this row. Told the first time; written down until it is certain.
    pub async fn miss_object(&self, owner: &Owner) -> Result<(), Error> {
        let known = self.store().read().await?.orphan(&owner.key).await?;
        if known.is_some_and(|orphan| !orphan.is_doubted()) {
            return Ok(());
        }
        let now = self.now();
        let mut tx = self.write().await?;
        let first = tx.orphan(&owner.key).await?.is_none();
        tx.miss_object(&owner.key, now).await?;
        if first {
            let text = "the object is gone and its row is still in force: it is suspended in an hour and deleted in 30 \
                        days unless the object comes back";
            tx.add_report(&report(owner, Reason::OrphanFound, text, now)).await?;
        }
        Ok(tx.commit().await?)
    }

    /// The object is there, or nobody looks for it any more.
    pub async fn forget_orphan(&self, owner: &OwnerKey) -> Result<(), Error> {
        let mut tx = self.write().await?;
        tx.forget_orphan(owner).await?;
        Ok(tx.commit().await?)
    }

    /// Nothing is issued by or for the row any more, until its object is back.
    pub async fn suspend_orphan(&self, owner: &OwnerKey) -> Result<(), Error> {
        let now = self.now();
        let mut tx = self.write().await?;
        let Some(mut managed) = live(&mut tx, owner).await? else {
            tx.forget_orphan(owner).await?;
            return Ok(tx.commit().await?);
        };
        let id = managed.entity_id.clone();
        tx.lock_entity(owner.kind, &id).await?;
        let entity = match tx.entity(owner.kind, &id).await {
            // what cannot be read is not served either
            Err(store::Error::Corrupt { .. }) => None,
            entity => entity?,
        };
        if let Some(entity) = entity {
            tx.put(&id, &at_rest(entity.spec), entity.owner.as_ref(), now).await?;
        }
        if owner.kind == Kind::OAuthClient {
            tx.revoke(Revoke::Client(&id), RevokeCause::Suspended, now).await?;
        }
        managed.last_applied = managed.last_applied.map(at_rest);
        managed.settled = tx.last_sequence().await?;
        tx.put_managed(&managed).await?;
        tx.orphan_suspended(owner, now).await?;
        if owner.kind != Kind::Provider {
            let text = "the object has been gone for an hour: nothing is issued until it is there again";
            tx.add_report(&report(&managed.owner, Reason::Suspended, text, now)).await?;
        }
        Ok(tx.commit().await?)
    }
}

/// The same policy, and nothing is issued. A provider issues nothing.
fn at_rest(spec: Spec) -> Spec {
    match spec {
        Spec::Client(mut client) => {
            client.state = ClientState::Suspended;
            Spec::Client(client)
        }
        Spec::ResourceServer(mut server) => {
            server.lifecycle = Lifecycle::Draft;
            Spec::ResourceServer(server)
        }
        provider @ Spec::Provider(_) => provider,
    }
}

fn report(owner: &Owner, reason: Reason, note: &str, at: jiff::Timestamp) -> Report {
    Report::new(owner.key.clone(), &owner.object_uid, reason, note.to_owned(), at)
}
