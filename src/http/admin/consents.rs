//! `/admin/consents`: what users have agreed to, and its end.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::authenticate::Admin;
use crate::http::observe::Told;
use crate::http::respond;
use crate::metrics::{ConsentRevoker, Entity, Metrics, Operation, Outcome};
use crate::oauth::{AuthorizationServer, ConsentSummary, Role, Withdraw};

#[derive(Serialize)]
struct Consents {
    items: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    id: String,
    client_id: String,
    resource_server_id: String,
    scopes: Vec<String>,
    granted_at: String,
    last_used_at: String,
}

impl From<ConsentSummary> for Row {
    fn from(consent: ConsentSummary) -> Self {
        Self {
            id: consent.id,
            client_id: consent.client_id,
            resource_server_id: consent.resource_server_id,
            scopes: consent.scopes,
            granted_at: consent.granted_at.to_string(),
            last_used_at: consent.used_at.to_string(),
        }
    }
}

/// `GET /admin/consents?user=usr_…`
pub async fn list(
    State(server): State<AuthorizationServer>,
    State(metrics): State<Arc<Metrics>>,
    admin: Admin,
    RawQuery(query): RawQuery,
) -> Response {
    if let Err(forbidden) = admin.at_least(Role::Viewer) {
        return forbidden.into_response();
    }
    let query = query.unwrap_or_default();
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let (Some((name, user)), None) = (pairs.next(), pairs.next()) else { return one_user() };
    if name != "user" || user.is_empty() {
        return one_user();
    }
    match server.consents(&user).await {
        Ok(consents) => {
            metrics.admin_operation(Entity::Consent, Operation::List, Outcome::Success);
            respond::fresh(Consents { items: consents.into_iter().map(Row::from).collect() })
        }
        Err(error) => {
            metrics.admin_operation(Entity::Consent, Operation::List, Outcome::Error);
            respond::oauth(error)
        }
    }
}

fn one_user() -> Response {
    respond::error(StatusCode::BAD_REQUEST, "invalid_request", "name one user: ?user=usr_...")
}

/// `DELETE /admin/consents/{id}`
pub async fn delete(
    State(server): State<AuthorizationServer>,
    State(metrics): State<Arc<Metrics>>,
    admin: Admin,
    Path(id): Path<String>,
) -> Response {
    let administrator = match admin.at_least(Role::Operator) {
        Ok(administrator) => administrator,
        Err(forbidden) => {
            metrics.admin_operation(Entity::Consent, Operation::Delete, Outcome::Denied);
            return forbidden.into_response();
        }
    };
    let actor = crate::domain::Actor::api_key(&administrator.name);
    match server.withdraw_consent(&id, Withdraw::Any, &actor).await {
        Ok(Some(_)) => {
            metrics.admin_operation(Entity::Consent, Operation::Delete, Outcome::Success);
            metrics.consent_revoked(ConsentRevoker::Admin);
            let mut response = StatusCode::NO_CONTENT.into_response();
            let (who, what) = (actor.to_string(), format!("consent/{id}"));
            response.extensions_mut().insert(Told::AdminChanged { who, what, outcome: "success" });
            response
        }
        Ok(None) => {
            metrics.admin_operation(Entity::Consent, Operation::Delete, Outcome::Invalid);
            respond::not_found().await
        }
        Err(error) => {
            metrics.admin_operation(Entity::Consent, Operation::Delete, Outcome::Error);
            respond::oauth(error)
        }
    }
}
