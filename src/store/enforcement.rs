//! Enforcement points: the version that each of them says it runs.

use jiff::Timestamp;

use crate::domain::actor::Actor;
use crate::domain::enforcement::{Instance, PolicyTag};

use super::Error;
use super::time::{optional, stamp};
use super::tx::{Tx, on, row};

/// One enforcement point, as it said last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnforcementPoint {
    pub resource_server_id: String,
    pub instance: Instance,
    pub tag: PolicyTag,
    pub reported_by: Actor,
    pub seen_at: Timestamp,
}

/// Enforcement points of one resource server that run the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    pub resource_server_id: String,
    pub tag: PolicyTag,
    pub points: i64,
}

row!(RunningRow { resource_server_id: String, version: i64, hash: String, points: i64 });

impl RunningRow {
    fn read(self) -> Running {
        let tag = PolicyTag { version: self.version, hash: self.hash };
        Running { resource_server_id: self.resource_server_id, tag, points: self.points }
    }
}

impl Tx {
    /// Keeps what an enforcement point says; false when its resource server has `most` others already, or is gone.
    pub async fn put_enforcement_point(&mut self, point: &EnforcementPoint, most: i64) -> Result<bool, Error> {
        let sql = "INSERT INTO enforcement_point
                (resource_server_id, instance, version, hash, reported_by, seen_at)
            SELECT id, $2, $3, $4, $5, $6 FROM resource_server WHERE id = $1 AND (
                EXISTS (SELECT 1 FROM enforcement_point p WHERE p.resource_server_id = $1 AND p.instance = $2)
                OR (SELECT count(*) FROM enforcement_point p WHERE p.resource_server_id = $1) < $7)
            ON CONFLICT (resource_server_id, instance) DO UPDATE SET
                version = excluded.version, hash = excluded.hash, reported_by = excluded.reported_by,
                seen_at = excluded.seen_at
            WHERE enforcement_point.seen_at <= excluded.seen_at";
        let written = on!(self, c => sqlx::query(sql)
            .bind(&point.resource_server_id).bind(point.instance.as_str())
            .bind(point.tag.version).bind(&point.tag.hash).bind(point.reported_by.as_str())
            .bind(point.seen_at.as_microsecond()).bind(most)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(written > 0)
    }

    /// What those run that were heard of since then, of one resource server or of all.
    pub async fn running(&mut self, resource_server: Option<&str>, since: Timestamp) -> Result<Vec<Running>, Error> {
        let sql = "SELECT resource_server_id, version, hash, count(*) AS points FROM enforcement_point
            WHERE seen_at >= $1 AND ($2 = '' OR resource_server_id = $2)
            GROUP BY resource_server_id, version, hash ORDER BY resource_server_id, version, hash";
        let of = resource_server.unwrap_or_default();
        let rows = on!(self, c => sqlx::query_as::<_, RunningRow>(sql)
            .bind(since.as_microsecond()).bind(of).fetch_all(c).await)?;
        Ok(rows.into_iter().map(RunningRow::read).collect())
    }

    /// Forgets those that were not heard of since then; returns how many.
    pub async fn forget_enforcement_points(&mut self, before: Timestamp) -> Result<u64, Error> {
        let sql = "DELETE FROM enforcement_point WHERE seen_at < $1";
        let before = before.as_microsecond();
        Ok(on!(self, c => sqlx::query(sql).bind(before).execute(c).await.map(|done| done.rows_affected()))?)
    }

    /// Whether there is one that was not heard of since then.
    pub async fn has_silent_enforcement_points(&mut self, before: Timestamp) -> Result<bool, Error> {
        let sql = "SELECT count(*) FROM (SELECT 1 FROM enforcement_point WHERE seen_at < $1 LIMIT 1) AS silent";
        let before = before.as_microsecond();
        Ok(on!(self, c => sqlx::query_scalar::<_, i64>(sql).bind(before).fetch_one(c).await)? > 0)
    }

    /// When the first version of a resource server's policy after this one came into force.
    pub async fn in_force_after(&mut self, resource_server: &str, version: i64) -> Result<Option<Timestamp>, Error> {
        // what is remembered of an owner is no policy
        let sql = "SELECT min(at) FROM change WHERE entity_kind = 'ResourceServer' AND entity_id = $1
            AND sequence > $2 AND table_name <> 'managed'";
        let at = on!(self, c => sqlx::query_scalar::<_, Option<i64>>(sql)
            .bind(resource_server).bind(version).fetch_one(c).await)?;
        optional(at, || Error::Corrupt { table: "change", key: resource_server.to_owned() })
    }

    pub(super) async fn delete_enforcement(&mut self, resource_server: &str) -> Result<(), Error> {
        for table in ["enforcement_point", "tool_manifest"] {
            let sql = sqlx::AssertSqlSafe(format!("DELETE FROM {table} WHERE resource_server_id = $1"));
            on!(self, c => sqlx::query(sql).bind(resource_server).execute(c).await.map(drop))?;
        }
        Ok(())
    }
}

/// The manifest of one resource server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredManifest {
    pub digest: String,
    /// JSON.
    pub manifest: String,
    pub published_by: Actor,
    pub published_at: Timestamp,
}

row!(ManifestRow { digest: String, manifest: String, published_by: String, published_at: i64 });
row!(DigestRow { resource_server_id: String, digest: String });

impl Tx {
    /// What this resource server publishes.
    pub async fn tool_manifest(&mut self, resource_server: &str) -> Result<Option<StoredManifest>, Error> {
        let sql =
            "SELECT digest, manifest, published_by, published_at FROM tool_manifest WHERE resource_server_id = $1";
        let row = on!(self, c => sqlx::query_as::<_, ManifestRow>(sql).bind(resource_server).fetch_optional(c).await)?;
        let corrupt = || Error::Corrupt { table: "tool_manifest", key: resource_server.to_owned() };
        row.map(|row| {
            Ok(StoredManifest {
                digest: row.digest,
                manifest: row.manifest,
                published_by: Actor::recorded(row.published_by),
                published_at: stamp(row.published_at, corrupt)?,
            })
        })
        .transpose()
    }

    /// Replaces what it publishes.
    pub async fn put_tool_manifest(&mut self, resource_server: &str, manifest: &StoredManifest) -> Result<(), Error> {
        let sql = "INSERT INTO tool_manifest (resource_server_id, digest, manifest, published_by, published_at)
            VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (resource_server_id) DO UPDATE SET digest = excluded.digest, manifest = excluded.manifest,
                published_by = excluded.published_by, published_at = excluded.published_at";
        on!(self, c => sqlx::query(sql)
            .bind(resource_server).bind(&manifest.digest).bind(&manifest.manifest)
            .bind(manifest.published_by.as_str()).bind(manifest.published_at.as_microsecond())
            .execute(c).await.map(drop))?;
        Ok(())
    }

    /// Resource server and digest of every manifest.
    pub async fn manifest_digests(&mut self) -> Result<Vec<(String, String)>, Error> {
        let sql = "SELECT resource_server_id, digest FROM tool_manifest ORDER BY resource_server_id";
        let rows = on!(self, c => sqlx::query_as::<_, DigestRow>(sql).fetch_all(c).await)?;
        Ok(rows.into_iter().map(|row| (row.resource_server_id, row.digest)).collect())
    }
}
