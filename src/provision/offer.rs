//! Offers to adopt: what an administrator hands over to one object, and a database that moves to another cluster.
//!
//! An offer never takes a row from an owner that lives; it lets exactly one object have a row that is nobody's, or that
//! is its own from a namespace that is gone. Every write here is in the audit.

use serde_json::json;

use super::{Error, Provisioner};
use crate::domain::client::Origin;
use crate::domain::{Actor, AuditKind, Kind, OwnerKey, Record};
use crate::store::{self, Offer, Tx};

impl Provisioner {
    /// Offers the row to the owner. Whether it is taken is the object's to say when it is next looked at.
    ///
    /// # Errors
    /// There is no such row, it has a live owner, or it is a client that nobody may manage.
    pub async fn offer(&self, owner: &OwnerKey, id: &str, actor: &Actor) -> Result<Offer, Error> {
        let mut tx = self.store().write(actor).await?;
        self.check(&mut tx, owner, id).await?;
        let offer = Offer { owner: owner.clone(), entity_id: id.to_owned(), by: actor.clone(), at: self.now() };
        tx.put_offer(&offer).await?;
        self.audit(&mut tx, AuditKind::OfferMade, (owner, id), actor).await?;
        tx.commit().await?;
        Ok(offer)
    }

    async fn check(&self, tx: &mut Tx, owner: &OwnerKey, id: &str) -> Result<(), Error> {
        let kind = owner.kind;
        if kind == Kind::OAuthClient && Origin::of(id) != Origin::Managed {
            return Err(Error::NotOffered(format!("{id} registered itself, and no object can manage it")));
        }
        let there = match tx.entity(kind, id).await {
            // it is there all the same
            Err(store::Error::Corrupt { .. }) => true,
            found => found?.is_some(),
        };
        // the tombstone of a row brings its id back
        let remembered = tx.managed_by_entity(kind, id).await?;
        if !there && remembered.is_none() {
            return Err(Error::Unknown(kind));
        }
        match tx.other_owner(owner, id).await? {
            Some(holder) => Err(Error::Owned(holder)),
            None => Ok(()),
        }
    }

    pub async fn offers(&self) -> Result<Vec<Offer>, Error> {
        Ok(self.store().read().await?.offers().await?)
    }

    /// False when nothing was offered to this owner.
    pub async fn withdraw_offer(&self, owner: &OwnerKey, actor: &Actor) -> Result<bool, Error> {
        let mut tx = self.store().write(actor).await?;
        if !tx.delete_offer(owner).await? {
            return Ok(false);
        }
        self.audit(&mut tx, AuditKind::OfferWithdrawn, (owner, ""), actor).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Binds the database to another cluster, and offers every managed row to its owner of the same name there: its
    /// namespaces are others. How many; nothing when it is bound to that cluster already.
    pub async fn move_to(&self, cluster: &str, actor: &Actor) -> Result<Option<usize>, Error> {
        let mut tx = self.store().write(actor).await?;
        if !tx.rebind(cluster).await? {
            return Ok(None);
        }
        let managed = tx.all_managed().await?.into_iter().filter(|managed| managed.deleted_at.is_none());
        let mut offered = 0;
        for managed in managed {
            let (owner, entity_id) = (managed.owner.key, managed.entity_id);
            tx.put_offer(&Offer { owner, entity_id, by: actor.clone(), at: self.now() }).await?;
            offered += 1;
        }
        let detail = json!({ "cluster": cluster, "offered": offered });
        tx.audit(AuditKind::DatabaseAdopted, &Record { detail, ..Record::new(self.now(), actor.clone()) }).await?;
        tx.commit().await?;
        Ok(Some(offered))
    }

    async fn audit(
        &self,
        tx: &mut Tx,
        kind: AuditKind,
        (owner, id): (&OwnerKey, &str),
        actor: &Actor,
    ) -> Result<(), Error> {
        let detail = json!({ "owner": owner.to_string() });
        let resource = (!id.is_empty()).then_some(id);
        tx.audit(kind, &Record { detail, resource, ..Record::new(self.now(), actor.clone()) }).await?;
        Ok(())
    }
}
