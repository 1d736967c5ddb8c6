//! `GET /admin/keys` and `POST /admin/keys/rotate`: signing keys, and new ones on request.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::authenticate::Admin;
use crate::domain::actor::Actor;
use crate::http::observe::Told;
use crate::http::respond;
use crate::metrics::{Entity, Metrics, Operation, Outcome};
use crate::oauth::{AuthorizationServer, Role};

pub async fn list(
    State(server): State<AuthorizationServer>,
    State(metrics): State<Arc<Metrics>>,
    admin: Admin,
) -> Response {
    if let Err(forbidden) = admin.at_least(Role::Viewer) {
        return forbidden.into_response();
    }
    match server.list_keys().await {
        Ok(keys) => {
            metrics.admin_operation(Entity::Key, Operation::List, Outcome::Success);
            respond::fresh(json!({ "items": keys }))
        }
        Err(error) => {
            metrics.admin_operation(Entity::Key, Operation::List, Outcome::Error);
            respond::oauth(error)
        }
    }
}

pub async fn rotate(
    State(server): State<AuthorizationServer>,
    State(metrics): State<Arc<Metrics>>,
    admin: Admin,
    request: Request,
) -> Response {
    let administrator = match admin.at_least(Role::Admin) {
        Ok(administrator) => administrator,
        Err(forbidden) => {
            metrics.admin_operation(Entity::Key, Operation::Rotate, Outcome::Denied);
            return forbidden.into_response();
        }
    };
    let urgent = match urgency(request.uri().query()) {
        Ok(urgent) => urgent,
        Err(text) => {
            metrics.admin_operation(Entity::Key, Operation::Rotate, Outcome::Invalid);
            return respond::error(StatusCode::BAD_REQUEST, "invalid_request", text);
        }
    };
    let who = Actor::api_key(&administrator.name);
    match server.request_key_rotation(urgent, &who).await {
        Ok(()) => {
            metrics.admin_operation(Entity::Key, Operation::Rotate, Outcome::Success);
            let mut response = (StatusCode::ACCEPTED, respond::fresh(json!({ "status": "requested" }))).into_response();
            let (who, what) = (who.to_string(), "SigningKey/request".to_owned());
            response.extensions_mut().insert(Told::AdminChanged { who, what, outcome: "success" });
            response
        }
        Err(error) => {
            metrics.admin_operation(Entity::Key, Operation::Rotate, Outcome::Error);
            respond::oauth(error)
        }
    }
}

/// `now=true`: does not wait until verifiers have fetched the key set again.
fn urgency(query: Option<&str>) -> Result<bool, &'static str> {
    let mut urgent = false;
    for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        urgent = match (&*name, &*value) {
            ("now", "true") => true,
            ("now", "false") => false,
            ("now", _) => return Err("now must be true or false"),
            _ => return Err("unknown parameter; known here: now"),
        };
    }
    Ok(urgent)
}
