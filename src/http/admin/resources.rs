//! `GET /admin/resources`: every policy row, who owns it, and the last word on the object behind it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::authenticate::Admin;
use crate::domain::outcome::{ObjectStatus, StatusBoard};
use crate::http::admin::patch;
use crate::http::respond;
use crate::metrics::{Entity, Metrics, Operation, Outcome};
use crate::oauth::Role;
use crate::provision::{Listed, Provisioner};

#[derive(Serialize)]
struct Resources {
    /// Rows of the database.
    items: Vec<Row>,
    /// Objects that have no row: refused, or not yet applied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    without_row: Vec<ObjectStatus>,
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    row: Listed,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<ObjectStatus>,
}

pub async fn list(
    State(provisioner): State<Provisioner>,
    State(board): State<Arc<dyn StatusBoard>>,
    State(metrics): State<Arc<Metrics>>,
    admin: Admin,
) -> Response {
    if let Err(forbidden) = admin.at_least(Role::Viewer) {
        return forbidden.into_response();
    }
    match provisioner.list().await {
        Ok(rows) => {
            metrics.admin_operation(Entity::Resource, Operation::List, Outcome::Success);
            let statuses = board.statuses().into_iter().map(|status| (status.owner.clone(), status));
            let mut statuses: BTreeMap<_, _> = statuses.collect();
            let items = rows.into_iter().map(|row| {
                let status = row.owner.as_ref().and_then(|owner| statuses.remove(owner));
                Row { row, status }
            });
            let items = items.collect();
            respond::fresh(Resources { items, without_row: statuses.into_values().collect() })
        }
        Err(error) => {
            metrics.admin_operation(Entity::Resource, Operation::List, Outcome::Error);
            patch::failure(error)
        }
    }
}
