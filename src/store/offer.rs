//! Offers: rows that exactly one owner may take over, until it does or the offer is withdrawn.

use jiff::Timestamp;

use crate::domain::Actor;
use crate::domain::owner::OwnerKey;

use super::Error;
use super::time::stamp;
use super::tx::{Tx, on, row};

/// A row that is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub owner: OwnerKey,
    /// Client id, `rs_…` or `prv_…`.
    pub entity_id: String,
    pub by: Actor,
    pub at: Timestamp,
}

row!(OfferRow {
    owner_kind: String,
    owner_namespace: String,
    owner_name: String,
    entity_id: String,
    actor: String,
    offered_at: i64,
});

impl OfferRow {
    fn read(self) -> Result<Offer, Error> {
        let key = format!("{}/{}/{}", self.owner_kind, self.owner_namespace, self.owner_name);
        let corrupt = || Error::Corrupt { table: "offer", key: key.clone() };
        Ok(Offer {
            owner: key.parse().map_err(|_| corrupt())?,
            entity_id: self.entity_id,
            by: Actor::recorded(self.actor),
            at: stamp(self.offered_at, corrupt)?,
        })
    }
}

impl Tx {
    /// Whether this row is offered to this owner.
    pub async fn is_offered(&mut self, owner: &OwnerKey, id: &str) -> Result<bool, Error> {
        let sql = "SELECT COUNT(*) FROM offer
            WHERE owner_kind = $1 AND owner_namespace = $2 AND owner_name = $3 AND entity_id = $4";
        let found = on!(self, c => sqlx::query_scalar::<_, i64>(sql)
            .bind(owner.kind.as_str()).bind(&owner.namespace).bind(&owner.name).bind(id).fetch_one(c).await)?;
        Ok(found > 0)
    }

    /// All offers, by owner.
    pub async fn offers(&mut self) -> Result<Vec<Offer>, Error> {
        let sql = "SELECT owner_kind, owner_namespace, owner_name, entity_id, actor, offered_at FROM offer
            ORDER BY owner_kind, owner_namespace, owner_name";
        let rows = on!(self, c => sqlx::query_as::<_, OfferRow>(sql).fetch_all(c).await)?;
        rows.into_iter().map(OfferRow::read).collect()
    }

    /// Offers a row; an earlier offer of the row, or to the owner, is over.
    pub async fn put_offer(&mut self, offer: &Offer) -> Result<(), Error> {
        let key = &offer.owner;
        let sql = "DELETE FROM offer WHERE owner_kind = $1 AND entity_id = $2";
        on!(self, c => sqlx::query(sql).bind(key.kind.as_str()).bind(&offer.entity_id).execute(c).await.map(drop))?;
        self.delete_offer(key).await?;
        let sql = "INSERT INTO offer (owner_kind, owner_namespace, owner_name, entity_id, actor, offered_at)
            VALUES ($1, $2, $3, $4, $5, $6)";
        on!(self, c => sqlx::query(sql)
            .bind(key.kind.as_str()).bind(&key.namespace).bind(&key.name).bind(&offer.entity_id)
            .bind(offer.by.as_str()).bind(offer.at.as_microsecond()).execute(c).await.map(drop))?;
        Ok(())
    }

    /// False when nothing is offered to this owner.
    pub async fn delete_offer(&mut self, owner: &OwnerKey) -> Result<bool, Error> {
        let sql = "DELETE FROM offer WHERE owner_kind = $1 AND owner_namespace = $2 AND owner_name = $3";
        let touched = on!(self, c => sqlx::query(sql)
            .bind(owner.kind.as_str()).bind(&owner.namespace).bind(&owner.name)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(touched > 0)
    }
}
