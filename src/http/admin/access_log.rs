//! `GET /admin/resource-servers/{id}/access-logs`: the calls that enforcement points say they decided about.

use std::collections::BTreeSet;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use serde::Serialize;

use super::Parts;
use super::authenticate::Admin;
use super::call::{Call, Refused, query};
use super::listing::{self, DEFAULT};
use crate::activity::AccessPage;
use crate::domain::decision::{AccessFilter, AccessRecord, DecisionOutcome, DecisionReason};
use crate::metrics::{Entity, Operation};
use crate::oauth::Role;

#[derive(Serialize)]
struct List {
    items: Vec<Shown>,
    /// The value of `cursor` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct Shown {
    id: String,
    rs_id: String,
    time: String,
    received_at: String,
    tool: String,
    outcome: &'static str,
    reason: Option<&'static str>,
    client_id: Option<String>,
    subject: Option<String>,
    scopes: BTreeSet<String>,
    policy_version: Option<i64>,
    duration_ms: Option<f64>,
    jti: Option<String>,
    enforcement_point: Option<String>,
    reported_by: String,
}

impl From<AccessRecord> for Shown {
    fn from(record: AccessRecord) -> Self {
        let AccessRecord { resource_server_id, decision, received_at, enforcement_point, reported_by } = record;
        Self {
            rs_id: resource_server_id,
            time: decision.at.to_string(),
            received_at: received_at.to_string(),
            outcome: decision.outcome.as_str(),
            reason: decision.reason.map(DecisionReason::as_str),
            duration_ms: decision.duration_micros.map(|micros| micros as f64 / 1000.0),
            id: decision.id,
            tool: decision.tool,
            client_id: decision.client_id,
            subject: decision.subject,
            scopes: decision.scopes,
            policy_version: decision.policy_version,
            jti: decision.jti,
            enforcement_point,
            reported_by: reported_by.to_string(),
        }
    }
}

impl From<AccessPage> for List {
    fn from(page: AccessPage) -> Self {
        let items = page.records.into_iter().map(Shown::from).collect();
        Self { items, next_cursor: page.next.map(listing::cursor) }
    }
}

/// `GET /admin/resource-servers/{id}/access-logs`
pub async fn list(
    State(parts): State<Parts>,
    admin: Admin,
    Path(id): Path<String>,
    RawQuery(asked): RawQuery,
) -> Response {
    let call = Call::new(&parts, Entity::AccessLog, Operation::List, &id);
    call.read(admin, Role::Viewer, async {
        let (filter, limit) = filter(asked.as_deref())?;
        let page = parts.activity.access_log(&listing::plain(id)?, &filter, limit).await?;
        Ok(List::from(page.ok_or_else(listing::unknown_resource)?))
    })
    .await
}

fn filter(asked: Option<&str>) -> Result<(AccessFilter, i64), Refused> {
    let known = ["limit", "cursor", "since", "until", "user", "client", "tool", "outcome", "reason"];
    let (mut filter, mut limit) = (AccessFilter::default(), DEFAULT);
    for (name, value) in query(asked, &known)? {
        match name.as_str() {
            "limit" => limit = listing::limit(&value)?,
            "cursor" => filter.before = Some(listing::position(&value)?),
            "since" => filter.since = Some(listing::moment("since", &value)?),
            "until" => filter.until = Some(listing::moment("until", &value)?),
            "outcome" => {
                let outcome = DecisionOutcome::parse(&value);
                filter.outcome = Some(outcome.ok_or_else(|| Refused::bad("outcome must be allowed or denied"))?);
            }
            "reason" => {
                let reason = DecisionReason::parse(&value);
                filter.reason = Some(reason.ok_or_else(|| Refused::bad("reason is none that there is"))?);
            }
            _ if value.contains(char::is_control) => {
                return Err(Refused::bad(&format!("{name} must have no control characters")));
            }
            "user" => filter.subject = Some(value),
            "client" => filter.client_id = Some(value),
            _ => filter.tool = Some(value),
        }
    }
    Ok((filter, limit))
}
