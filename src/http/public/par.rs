//! `POST /oauth/par` (RFC 9126).

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::http::extract::OAuthForm;
use crate::http::respond;
use crate::metrics::Metrics;
use crate::oauth::{AuthorizationServer, PushRequest};

pub async fn post(
    State(server): State<AuthorizationServer>,
    State(metrics): State<Arc<Metrics>>,
    form: OAuthForm,
) -> Response {
    match server.push(&form.asked(PushRequest::read)).await {
        Ok(pushed) => (StatusCode::CREATED, respond::fresh(pushed)).into_response(),
        Err(error) => {
            if let Some(reason) = error.refusal() {
                metrics.denied(None, reason);
            }
            respond::oauth(error)
        }
    }
}
