//! Change rows, written by triggers: who touched an entity, and when.

use crate::domain::actor::Actor;
use crate::domain::owner::{Kind, OwnerKey};
use crate::domain::policy::Trace;

use super::Error;
use super::time::stamp;
use super::tx::{Tx, on, row};

row!(OwnerRow { owner_kind: String, owner_namespace: String, owner_name: String });
row!(TraceRow { sequence: i64, table_name: String, actor: String, at: i64 });

impl Tx {
    /// Who touched the entity, its items, its credentials or what is remembered of it after this sequence, in order.
    pub async fn traces(&mut self, kind: Kind, id: &str, after: i64) -> Result<Vec<Trace>, Error> {
        // an empty entity id is a TRUNCATE of the table; rows of another incarnation came with a backup and are settled
        let sql = "SELECT sequence, table_name, actor, at FROM change
            WHERE entity_id IN ($2, '') AND entity_kind IN ($1, '') AND sequence > $3
                AND incarnation = (SELECT i.incarnation FROM installation i)
            ORDER BY sequence";
        let rows = on!(self, c => sqlx::query_as::<_, TraceRow>(sql)
            .bind(kind.as_str()).bind(id).bind(after).fetch_all(c).await)?;
        rows.into_iter()
            .map(|row| {
                let at = stamp(row.at, || Error::Corrupt { table: "change", key: row.sequence.to_string() })?;
                Ok(Trace { sequence: row.sequence, table: row.table_name, actor: Actor::recorded(row.actor), at })
            })
            .collect()
    }

    /// Owners of rows that somebody else than the controller touched since actors were last accounted for.
    pub async fn unaccounted(&mut self) -> Result<Vec<OwnerKey>, Error> {
        let sql = "SELECT owner_kind, owner_namespace, owner_name FROM managed m WHERE m.deleted_at IS NULL
            AND EXISTS (SELECT 1 FROM change c WHERE c.entity_kind = m.owner_kind AND c.entity_id = m.entity_id
                AND c.sequence > m.settled AND c.actor <> $1)";
        let controller = Actor::controller();
        let rows = on!(self, c => sqlx::query_as::<_, OwnerRow>(sql).bind(controller.as_str()).fetch_all(c).await)?;
        let read = |row: OwnerRow| {
            let key = format!("{}/{}/{}", row.owner_kind, row.owner_namespace, row.owner_name);
            key.parse().map_err(|_| Error::Corrupt { table: "managed", key })
        };
        rows.into_iter().map(read).collect()
    }

    /// The sequence of the latest change; 0 when there was none.
    pub async fn last_sequence(&mut self) -> Result<i64, Error> {
        let sql = "SELECT coalesce(max(sequence), 0) FROM change";
        Ok(on!(self, c => sqlx::query_scalar::<_, i64>(sql).fetch_one(c).await)?)
    }
}
