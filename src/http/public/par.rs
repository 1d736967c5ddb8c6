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
    let asked = form.asked(PushRequest::read);
    match server.push(&asked).await {
        Ok(pushed) => {
            let mut response = (StatusCode::CREATED, respond::fresh(pushed)).into_response();
            if asked.proof.is_some() {
                metrics.proof_validated();
                if let Some(nonce) = server.dpop_nonce() {
                    response = respond::with_nonce(response, &nonce);
                }
            }
            response
        }
        Err(error) => {
            if let Some(reason) = error.refusal() {
                metrics.denied(None, reason);
            }
            respond::oauth(error)
        }
    }
}
