//! The log of what happened to live policies: rows that are added, listed and dismissed, never changed and never
//! deleted before their time.

use jiff::Timestamp;
use serde_json::Value;
use sqlx::AssertSqlSafe;

use crate::domain::activity::{self, Activity, ActivityFilter, ActivityRecord, ActivityType, Cause, Launch};
use crate::domain::managed::Report;
use crate::domain::owner::Kind;
use crate::domain::{Actor, OwnerKey};

use super::Error;
use super::mapping::{self, Cell};
use super::time::{optional, stamp};
use super::tx::{Tx, on, row};

/// A longer payload is kept without its values.
const PAYLOAD: usize = 256 * 1024;

row!(LaunchRow { resource_uri: String, owner: Option<String>, launched_at: i64, launched_by: String });
row!(ActivityRow {
    id: i64,
    resource_server_id: String,
    resource_uri: String,
    owner: Option<String>,
    event_type: String,
    event_payload: String,
    occurred_at: i64,
    occurred_by: String,
    prior_policy_version: Option<i64>,
    policy_version: Option<i64>,
    tools_affected: i64,
    outside: i64,
    change_sequence: Option<i64>,
    dismissed_at: Option<i64>,
    dismissed_by: Option<String>,
});

const COLUMNS: &str = "id, resource_server_id, resource_uri, owner, event_type, event_payload, occurred_at,
    occurred_by, prior_policy_version, policy_version, tools_affected, outside, change_sequence, dismissed_at,
    dismissed_by";

impl ActivityRow {
    fn read(self) -> Result<ActivityRecord, Error> {
        let corrupt = || Error::Corrupt { table: "activity", key: self.id.to_string() };
        let payload = serde_json::from_str::<Value>(&self.event_payload).map_err(|_| corrupt())?;
        let event = ActivityType::parse(&self.event_type).ok_or_else(corrupt)?;
        let dismissed = optional(self.dismissed_at, corrupt)?;
        Ok(ActivityRecord {
            id: self.id,
            activity: Activity { tools_affected: self.tools_affected, ..Activity::new(event, payload) },
            cause: Cause {
                at: stamp(self.occurred_at, corrupt)?,
                actor: Actor::recorded(self.occurred_by),
                sequence: self.change_sequence,
                outside: self.outside != 0,
                prior_version: self.prior_policy_version,
                version: self.policy_version,
            },
            dismissed: dismissed.map(|at| (at, Actor::recorded(self.dismissed_by.unwrap_or_default()))),
            resource_server_id: self.resource_server_id,
            resource_uri: self.resource_uri,
            owner: self.owner,
        })
    }
}

/// A resource server that was launched, as it is named in its log.
pub(super) struct Place {
    pub id: String,
    pub uri: String,
    pub owner: Option<String>,
    /// 0 when the resource server is gone.
    pub revision: i64,
}

impl Tx {
    /// Records what happened to a resource server other than by a change of its policy. Nothing is recorded before
    /// the resource server was launched.
    pub async fn record_activity(
        &mut self,
        resource_server_id: &str,
        cause: &Cause,
        activities: &[Activity],
    ) -> Result<(), Error> {
        let Some(place) = self.place(resource_server_id).await? else { return Ok(()) };
        let versions = Some(place.revision).filter(|revision| *revision > 0);
        let cause = Cause { prior_version: versions, version: versions, ..cause.clone() };
        for activity in activities {
            self.record(&place, activity, &cause).await?;
        }
        Ok(())
    }

    /// When a resource server was first launched; `None` = it never was.
    pub async fn launch(&mut self, resource_server_id: &str) -> Result<Option<Launch>, Error> {
        let Some(row) = self.launch_row(resource_server_id).await? else { return Ok(None) };
        let at = stamp(row.launched_at, || Error::Corrupt { table: "launch", key: resource_server_id.to_owned() })?;
        Ok(Some(Launch { at, by: Actor::recorded(row.launched_by) }))
    }

    /// Whether this id was ever a resource server's, as far as anything remembers.
    pub async fn knows_resource_server(&mut self, id: &str) -> Result<bool, Error> {
        let sql = "SELECT COUNT(*) FROM (
                SELECT id FROM resource_server WHERE id = $1
                UNION ALL SELECT resource_server_id FROM launch WHERE resource_server_id = $1
                UNION ALL SELECT entity_id FROM managed WHERE owner_kind = 'ResourceServer' AND entity_id = $1
            ) AS known";
        Ok(on!(self, c => sqlx::query_scalar::<_, i64>(sql).bind(id).fetch_one(c).await)? > 0)
    }

    /// Records of a resource server, the newest first.
    pub async fn activities(
        &mut self,
        resource_server_id: &str,
        filter: &ActivityFilter,
        limit: i64,
    ) -> Result<Vec<ActivityRecord>, Error> {
        let micros = |at: Option<Timestamp>, open: i64| at.map_or(open, Timestamp::as_microsecond);
        let (since, until) = (micros(filter.since, i64::MIN), micros(filter.until, i64::MAX));
        let (at, id) = filter.before.map_or((i64::MAX, i64::MAX), |(at, id)| (at.as_microsecond(), id));
        let dismissed = match filter.dismissed {
            None => "",
            Some(true) => " AND dismissed_at IS NOT NULL",
            Some(false) => " AND dismissed_at IS NULL",
        };
        // of a closed set: nothing of it is anybody's text
        let types: Vec<String> = filter.types.iter().map(|known| format!("'{}'", known.as_str())).collect();
        let types = if types.is_empty() { String::new() } else { format!(" AND event_type IN ({})", types.join(", ")) };
        let sql = AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM activity
            WHERE resource_server_id = $1 AND occurred_at >= $2 AND occurred_at < $3 AND (occurred_at, id) < ($4, $5)
                {dismissed}{types}
            ORDER BY occurred_at DESC, id DESC LIMIT $6"
        ));
        let rows = on!(self, c => sqlx::query_as::<_, ActivityRow>(sql)
            .bind(resource_server_id).bind(since).bind(until).bind(at).bind(id).bind(limit).fetch_all(c).await)?;
        rows.into_iter().map(ActivityRow::read).collect()
    }

    /// One record, if it is of this resource server.
    pub async fn activity(&mut self, resource_server_id: &str, id: i64) -> Result<Option<ActivityRecord>, Error> {
        let sql = AssertSqlSafe(format!("SELECT {COLUMNS} FROM activity WHERE id = $1 AND resource_server_id = $2"));
        let row = on!(self, c => sqlx::query_as::<_, ActivityRow>(sql)
            .bind(id).bind(resource_server_id).fetch_optional(c).await)?;
        row.map(ActivityRow::read).transpose()
    }

    /// Takes note that somebody has seen it; the first one to do so stays. `None` = this resource server has no such
    /// record.
    pub async fn dismiss_activity(
        &mut self,
        resource_server_id: &str,
        id: i64,
        (actor, now): (&Actor, Timestamp),
    ) -> Result<Option<ActivityRecord>, Error> {
        let sql = "UPDATE activity SET dismissed_at = $3, dismissed_by = $4
            WHERE id = $1 AND resource_server_id = $2 AND dismissed_at IS NULL";
        on!(self, c => sqlx::query(sql).bind(id).bind(resource_server_id).bind(now.as_microsecond())
            .bind(actor.as_str()).execute(c).await.map(drop))?;
        self.activity(resource_server_id, id).await
    }

    /// How many records of a resource server nobody has dismissed.
    pub async fn undismissed(&mut self, resource_server_id: &str) -> Result<i64, Error> {
        let sql = "SELECT COUNT(*) FROM activity WHERE resource_server_id = $1 AND dismissed_at IS NULL";
        Ok(on!(self, c => sqlx::query_scalar::<_, i64>(sql).bind(resource_server_id).fetch_one(c).await)?)
    }

    /// Where the log of a resource server stands; `None` = it has none, because it was never launched.
    pub(super) async fn place(&mut self, id: &str) -> Result<Option<Place>, Error> {
        let Some(launch) = self.launch_row(id).await? else { return Ok(None) };
        let own = &mapping::tables(Kind::ResourceServer)[0];
        let row = self.mapped_rows(own, Some(id)).await?.pop();
        let Some(row) = row else {
            return Ok(Some(Place { id: id.to_owned(), uri: launch.resource_uri, owner: launch.owner, revision: 0 }));
        };
        let uri = match row.cells.first() {
            Some(Cell::Text(uri)) => uri.clone(),
            _ => launch.resource_uri,
        };
        let owner = row.owner.0.zip(row.owner.1).map(|(namespace, name)| format!("{namespace}/{name}"));
        Ok(Some(Place { id: id.to_owned(), uri, owner, revision: row.revision }))
    }

    async fn launch_row(&mut self, id: &str) -> Result<Option<LaunchRow>, Error> {
        let sql = "SELECT resource_uri, owner, launched_at, launched_by FROM launch WHERE resource_server_id = $1";
        Ok(on!(self, c => sqlx::query_as::<_, LaunchRow>(sql).bind(id).fetch_optional(c).await)?)
    }

    /// The ids of all that were ever launched.
    pub(super) async fn launched(&mut self) -> Result<Vec<String>, Error> {
        let sql = "SELECT resource_server_id FROM launch ORDER BY resource_server_id";
        Ok(on!(self, c => sqlx::query_scalar::<_, String>(sql).fetch_all(c).await)?)
    }

    /// False when it was launched before.
    pub(super) async fn put_launch(
        &mut self,
        id: &str,
        (uri, owner): (&str, Option<&OwnerKey>),
        (at, by): (Timestamp, &Actor),
    ) -> Result<bool, Error> {
        let sql = "INSERT INTO launch (resource_server_id, resource_uri, owner, launched_at, launched_by)
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT (resource_server_id) DO NOTHING";
        let owner = owner.map(activity::owner_name);
        let made = on!(self, c => sqlx::query(sql).bind(id).bind(uri).bind(owner).bind(at.as_microsecond())
            .bind(by.as_str()).execute(c).await.map(|done| done.rows_affected()))?;
        Ok(made > 0)
    }

    /// Adds a record, and puts into the outbox what is to be told of it.
    pub(super) async fn record(&mut self, place: &Place, activity: &Activity, cause: &Cause) -> Result<(), Error> {
        let sql =
            "INSERT INTO activity (resource_server_id, resource_uri, owner, event_type, event_payload, occurred_at,
                occurred_by, prior_policy_version, policy_version, tools_affected, outside, change_sequence)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
        let payload = bounded(activity);
        on!(self, c => sqlx::query(sql)
            .bind(&place.id).bind(&place.uri).bind(&place.owner)
            .bind(activity.event.as_str()).bind(&payload).bind(cause.at.as_microsecond()).bind(cause.actor.as_str())
            .bind(cause.prior_version).bind(cause.version).bind(activity.tools_affected)
            .bind(i64::from(cause.outside)).bind(cause.sequence)
            .execute(c).await.map(drop))?;
        self.active.push(activity.event);
        let Some((reason, field, note)) = activity::told(activity, cause) else { return Ok(()) };
        let managed = self.managed_by_entity(Kind::ResourceServer, &place.id).await;
        let managed = match managed {
            // a memory that makes no sense names no object to tell it of
            Err(Error::Corrupt { .. }) => None,
            managed => managed?.filter(|managed| managed.deleted_at.is_none()),
        };
        let Some(owner) = managed.map(|managed| managed.owner) else { return Ok(()) };
        let report = Report::new(owner.key, &owner.object_uid, reason, note, cause.at).at_field(field);
        self.add_report(&report.bounded()).await
    }
}

fn bounded(activity: &Activity) -> String {
    let text = Value::Object(activity.payload.clone()).to_string();
    if text.len() <= PAYLOAD {
        return text;
    }
    let short = |value: &Value| match value {
        Value::String(text) if text.len() <= 1024 => value.clone(),
        Value::Number(_) | Value::Bool(_) => value.clone(),
        _ => Value::Null,
    };
    let mut kept: serde_json::Map<_, _> =
        activity.payload.iter().map(|(name, value)| (name.clone(), short(value))).collect();
    kept.insert("truncated".to_owned(), true.into());
    Value::Object(kept).to_string()
}
