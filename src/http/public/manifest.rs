//! `PUT /v1/resource-servers/{id}/manifest`: the tools that an MCP server says it has.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use crate::domain::chain;

use super::policy::{acting, refused, tags};
use crate::activity::{self, Activity, Before, MAX_MANIFEST};
use crate::domain::tool_manifest::ToolManifest;
use crate::http::extract::{media_type, read_at_most};
use crate::http::observe::Told;
use crate::http::respond;
use crate::metrics::{Metrics, Publication};
use crate::oauth::{Acting, AuthorizationServer};

pub async fn put(
    State(server): State<AuthorizationServer>,
    State(activity): State<Activity>,
    State(metrics): State<Arc<Metrics>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let id = id.map(|Path(id)| id).unwrap_or_default();
    let (request, body) = request.into_parts();
    let acting = match acting(&server, &id, &request).await {
        Ok(acting) => acting,
        Err(error) => {
            let denied = error.refusal().is_some();
            metrics.manifest_published(if denied { Publication::Denied } else { Publication::Error });
            return refused(&metrics, error);
        }
    };
    let before = before(&request.headers);
    let manifest = match manifest(&request.headers, body).await {
        Ok(manifest) => manifest,
        Err(response) => {
            metrics.manifest_published(Publication::Invalid);
            server.note_manifest_refused(&acting, "invalid_manifest").await;
            return response;
        }
    };
    let ended = activity.publish(&id, &manifest, &before, (acting.actor(), acting.source())).await;
    match ended {
        Ok(published) => {
            let outcome = if published.changed { Publication::Success } else { Publication::Unchanged };
            metrics.manifest_published(outcome);
            let mut response = respond::fresh(&published);
            if let Ok(etag) = HeaderValue::from_str(&format!("\"{}\"", published.digest)) {
                response.headers_mut().insert(header::ETAG, etag);
            }
            if published.changed {
                response.extensions_mut().insert(told(&acting, &id, published.tools, published.unmapped.len()));
            }
            response
        }
        Err(error) => {
            let (outcome, reason) = match error {
                activity::Error::Store(_) => (Publication::Error, None),
                activity::Error::Changed => (Publication::Denied, Some("manifest_changed")),
                activity::Error::Gone => (Publication::Denied, Some("resource_gone")),
            };
            metrics.manifest_published(outcome);
            if let Some(reason) = reason {
                server.note_manifest_refused(&acting, reason).await;
            }
            problem(&error)
        }
    }
}

fn told(acting: &Acting, id: &str, tools: usize, unmapped: usize) -> Told {
    Told::ManifestPublished { who: acting.actor().to_string(), what: id.to_owned(), tools, unmapped }
}

/// What the publisher demands of the manifest that is there (RFC 9110 §13.1).
fn before(headers: &HeaderMap) -> Before {
    let matching = tags(headers, &header::IF_MATCH);
    if matching.iter().any(|tag| tag == "*") {
        return Before::Some;
    }
    if headers.contains_key(header::IF_MATCH) {
        return Before::Tags(matching);
    }
    let none = tags(headers, &header::IF_NONE_MATCH).iter().any(|tag| tag == "*");
    if none { Before::None } else { Before::Any }
}

async fn manifest(headers: &HeaderMap, body: Body) -> Result<ToolManifest, Response> {
    if media_type(headers).is_none_or(|media| !media.eq_ignore_ascii_case("application/json")) {
        let text = "the body must be application/json";
        return Err(respond::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request", text));
    }
    let body = read_at_most(body, MAX_MANIFEST).await?;
    let bad = |text: &str| respond::error(StatusCode::BAD_REQUEST, "invalid_request", text);
    let manifest: ToolManifest = serde_json::from_slice(&body).map_err(|error| {
        // serde names the member, which the sender wrote: only plain characters of it come back
        let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '_' | '-' | '.' | ',' | ':');
        bad(&error.to_string().chars().filter(plain).take(200).collect::<String>())
    })?;
    match manifest.fault() {
        None => Ok(manifest),
        Some(fault) => Err(bad(&fault.to_string())),
    }
}

pub(super) fn problem(error: &activity::Error) -> Response {
    let text = error.to_string();
    match error {
        activity::Error::Changed => respond::error(StatusCode::PRECONDITION_FAILED, "conflict", &text),
        activity::Error::Gone => respond::error(StatusCode::NOT_FOUND, "not_found", &text),
        error if error.is_unavailable() => respond::unavailable("the database does not answer; try again"),
        error => {
            let mut response = respond::fault();
            response.extensions_mut().insert(Told::Failed(chain(error)));
            response
        }
    }
}
