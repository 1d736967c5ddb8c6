//! `PATCH /admin/{clients,resource-servers}/{id}`: a JSON merge patch (RFC 7396) on a row's spec.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::domain::chain;

use super::authenticate::Admin;
use super::entity;
use crate::domain::actor::Actor;
use crate::domain::owner::Kind;
use crate::http::extract::{media_type, read};
use crate::http::observe::Told;
use crate::http::respond;
use crate::metrics::{Metrics, Operation, Outcome};
use crate::oauth::{Administrator, Role};
use crate::provision::{Edited, Error, Provisioner};

pub async fn client(
    State(provisioner): State<Provisioner>,
    State(metrics): State<Arc<Metrics>>,
    admin: Admin,
    Id(id): Id,
    request: Request,
) -> Response {
    let edit = Edit { kind: Kind::OAuthClient, id, provisioner, metrics };
    edit.answer(admin, request).await
}

pub async fn resource_server(
    State(provisioner): State<Provisioner>,
    State(metrics): State<Arc<Metrics>>,
    admin: Admin,
    Id(id): Id,
    request: Request,
) -> Response {
    let edit = Edit { kind: Kind::ResourceServer, id, provisioner, metrics };
    edit.answer(admin, request).await
}

/// The last segment of the path, when it can be an id.
pub struct Id(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(id)) if !id.contains(char::is_control) => Ok(Self(id)),
            _ => Err(respond::not_found().await),
        }
    }
}

struct Edit {
    kind: Kind,
    id: String,
    provisioner: Provisioner,
    metrics: Arc<Metrics>,
}

impl Edit {
    async fn answer(self, admin: Admin, request: Request) -> Response {
        let administrator = match admin.at_least(Role::Operator) {
            Ok(administrator) => administrator,
            Err(forbidden) => {
                self.metrics.admin_operation(entity(self.kind), Operation::Update, Outcome::Denied);
                return forbidden.into_response();
            }
        };
        let (force, patch) = match asked(request).await {
            Ok(asked) => asked,
            Err(response) => {
                self.metrics.admin_operation(entity(self.kind), Operation::Update, Outcome::Invalid);
                return response;
            }
        };
        let actor = Actor::api_key(&administrator.name);
        let ended = self.provisioner.edit(self.kind, &self.id, &patch, force, &actor).await;
        self.metrics.admin_operation(entity(self.kind), Operation::Update, outcome(&ended));
        let mut response = match &ended {
            Ok(edited) => respond::fresh(edited),
            Err(error) => problem(error),
        };
        response.extensions_mut().insert(self.told(administrator, &ended));
        response
    }

    fn told(&self, administrator: Administrator, ended: &Result<Edited, Error>) -> Told {
        match ended {
            Err(error) if response_is_fault(error) => Told::Failed(chain(error)),
            _ => Told::AdminChanged {
                who: Actor::api_key(&administrator.name).to_string(),
                what: format!("{}/{}", self.kind, self.id),
                outcome: if ended.is_ok() { "success" } else { "denied" },
            },
        }
    }
}

/// `force` and the patch. An unknown parameter is refused by name, as an unknown member is.
async fn asked(request: Request) -> Result<(bool, Value), Response> {
    let bad = |text: &str| respond::error(StatusCode::BAD_REQUEST, "invalid_request", text);
    let mut force = false;
    for (name, value) in url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()) {
        force = match (&*name, &*value) {
            ("force", "true") => true,
            ("force", "false") => false,
            ("force", _) => return Err(bad("force must be true or false")),
            (other, _) => return Err(bad(&format!("unknown parameter {}", plain(other)))),
        };
    }
    let media = media_type(request.headers());
    if !media.is_some_and(|m| ["application/merge-patch+json", "application/json"].contains(&m)) {
        let text = "the body must be application/merge-patch+json";
        let mut response = respond::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request", text);
        let accepted = header::HeaderValue::from_static("application/merge-patch+json");
        response.headers_mut().insert("accept-patch", accepted);
        return Err(response);
    }
    let body = read(request.into_body()).await?;
    let patch: Value = serde_json::from_slice(&body).map_err(|_| bad("the body is not JSON"))?;
    if has_nul(&patch) {
        return Err(bad("the body has a NUL in a text, which no database keeps"));
    }
    if patch.is_object() { Ok((force, patch)) } else { Err(bad("the body is not a JSON object")) }
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(members) => members.iter().any(|(name, member)| name.contains('\0') || has_nul(member)),
        _ => false,
    }
}

/// A name from the request in the characters that an `error_description` may have.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '[' | ']')).take(64).collect()
}

fn outcome(ended: &Result<Edited, Error>) -> Outcome {
    match ended {
        Ok(_) => Outcome::Success,
        Err(Error::Owned(_) | Error::Taken(_)) => Outcome::Denied,
        Err(Error::Unknown(_) | Error::BadPatch { .. }) => Outcome::Invalid,
        Err(_) => Outcome::Error,
    }
}

fn response_is_fault(error: &Error) -> bool {
    !matches!(error, Error::Owned(_) | Error::Taken(_) | Error::Unknown(_) | Error::BadPatch { .. })
}

fn problem(error: &Error) -> Response {
    match error {
        Error::Owned(owner) => {
            let text = format!("{owner} owns this; change that object, or repeat with force=true and it becomes drift");
            respond::error(StatusCode::CONFLICT, "owned", &text)
        }
        Error::Taken(kind) => {
            let text = format!("another {kind} has the name that was asked for");
            respond::error(StatusCode::CONFLICT, "conflict", &text)
        }
        Error::Unknown(kind) => respond::error(StatusCode::NOT_FOUND, "not_found", &format!("there is no such {kind}")),
        Error::BadPatch { field, problem } => {
            let problem: String =
                problem.chars().filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\')).collect();
            let text = format!("{}: {problem}", plain(field));
            respond::error(StatusCode::BAD_REQUEST, "invalid_request", &text)
        }
        error if error.is_unavailable() => respond::unavailable("the database does not answer; try again"),
        _ => respond::fault(),
    }
}

/// The answer to a failure, with what the log is to be told of it.
pub(super) fn failure(error: Error) -> Response {
    let mut response = problem(&error);
    response.extensions_mut().insert(Told::Failed(chain(&error)));
    response
}
