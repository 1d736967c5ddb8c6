//! The table `managed`: what was applied for each owner, apart from the rows that it was applied to.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::desired::DeletionPolicy;
use crate::domain::managed::Managed;
use crate::domain::owner::{Kind, Owner, OwnerKey};
use crate::domain::spec::Spec;

use super::Error;
use super::time::{micros, optional};
use super::tx::{Readable, Tx, on, row};

/// The format of `last_applied` that this program writes.
const FORMAT: i64 = 1;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT owner_kind, owner_namespace, owner_name, namespace_uid, object_uid, entity_id, deletion, last_applied,",
            " credentials, drift, correction, settled, revoked_before, revoked_before_seen, deleted_at FROM managed ",
            $rest
        )
    };
}

row!(ManagedRow {
    owner_kind: String,
    owner_namespace: String,
    owner_name: String,
    namespace_uid: String,
    object_uid: String,
    entity_id: String,
    deletion: String,
    last_applied: Option<String>,
    credentials: String,
    drift: Option<String>,
    correction: Option<String>,
    settled: i64,
    revoked_before: Option<String>,
    revoked_before_seen: Option<String>,
    deleted_at: Option<i64>,
});

impl ManagedRow {
    fn of(row: Readable<Self>, key: &str) -> Result<Managed, Error> {
        let corrupt = || Error::Corrupt { table: "managed", key: key.to_owned() };
        row.0.ok_or_else(corrupt)?.read()
    }

    fn read(self) -> Result<Managed, Error> {
        let key = format!("{}/{}/{}", self.owner_kind, self.owner_namespace, self.owner_name);
        let corrupt = || Error::Corrupt { table: "managed", key: key.clone() };
        let deletion = match self.deletion.as_str() {
            "Delete" => DeletionPolicy::Delete,
            "Retain" => DeletionPolicy::Retain,
            _ => return Err(corrupt()),
        };
        let revoked_before = match (self.revoked_before, self.revoked_before_seen) {
            (Some(value), Some(seen)) => {
                Some((value.parse().map_err(|_| corrupt())?, seen.parse().map_err(|_| corrupt())?))
            }
            _ => None,
        };
        Ok(Managed {
            owner: Owner {
                key: key.parse().map_err(|_| corrupt())?,
                namespace_uid: self.namespace_uid,
                object_uid: self.object_uid,
            },
            entity_id: self.entity_id,
            deletion,
            last_applied: parse::<Spec>(self.last_applied, corrupt)?,
            credentials: parse(Some(self.credentials), corrupt)?.unwrap_or_default(),
            drift: parse(self.drift, corrupt)?,
            correction: parse(self.correction, corrupt)?,
            settled: self.settled,
            revoked_before,
            deleted_at: optional(self.deleted_at, corrupt)?,
        })
    }
}

fn parse<T: DeserializeOwned>(json: Option<String>, corrupt: impl FnOnce() -> Error) -> Result<Option<T>, Error> {
    json.map(|json| serde_json::from_str(&json)).transpose().map_err(|_| corrupt())
}

fn print<T: Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Query(error.into()))
}

impl Tx {
    /// What is remembered of an owner, also of one that is gone (`deleted_at`). [`Error::Corrupt`] when the row makes
    /// no sense: `put_managed` overwrites it.
    pub async fn managed(&mut self, owner: &OwnerKey) -> Result<Option<Managed>, Error> {
        let sql = select!("WHERE owner_kind = $1 AND owner_namespace = $2 AND owner_name = $3");
        let row = on!(self, c => sqlx::query_as::<_, Readable<ManagedRow>>(sql)
            .bind(owner.kind.as_str()).bind(&owner.namespace).bind(&owner.name).fetch_optional(c).await)?;
        row.map(|row| ManagedRow::of(row, &owner.to_string())).transpose()
    }

    /// Who manages this entity; of several, one that lives before one that is gone.
    pub async fn managed_by_entity(&mut self, kind: Kind, id: &str) -> Result<Option<Managed>, Error> {
        let sql = select!(
            "WHERE owner_kind = $1 AND entity_id = $2
            ORDER BY CASE WHEN deleted_at IS NULL THEN 0 ELSE 1 END, deleted_at DESC LIMIT 1"
        );
        let row = on!(self, c => sqlx::query_as::<_, Readable<ManagedRow>>(sql)
            .bind(kind.as_str()).bind(id).fetch_optional(c).await)?;
        row.map(|row| ManagedRow::of(row, id)).transpose()
    }

    /// Somebody else who manages this entity now.
    pub async fn other_owner(&mut self, owner: &OwnerKey, id: &str) -> Result<Option<OwnerKey>, Error> {
        let sql = "SELECT owner_namespace || '/' || owner_name FROM managed
            WHERE owner_kind = $1 AND entity_id = $2 AND deleted_at IS NULL
                AND NOT (owner_namespace = $3 AND owner_name = $4) LIMIT 1";
        let found = on!(self, c => sqlx::query_scalar::<_, String>(sql)
            .bind(owner.kind.as_str()).bind(id).bind(&owner.namespace).bind(&owner.name).fetch_optional(c).await)?;
        Ok(found.and_then(|name| format!("{}/{name}", owner.kind).parse().ok()))
    }

    /// The live owner of an entity.
    pub(super) async fn managed_owner(&mut self, kind: Kind, id: &str) -> Result<Option<OwnerKey>, Error> {
        let sql = "SELECT owner_namespace || '/' || owner_name FROM managed
            WHERE owner_kind = $1 AND entity_id = $2 AND deleted_at IS NULL LIMIT 1";
        let found = on!(self, c => sqlx::query_scalar::<_, String>(sql)
            .bind(kind.as_str()).bind(id).fetch_optional(c).await)?;
        Ok(found.and_then(|name| format!("{kind}/{name}").parse().ok()))
    }

    /// The uid of a namespace as the owners in it remember it.
    pub async fn namespace_uid(&mut self, namespace: &str) -> Result<Option<String>, Error> {
        let sql = "SELECT namespace_uid FROM managed WHERE owner_namespace = $1 AND deleted_at IS NULL LIMIT 1";
        Ok(on!(self, c => sqlx::query_scalar::<_, String>(sql).bind(namespace).fetch_optional(c).await)?)
    }

    /// All owners, also those that are gone; what cannot be read is logged and left out.
    pub async fn all_managed(&mut self) -> Result<Vec<Managed>, Error> {
        let sql = select!("ORDER BY owner_kind, owner_namespace, owner_name");
        let rows = on!(self, c => sqlx::query_as::<_, Readable<ManagedRow>>(sql).fetch_all(c).await)?;
        let readable = |row| {
            let read = ManagedRow::of(row, "");
            read.inspect_err(|error| tracing::error!(%error, "a memory that cannot be read is left out")).ok()
        };
        Ok(rows.into_iter().filter_map(readable).collect())
    }

    /// Remembers, or replaces what was remembered; the same again changes nothing.
    pub async fn put_managed(&mut self, managed: &Managed) -> Result<(), Error> {
        self.touch().await?;
        let sql = "INSERT INTO managed (owner_kind, owner_namespace, owner_name, namespace_uid, object_uid, entity_id,
                deletion, format, last_applied, credentials, drift, correction, settled, revoked_before,
                revoked_before_seen, deleted_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
            ON CONFLICT (owner_kind, owner_namespace, owner_name) DO UPDATE SET
                namespace_uid = excluded.namespace_uid, object_uid = excluded.object_uid,
                entity_id = excluded.entity_id, deletion = excluded.deletion, format = excluded.format,
                last_applied = excluded.last_applied, credentials = excluded.credentials, drift = excluded.drift,
                correction = excluded.correction, settled = excluded.settled,
                revoked_before = excluded.revoked_before, revoked_before_seen = excluded.revoked_before_seen,
                deleted_at = excluded.deleted_at";
        let key = &managed.owner.key;
        let last_applied = managed.last_applied.as_ref().map(print).transpose()?;
        let drift = managed.drift.as_ref().map(print).transpose()?;
        let correction = managed.correction.as_ref().map(print).transpose()?;
        let credentials = print(&managed.credentials)?;
        let (before, seen) = managed.revoked_before.map(|(value, seen)| (value.to_string(), seen.to_string())).unzip();
        on!(self, c => sqlx::query(sql)
            .bind(key.kind.as_str()).bind(&key.namespace).bind(&key.name)
            .bind(&managed.owner.namespace_uid).bind(&managed.owner.object_uid).bind(&managed.entity_id)
            .bind(managed.deletion.as_str()).bind(FORMAT)
            .bind(&last_applied).bind(&credentials).bind(&drift).bind(&correction)
            .bind(managed.settled).bind(before).bind(seen).bind(micros(managed.deleted_at))
            .execute(c).await.map(drop))?;
        Ok(())
    }

    pub async fn delete_managed(&mut self, owner: &OwnerKey) -> Result<(), Error> {
        self.touch().await?;
        let sql = "DELETE FROM managed WHERE owner_kind = $1 AND owner_namespace = $2 AND owner_name = $3";
        on!(self, c => sqlx::query(sql)
            .bind(owner.kind.as_str()).bind(&owner.namespace).bind(&owner.name).execute(c).await.map(drop))?;
        Ok(())
    }
}
