//! One request of the admin API about people or strangers: who may, what came of it, and what is counted and logged.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Parts;
use super::authenticate::Admin;
use super::patch;
use crate::activity;
use crate::domain::{Actor, chain};
use crate::http::extract::{media_type, read};
use crate::http::observe::Told;
use crate::http::respond;
use crate::identity;
use crate::metrics::{Entity, Metrics, Operation, Outcome};
use crate::oauth;
use crate::oauth::Role;
use crate::provision;

/// What is asked of what.
pub struct Call {
    metrics: Arc<Metrics>,
    entity: Entity,
    operation: Operation,
    what: String,
}

/// What is answered when all is well.
pub struct Reply<T> {
    pub status: StatusCode,
    pub body: T,
}

impl<T> Reply<T> {
    pub fn ok(body: T) -> Self {
        Self { status: StatusCode::OK, body }
    }

    pub fn made(body: T) -> Self {
        Self { status: StatusCode::CREATED, body }
    }
}

/// Why not: an answer that is ready, or a room's own reason.
pub enum Refused {
    Answered(Box<Response>),
    Identity(identity::Error),
    Oauth(Box<oauth::Error>),
    Activity(activity::Error),
    Provision(Box<provision::Error>),
}

impl Refused {
    /// 400, with what is wrong.
    pub fn bad(text: &str) -> Self {
        bad(text).into()
    }

    /// 404, with what is not there.
    pub fn unknown(text: &str) -> Self {
        respond::error(StatusCode::NOT_FOUND, "not_found", text).into()
    }
}

impl From<Response> for Refused {
    fn from(answer: Response) -> Self {
        Self::Answered(Box::new(answer))
    }
}

impl From<identity::Error> for Refused {
    fn from(error: identity::Error) -> Self {
        Self::Identity(error)
    }
}

impl From<activity::Error> for Refused {
    fn from(error: activity::Error) -> Self {
        Self::Activity(error)
    }
}

impl From<oauth::Error> for Refused {
    fn from(error: oauth::Error) -> Self {
        Self::Oauth(Box::new(error))
    }
}

impl From<provision::Error> for Refused {
    fn from(error: provision::Error) -> Self {
        Self::Provision(Box::new(error))
    }
}

impl Call {
    pub fn new(parts: &Parts, entity: Entity, operation: Operation, what: &str) -> Self {
        let what: String = what.chars().filter(char::is_ascii_graphic).take(64).collect();
        let what = match entity {
            Entity::Session => format!("session/{what}"),
            Entity::Dcr => format!("dcr/{what}"),
            Entity::DriftEvent => format!("drift-event/{what}"),
            Entity::AccessLog => format!("access-log/{what}"),
            Entity::Resource => format!("resource/{what}"),
            Entity::Offer => format!("offer/{what}"),
            Entity::ResourceServer => format!("ResourceServer/{what}"),
            Entity::Brake => format!("brake/{what}"),
            _ => format!("user/{what}"),
        };
        Self { metrics: Arc::clone(&parts.metrics.metrics), entity, operation, what }
    }

    /// For who has that role or a higher one.
    pub async fn read<T: Serialize>(
        self,
        admin: Admin,
        role: Role,
        work: impl Future<Output = Result<T, Refused>>,
    ) -> Response {
        match admin.at_least(role) {
            Ok(_) => self.end(work.await.map(Reply::ok)).0,
            Err(forbidden) => self.deny(forbidden.into_response()),
        }
    }

    /// For administrators.
    pub async fn write<T: Serialize>(
        self,
        admin: Admin,
        work: impl AsyncFnOnce(Actor) -> Result<Reply<T>, Refused>,
    ) -> Response {
        self.write_as(Role::Admin, admin, work).await
    }

    /// For who has that role or a higher one.
    pub async fn write_as<T: Serialize>(
        self,
        role: Role,
        admin: Admin,
        work: impl AsyncFnOnce(Actor) -> Result<Reply<T>, Refused>,
    ) -> Response {
        let administrator = match admin.at_least(role) {
            Ok(administrator) => administrator,
            Err(forbidden) => return self.deny(forbidden.into_response()),
        };
        let actor = Actor::api_key(&administrator.name);
        let (who, what) = (actor.to_string(), self.what.clone());
        let (mut response, outcome) = self.end(work(actor).await);
        if outcome != Outcome::Error {
            let outcome = if outcome == Outcome::Success { "success" } else { "denied" };
            response.extensions_mut().insert(Told::AdminChanged { who, what, outcome });
        }
        response
    }

    /// Ends with an answer that is ready.
    pub fn told(self, answer: Response) -> Response {
        self.metrics.admin_operation(self.entity, self.operation, Outcome::Success);
        answer
    }

    /// Ends with why not.
    pub fn refused(self, refused: Refused) -> Response {
        self.end::<()>(Err(refused)).0
    }

    fn deny(self, answer: Response) -> Response {
        self.metrics.admin_operation(self.entity, self.operation, Outcome::Denied);
        answer
    }

    fn end<T: Serialize>(self, ended: Result<Reply<T>, Refused>) -> (Response, Outcome) {
        let (response, outcome) = match ended {
            Ok(reply) => ((reply.status, respond::fresh(reply.body)).into_response(), Outcome::Success),
            Err(Refused::Answered(answer)) => (*answer, Outcome::Invalid),
            Err(Refused::Identity(error)) => problem(error),
            Err(Refused::Oauth(error)) => (respond::oauth(*error), Outcome::Error),
            Err(Refused::Activity(error @ activity::Error::Gone)) => {
                (respond::error(StatusCode::NOT_FOUND, "not_found", &error.to_string()), Outcome::Invalid)
            }
            Err(Refused::Activity(error)) => (fault(&error), Outcome::Error),
            Err(Refused::Provision(error)) => (patch::failure(*error), Outcome::Error),
        };
        self.metrics.admin_operation(self.entity, self.operation, outcome);
        (response, outcome)
    }
}

fn problem(error: identity::Error) -> (Response, Outcome) {
    use identity::Error;
    let text = error.to_string();
    match error {
        Error::Weak(_) => (bad(&text), Outcome::Invalid),
        Error::Taken => (respond::error(StatusCode::CONFLICT, "conflict", &text), Outcome::Denied),
        Error::UnknownAccount | Error::UnknownSession => {
            (respond::error(StatusCode::NOT_FOUND, "not_found", &text), Outcome::Invalid)
        }
        Error::Busy => (respond::unavailable("too many passwords at once; try again"), Outcome::Error),
        Error::Unavailable(_) => (respond::unavailable("the database does not answer; try again"), Outcome::Error),
        error => {
            let mut response = respond::fault();
            response.extensions_mut().insert(Told::Failed(chain(&error)));
            (response, Outcome::Error)
        }
    }
}

fn fault(error: &activity::Error) -> Response {
    if error.is_unavailable() {
        return respond::unavailable("the database does not answer; try again");
    }
    let mut response = respond::fault();
    response.extensions_mut().insert(Told::Failed(chain(error)));
    response
}

fn bad(text: &str) -> Response {
    respond::error(StatusCode::BAD_REQUEST, "invalid_request", text)
}

/// A JSON object with known members only, whatever its size up to the limit.
pub async fn body<T: DeserializeOwned>(request: Request) -> Result<T, Refused> {
    if media_type(request.headers()).is_none_or(|media| !media.eq_ignore_ascii_case("application/json")) {
        let text = "the body must be application/json";
        return Err(respond::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request", text).into());
    }
    let body = read(request.into_body()).await?;
    serde_json::from_slice(&body).map_err(|error| {
        // serde names the member, which the sender wrote: only plain characters of it come back
        let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '_' | '-' | '.' | ',' | ':');
        Refused::bad(&error.to_string().chars().filter(plain).take(200).collect::<String>())
    })
}

/// The parameters of a query. One that is not in `known`, or there twice, is refused by name.
pub fn query(text: Option<&str>, known: &[&str]) -> Result<Vec<(String, String)>, Refused> {
    query_with(text, known, &[])
}

/// The same, where those in `several` may be there more than once.
pub fn query_with(text: Option<&str>, known: &[&str], several: &[&str]) -> Result<Vec<(String, String)>, Refused> {
    let mut found: Vec<(String, String)> = Vec::new();
    for (name, value) in url::form_urlencoded::parse(text.unwrap_or_default().as_bytes()) {
        let again = found.iter().any(|(other, _)| *other == name);
        let fits = several.contains(&&*name) || (known.contains(&&*name) && !again);
        if !fits {
            let plain: String = name.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
            return Err(Refused::bad(&format!("unknown parameter {plain}")));
        }
        found.push((name.into_owned(), value.into_owned()));
    }
    Ok(found)
}
