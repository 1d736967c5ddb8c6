//! Answers: JSON objects without nulls, and for every error the form of OAuth 2.1 §3.2.4.

use std::any::Any;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::observe::Told;
use crate::domain::refusal::Refusal;
use crate::oauth::{self, Document};

/// The body of an error.
#[derive(Serialize)]
struct Problem<'a> {
    error: &'a str,
    error_description: &'a str,
}

/// How long metadata may be kept.
const METADATA_SECONDS: i64 = 300;
/// RFC 9449 §8
pub(super) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Whoever is told to come back is told when, in seconds.
const COME_BACK: u64 = 5;

/// An error. `description` is plain ASCII without quotes or backslashes, and repeats nothing of the request.
pub(super) fn error(status: StatusCode, error: &str, description: &str) -> Response {
    let mut response = (status, Json(Problem { error, error_description: description })).into_response();
    uncached(&mut response);
    response
}

/// A JSON answer that nobody may keep.
pub(super) fn fresh(body: impl Serialize) -> Response {
    let mut response = Json(body).into_response();
    uncached(&mut response);
    response
}

/// A text of this media type that nobody may keep.
pub(super) fn text(body: String, media_type: &'static str) -> Response {
    let mut response = ([(header::CONTENT_TYPE, HeaderValue::from_static(media_type))], body).into_response();
    uncached(&mut response);
    response
}

fn uncached(response: &mut Response) {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// 503 with when to come back.
pub(super) fn unavailable(description: &str) -> Response {
    let response = error(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", description);
    retry(response, COME_BACK)
}

/// 429 with when to come back.
pub(super) fn limited(after: Duration) -> Response {
    let reason = Refusal::TooManyFailures;
    let response = error(StatusCode::TOO_MANY_REQUESTS, reason.code(), reason.description());
    retry(response, after.as_secs() + 1)
}

/// 429 for who sends too many requests.
pub(super) fn throttled(after: Duration) -> Response {
    let text = "too many requests; try again later";
    let response = error(StatusCode::TOO_MANY_REQUESTS, Refusal::TooManyFailures.code(), text);
    retry(response, after.as_secs() + 1)
}

fn retry(mut response: Response, seconds: u64) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// 500 that says nothing of the fault; the log does.
pub(super) fn fault() -> Response {
    error(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "the server failed to answer")
}

/// No such thing here.
pub(super) async fn not_found() -> Response {
    error(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path")
}

/// The path is right and the method is not; `Allow` says which are (RFC 9110 §15.5.6).
pub(super) async fn wrong_method() -> Response {
    error(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "this path does not take this method")
}

/// A handler panicked: what it said goes to the log alone.
pub(super) fn panicked(what: Box<dyn Any + Send + 'static>) -> axum::http::Response<Body> {
    let text = what.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let text = text.or_else(|| what.downcast_ref::<String>().cloned());
    tracing::error!(event = "panic", error = text.unwrap_or_default());
    fault()
}

/// A prepared document, or 304 for who has it already (RFC 9110 §13.1.2).
pub(super) fn document(document: &Document, request: &HeaderMap) -> Response {
    document_for(document, request, METADATA_SECONDS)
}

/// The same, to be kept for so many seconds.
pub(super) fn document_for(document: &Document, request: &HeaderMap, seconds: i64) -> Response {
    let known = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = known.flat_map(|list| list.split(',')).map(|tag| tag.trim().trim_start_matches("W/"));
    let unchanged = tags.any(|tag| tag == "*" || tag == document.etag);
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        (json, document.bytes.clone()).into_response()
    };
    let headers = response.headers_mut();
    if let Ok(kept) = HeaderValue::from_str(&format!("public, max-age={seconds}")) {
        headers.insert(header::CACHE_CONTROL, kept);
    }
    if let Ok(etag) = HeaderValue::from_str(&document.etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

/// An error of the protocol, with what the log is to be told of it.
pub(super) fn oauth(failure: oauth::Error) -> Response {
    let mut response = match &failure {
        oauth::Error::Refused { reason, .. } | oauth::Error::Reused { reason, .. } => refusal(*reason),
        oauth::Error::NonceRequired { nonce } => with_nonce(refusal(Refusal::NonceRequired), nonce),
        oauth::Error::Limited { retry_after } => limited(*retry_after),
        oauth::Error::Throttled { retry_after } => throttled(*retry_after),
        oauth::Error::Unavailable(_) => unavailable("the database does not answer; try again"),
        oauth::Error::Review(_) => unavailable("the Kubernetes API does not answer; try again"),
        oauth::Error::Engine(_) | oauth::Error::KeyAway { .. } => unavailable("no token can be signed now; try again"),
        _ => fault(),
    };
    response.extensions_mut().insert(Told::of(failure));
    response
}

/// The nonce that the next proof is to carry (RFC 9449 §8).
pub(super) fn with_nonce(mut response: Response, nonce: &str) -> Response {
    if let Ok(nonce) = HeaderValue::from_str(nonce) {
        response.headers_mut().insert(DPOP_NONCE, nonce);
    }
    response
}

fn refusal(reason: Refusal) -> Response {
    let unauthenticated = reason.code() == Refusal::InvalidClient.code();
    let status = match reason {
        _ if unauthenticated => StatusCode::UNAUTHORIZED,
        Refusal::NotItsRuntime => StatusCode::FORBIDDEN,
        _ => StatusCode::BAD_REQUEST,
    };
    let mut response = error(status, reason.code(), reason.description());
    if unauthenticated {
        let challenge = HeaderValue::from_static("Basic realm=\"holdfast\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}
