//! `/admin/resource-servers/{id}/drift-events…`: what happened to a live policy, and that somebody has seen it.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Parts;
use super::authenticate::Admin;
use super::call::{Call, Refused, Reply, query_with};
use super::listing::{self, DEFAULT};
use crate::activity::Page;
use crate::domain::{ActivityFilter, ActivityRecord, ActivityType};
use crate::metrics::{Entity, Operation};
use crate::oauth::Role;

#[derive(Serialize)]
struct List {
    launched: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    launched_at: Option<String>,
    items: Vec<Shown>,
    /// The value of `cursor` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct Shown {
    id: String,
    rs_id: String,
    resource_uri: String,
    owner: Option<String>,
    event_type: &'static str,
    event_payload: Map<String, Value>,
    occurred_at: String,
    occurred_by: String,
    /// No transaction of this program made the change.
    outside: bool,
    prior_policy_version: Option<i64>,
    policy_version: Option<i64>,
    tools_affected: i64,
    dismissed_at: Option<String>,
    dismissed_by: Option<String>,
}

impl From<ActivityRecord> for Shown {
    fn from(record: ActivityRecord) -> Self {
        let (dismissed_at, dismissed_by) = record.dismissed.map(|(at, by)| (at.to_string(), by.to_string())).unzip();
        Self {
            id: record.id.to_string(),
            rs_id: record.resource_server_id,
            resource_uri: record.resource_uri,
            owner: record.owner,
            event_type: record.activity.event.as_str(),
            event_payload: record.activity.payload,
            occurred_at: record.cause.at.to_string(),
            occurred_by: record.cause.actor.to_string(),
            outside: record.cause.outside,
            prior_policy_version: record.cause.prior_version,
            policy_version: record.cause.version,
            tools_affected: record.activity.tools_affected,
            dismissed_at,
            dismissed_by,
        }
    }
}

impl From<Page> for List {
    fn from(page: Page) -> Self {
        Self {
            launched: page.launch.is_some(),
            launched_at: page.launch.map(|launch| launch.at.to_string()),
            items: page.records.into_iter().map(Shown::from).collect(),
            next_cursor: page.next.map(listing::cursor),
        }
    }
}

/// `GET /admin/resource-servers/{id}/drift-events`
pub async fn list(
    State(parts): State<Parts>,
    admin: Admin,
    Path(id): Path<String>,
    RawQuery(asked): RawQuery,
) -> Response {
    let call = Call::new(&parts, Entity::DriftEvent, Operation::List, &id);
    call.read(admin, Role::Viewer, async {
        let (filter, limit) = filter(asked.as_deref())?;
        let page = parts.activity.log(&listing::plain(id)?, &filter, limit).await?;
        Ok(List::from(page.ok_or_else(listing::unknown_resource)?))
    })
    .await
}

/// `POST /admin/resource-servers/{id}/drift-events/{event_id}/dismiss`
pub async fn dismiss(State(parts): State<Parts>, admin: Admin, Path((id, event)): Path<(String, String)>) -> Response {
    let call = Call::new(&parts, Entity::DriftEvent, Operation::Update, &format!("{id}/{event}"));
    call.write_as(Role::Operator, admin, async |actor| {
        let unknown = || Refused::unknown("this resource server has no such event");
        let event: i64 = event.parse().map_err(|_| unknown())?;
        let dismissed = parts.activity.dismiss(&listing::plain(id)?, event, &actor).await?;
        Ok(Reply::ok(Shown::from(dismissed.ok_or_else(unknown)?)))
    })
    .await
}

fn filter(asked: Option<&str>) -> Result<(ActivityFilter, i64), Refused> {
    let known = ["limit", "cursor", "since", "until", "dismissed"];
    let (mut filter, mut limit) = (ActivityFilter::default(), DEFAULT);
    for (name, value) in query_with(asked, &known, &["type"])? {
        match name.as_str() {
            "limit" => limit = listing::limit(&value)?,
            "cursor" => filter.before = Some(listing::position(&value)?),
            "since" => filter.since = Some(listing::moment("since", &value)?),
            "until" => filter.until = Some(listing::moment("until", &value)?),
            "dismissed" => {
                filter.dismissed = match value.as_str() {
                    "all" => None,
                    "true" => Some(true),
                    "false" => Some(false),
                    _ => return Err(Refused::bad("dismissed must be true, false or all")),
                };
            }
            _ => filter.types.extend(types(&value)?),
        }
    }
    Ok((filter, limit))
}

fn types(value: &str) -> Result<Vec<ActivityType>, Refused> {
    let parse = |name: &str| {
        let plain: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(64).collect();
        ActivityType::parse(name).ok_or_else(|| Refused::bad(&format!("type: there is no type {plain}")))
    };
    value.split(',').map(parse).collect()
}
