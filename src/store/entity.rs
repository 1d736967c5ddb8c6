//! Policy entities: read whole, written by the smallest change, deleted with all that hangs on them.

use std::collections::HashMap;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::domain::credential::Credential;
use crate::domain::owner::{Kind, OwnerKey};
use crate::domain::policy::Entity;
use crate::domain::spec::Spec;

use super::Error;
use super::cell::MappedRow;
use super::mapping::{self, Cell, Cells, Table};
use super::tx::{Connection, Tx, on};

impl Tx {
    /// An entity as the database has it. [`Error::Corrupt`] when its rows are no policy: `put` overwrites them.
    pub async fn entity(&mut self, kind: Kind, id: &str) -> Result<Option<Entity>, Error> {
        self.load(kind, Some(id)).await?.pop().transpose()
    }

    /// By what a request or a resource names: the client id, or the resource URI (`https://h` is `https://h/`).
    /// Providers have no such name.
    pub async fn entity_by_name(&mut self, kind: Kind, public: &str) -> Result<Option<Entity>, Error> {
        let id = match kind {
            Kind::OAuthClient => Some(public.to_owned()),
            Kind::ResourceServer => self.entity_id_by_uri(public).await?,
            Kind::Provider => None,
        };
        match id {
            Some(id) => self.entity(kind, &id).await,
            None => Ok(None),
        }
    }

    /// The resource server that has this URI (`https://h` is `https://h/`), whether or not its row can be read.
    pub async fn entity_id_by_uri(&mut self, uri: &str) -> Result<Option<String>, Error> {
        let sql = "SELECT id FROM resource_server WHERE rtrim(resource_uri, '/') = rtrim($1, '/')";
        Ok(on!(self, c => sqlx::query_scalar::<_, String>(sql).bind(uri).fetch_optional(c).await)?)
    }

    /// The ids of the rows that say themselves that they are this owner's, the oldest first.
    pub async fn entity_ids_of(&mut self, owner: &OwnerKey) -> Result<Vec<String>, Error> {
        let table = mapping::tables(owner.kind)[0].name;
        let sql =
            format!("SELECT id FROM {table} WHERE owner_namespace = $1 AND owner_name = $2 ORDER BY created_at, id");
        Ok(on!(self, c => sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(sql))
            .bind(&owner.namespace).bind(&owner.name).fetch_all(c).await)?)
    }

    /// Every entity of a kind that can be read; the others are logged.
    pub async fn entities(&mut self, kind: Kind) -> Result<Vec<Entity>, Error> {
        let loaded = self.load(kind, None).await?;
        let readable = |entity: Result<Entity, Error>| {
            entity.inspect_err(|error| tracing::error!(%error, "policy that cannot be read is not served")).ok()
        };
        Ok(loaded.into_iter().filter_map(readable).collect())
    }

    /// Resource servers in whose provider or fronting this id may stand; those that cannot be read are left out.
    pub async fn resource_servers_that_name(&mut self, id: &str) -> Result<Vec<Entity>, Error> {
        let sql = "SELECT id FROM resource_server
            WHERE token_source LIKE '%\"' || $1 || '\"%' OR fronting LIKE '%\"' || $1 || '\"%' ORDER BY id";
        let ids = on!(self, c => sqlx::query_scalar::<_, String>(sql).bind(id).fetch_all(c).await)?;
        let mut found = Vec::new();
        for id in ids {
            match self.entity(Kind::ResourceServer, &id).await {
                Err(Error::Corrupt { .. }) => {}
                entity => found.extend(entity?),
            }
        }
        Ok(found)
    }

    /// Keeps others from changing the entity until this transaction ends. SQLite has one writer anyway.
    pub async fn lock_entity(&mut self, kind: Kind, id: &str) -> Result<(), Error> {
        match &mut self.connection {
            Connection::Sqlite(_) => Ok(()),
            Connection::Postgres(transaction) => super::postgres::lock(transaction, kind, id).await,
        }
    }

    /// Inserts the entity, or changes only the columns and items that differ.
    pub async fn put(&mut self, id: &str, spec: &Spec, owner: Option<&OwnerKey>, now: Timestamp) -> Result<(), Error> {
        let (own, lists) = mapping::split(spec)?;
        let tables = mapping::tables(spec.kind());
        let owner = (owner.map(|o| o.namespace.clone()), owner.map(|o| o.name.clone()));
        self.put_own(&tables[0], id, (own, owner), now).await?;
        for (table, items) in tables[1..].iter().zip(lists) {
            self.put_items(table, id, items, now).await?;
        }
        Ok(())
    }

    /// Deletes the entity, its items and its credentials; false when there was none.
    pub async fn delete(&mut self, kind: Kind, id: &str) -> Result<bool, Error> {
        let key = Cell::Text(id.to_owned());
        let tables = mapping::tables(kind);
        let deleted = self.execute(format!("DELETE FROM {} WHERE id = $1", tables[0].name), &[&key]).await? > 0;
        for table in &tables[1..] {
            self.execute(format!("DELETE FROM {} WHERE {} = $1", table.name, table.entity), &[&key]).await?;
        }
        if kind != Kind::Provider {
            self.delete_credentials(id).await?;
        }
        if kind == Kind::ResourceServer {
            self.delete_enforcement(id).await?;
        }
        self.delete_consents_to(kind, id).await?;
        Ok(deleted)
    }

    async fn load(&mut self, kind: Kind, id: Option<&str>) -> Result<Vec<Result<Entity, Error>>, Error> {
        let tables = mapping::tables(kind);
        let own = self.mapped_rows(&tables[0], id).await?;
        // an id that nobody has costs the same statements, so that time does not tell which ids there are
        let mut lists = Vec::new();
        for table in &tables[1..] {
            let mut by_entity: HashMap<String, Vec<Cells>> = HashMap::new();
            for row in self.mapped_rows(table, id).await? {
                by_entity.entry(row.entity).or_default().push(row.cells);
            }
            by_entity.values_mut().for_each(|items| items.sort_by(|a, b| name_of(a).cmp(name_of(b))));
            lists.push(by_entity);
        }
        let mut credentials = match kind {
            Kind::Provider => HashMap::new(),
            _ => self.credentials(id).await?,
        };
        Ok(own
            .into_iter()
            .map(|row| {
                let items = lists.iter_mut().map(|list| list.remove(&row.id).unwrap_or_default()).collect();
                let credentials = credentials.remove(&row.id).unwrap_or_default();
                assemble(kind, row, items, credentials)
            })
            .collect())
    }

    async fn put_own(
        &mut self,
        table: &Table,
        id: &str,
        (cells, owner): (Cells, (Option<String>, Option<String>)),
        now: Timestamp,
    ) -> Result<(), Error> {
        let nullable = |text: &Option<String>| text.clone().map_or(Cell::Null, Cell::Text);
        let mut wanted: Vec<(&str, Cell)> = table.columns.iter().map(|c| c.name).zip(cells).collect();
        wanted.push(("owner_namespace", nullable(&owner.0)));
        wanted.push(("owner_name", nullable(&owner.1)));
        let stamp = Cell::Integer(now.as_microsecond());
        let Some(mut row) = self.mapped_rows(table, Some(id)).await?.pop() else {
            wanted.push(("created_at", stamp.clone()));
            wanted.push(("updated_at", stamp));
            return self.insert(table.name, id, &wanted).await;
        };
        row.cells.push(nullable(&row.owner.0));
        row.cells.push(nullable(&row.owner.1));
        let mut changed = differing(wanted, &row.cells);
        if !changed.is_empty() {
            changed.push(("updated_at", stamp));
        }
        self.update(table.name, id, &changed).await
    }

    async fn put_items(&mut self, table: &Table, entity: &str, items: Vec<Cells>, now: Timestamp) -> Result<(), Error> {
        let rows = self.mapped_rows(table, Some(entity)).await?;
        let surplus = |row: &&MappedRow| !items.iter().any(|item| name_of(item) == name_of(&row.cells));
        for row in rows.iter().filter(surplus) {
            let id = Cell::Text(row.id.clone());
            self.execute(format!("DELETE FROM {} WHERE id = $1", table.name), &[&id]).await?;
        }
        for item in items {
            let columns = table.columns.iter().map(|c| c.name);
            match rows.iter().find(|row| name_of(&row.cells) == name_of(&item)) {
                Some(row) => {
                    let changed = differing(columns.zip(item).collect(), &row.cells);
                    self.update(table.name, &row.id, &changed).await?;
                }
                None => {
                    let id = item_id(table, entity, name_of(&item), now);
                    let mut wanted: Vec<(&str, Cell)> = columns.zip(item).collect();
                    wanted.push((table.entity, Cell::Text(entity.to_owned())));
                    self.insert(table.name, &id, &wanted).await?;
                }
            }
        }
        Ok(())
    }

    async fn insert(&mut self, table: &str, id: &str, values: &[(&str, Cell)]) -> Result<(), Error> {
        let columns: String = values.iter().map(|(column, _)| format!(", {column}")).collect();
        let places: String = (2..values.len() + 2).map(|place| format!(", ${place}")).collect();
        let id = Cell::Text(id.to_owned());
        let cells: Vec<&Cell> = std::iter::once(&id).chain(values.iter().map(|(_, cell)| cell)).collect();
        self.execute(format!("INSERT INTO {table} (id{columns}) VALUES ($1{places})"), &cells).await?;
        Ok(())
    }

    async fn update(&mut self, table: &str, id: &str, changed: &[(&str, Cell)]) -> Result<(), Error> {
        if changed.is_empty() {
            return Ok(());
        }
        let set: Vec<String> = changed.iter().enumerate().map(|(i, (c, _))| format!("{c} = ${}", i + 2)).collect();
        let id = Cell::Text(id.to_owned());
        let cells: Vec<&Cell> = std::iter::once(&id).chain(changed.iter().map(|(_, cell)| cell)).collect();
        self.execute(format!("UPDATE {table} SET {} WHERE id = $1", set.join(", ")), &cells).await?;
        Ok(())
    }
}

fn assemble(kind: Kind, row: MappedRow, items: Vec<Vec<Cells>>, credentials: Vec<Credential>) -> Result<Entity, Error> {
    let spec = mapping::join(kind, row.cells, items).ok_or_else(|| Error::corrupt(kind, &row.id))?;
    let owner = match row.owner {
        (Some(namespace), Some(name)) => Some(OwnerKey::new(kind, namespace, name)),
        _ => None,
    };
    Ok(Entity { id: row.id, spec, revision: row.revision, credentials, owner })
}

fn differing<'a>(wanted: Vec<(&'a str, Cell)>, present: &[Cell]) -> Vec<(&'a str, Cell)> {
    wanted.into_iter().zip(present).filter(|((_, cell), there)| cell != *there).map(|(column, _)| column).collect()
}

/// The name of an item is in its table's first column.
fn name_of(cells: &Cells) -> &str {
    match cells.first() {
        Some(Cell::Text(name)) => name,
        _ => "",
    }
}

/// An id of the row's own, that outlives a change of its name.
fn item_id(table: &Table, entity: &str, name: &str, now: Timestamp) -> String {
    let mut digest = Sha256::new();
    for part in [table.name, entity, name, &now.as_microsecond().to_string()] {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    let hex: String = digest.finalize().iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("{}_{hex}", table.name)
}
