//! What there is to export, and the record that somebody did.

use std::collections::HashMap;

use serde_json::json;

use super::{Error, Provisioner};
use crate::domain::policy::Entity;
use crate::domain::{Actor, AuditKind, Kind, Managed, Record};

impl Provisioner {
    /// Every policy row with what is remembered of its live owner, from one state of the database.
    pub async fn rows(&self) -> Result<Vec<(Entity, Option<Managed>)>, Error> {
        let mut tx = self.store().read().await?;
        let managed = tx.all_managed().await?.into_iter().filter(|m| m.deleted_at.is_none());
        let mut managed: HashMap<_, _> = managed.map(|m| ((m.owner.key.kind, m.entity_id.clone()), m)).collect();
        let mut rows = Vec::new();
        for kind in Kind::ALL {
            for entity in tx.entities(kind).await? {
                let owner = managed.remove(&(kind, entity.id.clone()));
                rows.push((entity, owner));
            }
        }
        Ok(rows)
    }

    /// Writes down that so many rows were exported.
    pub async fn record_export(&self, rows: usize, actor: &Actor) -> Result<(), Error> {
        let mut tx = self.store().write(actor).await?;
        let record = Record { detail: json!({ "rows": rows }), ..Record::new(self.now(), actor.clone()) };
        tx.audit(AuditKind::Export, &record).await?;
        Ok(tx.commit().await?)
    }
}
