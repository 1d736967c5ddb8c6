//! `POST /oauth/introspect`.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::response::Response;

use crate::http::extract::OAuthForm;
use crate::http::respond;
use crate::metrics::Metrics;
use crate::oauth::{AboutToken, AuthorizationServer};

pub async fn post(
    State(server): State<AuthorizationServer>,
    State(metrics): State<Arc<Metrics>>,
    form: OAuthForm,
) -> Response {
    let began = Instant::now();
    match server.introspect(&form.asked(AboutToken::read)).await {
        Ok(introspection) => {
            metrics.introspected(introspection.active, began.elapsed());
            respond::fresh(introspection)
        }
        Err(error) => {
            if let Some(reason) = error.refusal() {
                metrics.denied(None, reason);
            }
            respond::oauth(error)
        }
    }
}
