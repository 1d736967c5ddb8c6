//! The audit: rows that are only ever added, each in the transaction of what it records.

use crate::domain::Actor;
use crate::domain::audit::{AuditEvent, AuditKind, Record};
use serde_json::Value;

use super::Error;
use super::time::stamp;
use super::tx::{Tx, on, row};

row!(AuditRow {
    id: i64,
    kind: String,
    at: i64,
    who: String,
    client_id: Option<String>,
    user_id: Option<String>,
    resource: Option<String>,
    source: Option<String>,
    detail: Option<String>,
});

impl AuditRow {
    fn read(self) -> Result<AuditEvent, Error> {
        let corrupt = || Error::Corrupt { table: "audit", key: self.id.to_string() };
        let detail = self.detail.as_deref().map(serde_json::from_str::<Value>);
        Ok(AuditEvent {
            id: self.id,
            kind: AuditKind::ALL.iter().copied().find(|kind| kind.as_str() == self.kind).ok_or_else(corrupt)?,
            at: stamp(self.at, corrupt)?,
            detail: detail.transpose().map_err(|_| corrupt())?.unwrap_or_default(),
            who: Actor::recorded(self.who),
            client_id: self.client_id,
            user_id: self.user_id,
            resource: self.resource,
            source: self.source,
        })
    }
}

impl Tx {
    /// Records an event with what else this transaction writes: both are there, or neither.
    pub async fn audit(&mut self, kind: AuditKind, record: &Record<'_>) -> Result<(), Error> {
        let sql = "INSERT INTO audit (kind, at, who, client_id, user_id, resource, source, detail)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let source = record.source.map(|source| source.to_canonical().to_string());
        let detail = (!record.detail.is_null()).then(|| record.detail.to_string());
        on!(self, c => sqlx::query(sql)
            .bind(kind.as_str()).bind(record.at.as_microsecond()).bind(record.who.as_str())
            .bind(record.client_id).bind(record.user_id).bind(record.resource).bind(&source).bind(&detail)
            .execute(c).await.map(drop))?;
        self.audited.push(kind);
        Ok(())
    }

    /// The newest events, the latest first, of one kind or of all.
    pub async fn audit_events(&mut self, kind: Option<AuditKind>, limit: i64) -> Result<Vec<AuditEvent>, Error> {
        let sql = "SELECT id, kind, at, who, client_id, user_id, resource, source, detail FROM audit
            WHERE $1 = '' OR kind = $1 ORDER BY id DESC LIMIT $2";
        let kind = kind.map_or("", AuditKind::as_str);
        let rows = on!(self, c => sqlx::query_as::<_, AuditRow>(sql).bind(kind).bind(limit).fetch_all(c).await)?;
        rows.into_iter().map(AuditRow::read).collect()
    }
}
