//! The outbox of things to tell: written with the change, marked once told.

use jiff::Timestamp;
use serde_json::json;

use crate::domain::actor::Actor;
use crate::domain::audit::{AuditKind, Record};
use crate::domain::managed::Report;
use crate::domain::owner::OwnerKey;
use crate::domain::reason::Reason;

use super::Error;
use super::time::stamp;
use super::tx::{Tx, on, row};

row!(ReportRow {
    id: i64,
    owner_kind: String,
    owner_namespace: String,
    owner_name: String,
    object_uid: String,
    reason: String,
    field_path: String,
    note: String,
    at: i64,
});

impl ReportRow {
    fn read(self) -> Result<Report, Error> {
        let corrupt = || Error::Corrupt { table: "report", key: self.id.to_string() };
        let owner: OwnerKey = format!("{}/{}/{}", self.owner_kind, self.owner_namespace, self.owner_name)
            .parse()
            .map_err(|_| corrupt())?;
        Ok(Report {
            id: self.id,
            owner,
            reason: Reason::parse(&self.reason).ok_or_else(corrupt)?,
            at: stamp(self.at, corrupt)?,
            object_uid: self.object_uid,
            field_path: self.field_path,
            note: self.note,
        })
    }
}

impl Tx {
    /// Puts a report into the outbox; its `id` is given there.
    pub async fn add_report(&mut self, report: &Report) -> Result<(), Error> {
        let sql = "INSERT INTO report
            (owner_kind, owner_namespace, owner_name, object_uid, reason, field_path, note, at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        on!(self, c => sqlx::query(sql)
            .bind(report.owner.kind.as_str()).bind(&report.owner.namespace).bind(&report.owner.name)
            .bind(&report.object_uid).bind(report.reason.as_str()).bind(&report.field_path)
            .bind(&report.note).bind(report.at.as_microsecond())
            .execute(c).await.map(drop))?;
        self.audit_report(report).await
    }

    /// What is told of an object is recorded, in its own name.
    async fn audit_report(&mut self, report: &Report) -> Result<(), Error> {
        let Some(kind) = AuditKind::of_policy(report.reason, report.owner.kind) else { return Ok(()) };
        let detail = json!({ "reason": report.reason.as_str(), "field": report.field_path, "note": report.note });
        let who = Actor::recorded(report.owner.to_string());
        self.audit(kind, &Record { detail, ..Record::new(report.at, who) }).await
    }

    /// What was not told yet, oldest first; what cannot be read is logged and left out.
    pub async fn unreported(&mut self, limit: i64) -> Result<Vec<Report>, Error> {
        let sql = "SELECT id, owner_kind, owner_namespace, owner_name, object_uid, reason, field_path, note, at
            FROM report WHERE reported_at IS NULL ORDER BY id LIMIT $1";
        let rows = on!(self, c => sqlx::query_as::<_, ReportRow>(sql).bind(limit).fetch_all(c).await)?;
        let readable = |row: ReportRow| {
            row.read().inspect_err(|error| tracing::error!(%error, "a report that cannot be read is left out")).ok()
        };
        Ok(rows.into_iter().filter_map(readable).collect())
    }

    pub async fn mark_reported(&mut self, ids: &[i64], now: Timestamp) -> Result<(), Error> {
        let sql = "UPDATE report SET reported_at = $2 WHERE id = $1 AND reported_at IS NULL";
        for id in ids {
            on!(self, c => sqlx::query(sql).bind(*id).bind(now.as_microsecond()).execute(c).await.map(drop))?;
        }
        Ok(())
    }
}
