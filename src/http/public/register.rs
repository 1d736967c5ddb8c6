//! `POST /oauth/register` (RFC 7591) and what a client does with its registration (RFC 7592).

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::domain::chain;
use crate::domain::observer::{ClientSource, Observer};
use crate::http::extract::{media_type, read, source};
use crate::http::observe::Told;
use crate::http::respond;
use crate::metrics::Metrics;
use crate::oauth::{AuthorizationServer, Registered, RegistrationError};

pub async fn post(
    State(server): State<AuthorizationServer>,
    State(metrics): State<Arc<Metrics>>,
    request: Request,
) -> Response {
    let asked = match Asked::read(request).await {
        Ok(asked) => asked,
        Err(response) => return response,
    };
    match server.register(&asked.body, asked.bearer.as_deref(), asked.source).await {
        Ok(registered) => {
            metrics.client_registered(ClientSource::Registration);
            let what = registered.client_id.clone();
            let mut response = (StatusCode::CREATED, respond::fresh(registered.body)).into_response();
            response.extensions_mut().insert(Told::ClientRegistered { what, source: asked.source });
            response
        }
        Err(error) => refused(error),
    }
}

pub async fn get(State(server): State<AuthorizationServer>, Path(id): Path<String>, request: Request) -> Response {
    let (bearer, source) = (bearer(request.headers()), source(request.extensions()));
    told(server.registration(&id, bearer.as_deref(), source).await)
}

pub async fn put(State(server): State<AuthorizationServer>, Path(id): Path<String>, request: Request) -> Response {
    match Asked::read(request).await {
        Ok(asked) => {
            let bearer = asked.bearer.as_deref();
            told(server.update_registration(&id, bearer, &asked.body, asked.source).await)
        }
        Err(response) => response,
    }
}

pub async fn delete(State(server): State<AuthorizationServer>, Path(id): Path<String>, request: Request) -> Response {
    let (bearer, source) = (bearer(request.headers()), source(request.extensions()));
    match server.end_registration(&id, bearer.as_deref(), source).await {
        Ok(()) => {
            let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
            (StatusCode::NO_CONTENT, no_store).into_response()
        }
        Err(error) => refused(error),
    }
}

/// A JSON body with the bearer token beside it.
struct Asked {
    body: axum::body::Bytes,
    bearer: Option<String>,
    source: IpAddr,
}

impl Asked {
    async fn read(request: Request) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        if media_type(&parts.headers).is_none_or(|media| !media.eq_ignore_ascii_case("application/json")) {
            let text = "the body must be application/json";
            return Err(respond::error(StatusCode::BAD_REQUEST, "invalid_client_metadata", text));
        }
        let (bearer, source) = (bearer(&parts.headers), source(&parts.extensions));
        Ok(Self { body: read(body).await?, bearer, source })
    }
}

/// The one bearer token of a request (RFC 6750 §2.1); an empty one for whatever else is in the header.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?;
    let token = value.to_str().ok().and_then(|text| text.split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer") && values.next().is_none());
    Some(token.map(|(_, token)| token.trim().to_owned()).unwrap_or_default())
}

fn told(answered: Result<Registered, RegistrationError>) -> Response {
    match answered {
        Ok(registered) => respond::fresh(registered.body),
        Err(error) => refused(error),
    }
}

fn refused(error: RegistrationError) -> Response {
    match error {
        RegistrationError::Metadata(fault) => respond::error(StatusCode::BAD_REQUEST, fault.code(), &fault.to_string()),
        RegistrationError::NotAnObject => {
            let text = "the body must be one JSON object that names each member once";
            respond::error(StatusCode::BAD_REQUEST, "invalid_client_metadata", text)
        }
        RegistrationError::Unauthorized { presented } => {
            let text = "a token is required, and it must be good";
            let mut response = respond::error(StatusCode::UNAUTHORIZED, "invalid_token", text);
            let with = match presented {
                true => "Bearer realm=\"holdfast\", error=\"invalid_token\"",
                false => "Bearer realm=\"holdfast\"",
            };
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(with));
            response
        }
        RegistrationError::Limited { retry_after } => {
            let mut response = respond::limited(retry_after);
            response.extensions_mut().insert(Told::RateLimited { seconds: retry_after.as_secs() + 1 });
            response
        }
        RegistrationError::Full => {
            let mut response = respond::unavailable("there is no room for another client");
            response.extensions_mut().insert(Told::Failed(chain(&RegistrationError::Full)));
            response
        }
        RegistrationError::Failed(error) => respond::oauth(error),
    }
}
