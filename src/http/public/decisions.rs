//! `POST /v1/resource-servers/{id}/decisions`: what an enforcement point decided about calls, by the batch.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::manifest::problem;
use super::policy::{acting, point, refused};
use crate::activity::{Activity, MAX_DECISIONS};
use crate::http::extract::{media_type, read_at_most};
use crate::http::respond;
use crate::metrics::{Metrics, Publication};
use crate::oauth::AuthorizationServer;

pub async fn post(
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
            metrics.decisions_ingested(if denied { Publication::Denied } else { Publication::Error });
            return refused(&metrics, error);
        }
    };
    let read = async {
        let point = point(&request.headers).map_err(bad)?;
        if !is_json(&request.headers) {
            let text = "the body must be application/json";
            return Err(respond::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request", text));
        }
        let body = read_at_most(body, MAX_DECISIONS).await?;
        let decisions = activity.read_decisions(&body).map_err(|fault| bad(&fault.to_string()))?;
        Ok::<_, Response>((point, decisions))
    };
    let (point, decisions) = match read.await {
        Ok(read) => read,
        Err(response) => {
            metrics.decisions_ingested(Publication::Invalid);
            return response;
        }
    };
    match activity.take_in(&id, decisions, (acting.actor(), point.as_ref())).await {
        Ok(taken) => {
            metrics.decisions_ingested(if taken.new > 0 { Publication::Success } else { Publication::Unchanged });
            metrics.decided(taken.counted.resource_server.as_deref(), &taken.counted.listed, &taken.counted.decisions);
            respond::fresh(&taken)
        }
        Err(error) => {
            metrics.decisions_ingested(Publication::Error);
            problem(&error)
        }
    }
}

fn bad(text: &str) -> Response {
    respond::error(StatusCode::BAD_REQUEST, "invalid_request", text)
}

fn is_json(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|media| media.eq_ignore_ascii_case("application/json"))
}
