//! `/admin/dcr`: who may register a client, and invitations for who else may.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::authenticate::Admin;
use crate::domain::actor::Actor;
use crate::http::extract::{media_type, read};
use crate::http::observe::Told;
use crate::http::respond;
use crate::metrics::{Entity, Metrics, Operation, Outcome};
use crate::oauth::{AuthorizationServer, Error, Mode, Role, invitation};

pub async fn get(
    State(server): State<AuthorizationServer>,
    State(metrics): State<Arc<Metrics>>,
    admin: Admin,
) -> Response {
    if let Err(forbidden) = admin.at_least(Role::Viewer) {
        return forbidden.into_response();
    }
    let mode = server.registration_mode().await;
    metrics.admin_operation(Entity::Dcr, Operation::Get, outcome(&mode));
    match mode {
        Ok(mode) => respond::fresh(json!({"mode": mode.as_str()})),
        Err(error) => respond::oauth(error),
    }
}

/// The body of `PUT /admin/dcr`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    mode: String,
}

pub async fn put(
    State(server): State<AuthorizationServer>,
    State(metrics): State<Arc<Metrics>>,
    admin: Admin,
    request: Request,
) -> Response {
    let administrator = match admin.at_least(Role::Admin) {
        Ok(administrator) => administrator,
        Err(forbidden) => {
            metrics.admin_operation(Entity::Dcr, Operation::Update, Outcome::Denied);
            return forbidden.into_response();
        }
    };
    let mode = match json_of::<Setting>(request).await.map(|setting| Mode::parse(&setting.mode)) {
        Ok(Some(mode)) => mode,
        other => {
            let response = other.err().unwrap_or_else(|| bad("mode: expected open, approved_redirects or admin_only"));
            metrics.admin_operation(Entity::Dcr, Operation::Update, Outcome::Invalid);
            return response;
        }
    };
    let actor = Actor::api_key(&administrator.name);
    let switched = server.set_registration_mode(mode, &actor).await;
    metrics.admin_operation(Entity::Dcr, Operation::Update, outcome(&switched));
    match switched {
        Ok(()) => {
            let mut response = respond::fresh(json!({"mode": mode.as_str()}));
            response.extensions_mut().insert(changed(&actor, "setting/dcr.mode"));
            response
        }
        Err(error) => respond::oauth(error),
    }
}

/// The body of `POST /admin/dcr/invitations`.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    uses: i64,
    expires_in: i64,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { uses: 1, expires_in: 86_400 }
    }
}

/// Makes an initial access token (RFC 7591 §1.2); it is shown this once.
pub async fn invite(
    State(server): State<AuthorizationServer>,
    State(metrics): State<Arc<Metrics>>,
    admin: Admin,
    request: Request,
) -> Response {
    let administrator = match admin.at_least(Role::Operator) {
        Ok(administrator) => administrator,
        Err(forbidden) => {
            metrics.admin_operation(Entity::Dcr, Operation::Create, Outcome::Denied);
            return forbidden.into_response();
        }
    };
    let asked = json_of::<Wanted>(request).await;
    let wanted = match asked.map(|asked| invitation::Wanted::sensible(asked.uses, asked.expires_in)) {
        Ok(Some(wanted)) => wanted,
        other => {
            let bad = || bad("uses: expected 1 to 10000; expires_in: 60 to 31536000 seconds");
            let response = other.err().unwrap_or_else(bad);
            metrics.admin_operation(Entity::Dcr, Operation::Create, Outcome::Invalid);
            return response;
        }
    };
    let actor = Actor::api_key(&administrator.name);
    let made = server.invite(wanted, &actor).await;
    metrics.admin_operation(Entity::Dcr, Operation::Create, outcome(&made));
    match made {
        Ok(made) => {
            let (token, expires_in) = (made.token.expose(), wanted.lifetime.as_secs());
            let body = json!({"id": made.id, "token": token, "uses": wanted.uses, "expires_in": expires_in});
            let mut response = (StatusCode::CREATED, respond::fresh(body)).into_response();
            response.extensions_mut().insert(changed(&actor, &format!("invitation/{}", made.id)));
            response
        }
        Err(error) => respond::oauth(error),
    }
}

fn changed(actor: &Actor, what: &str) -> Told {
    Told::AdminChanged { who: actor.to_string(), what: what.to_owned(), outcome: "success" }
}

fn outcome<T>(ended: &Result<T, Error>) -> Outcome {
    if ended.is_ok() { Outcome::Success } else { Outcome::Error }
}

fn bad(text: &str) -> Response {
    respond::error(StatusCode::BAD_REQUEST, "invalid_request", text)
}

async fn json_of<T: DeserializeOwned>(request: Request) -> Result<T, Response> {
    if media_type(request.headers()) != Some("application/json") {
        let text = "the body must be application/json";
        return Err(respond::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request", text));
    }
    let body = read(request.into_body()).await?;
    serde_json::from_slice(&body).map_err(|_| bad("the body is not JSON with the members that are known here"))
}
