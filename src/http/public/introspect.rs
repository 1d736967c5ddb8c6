//! `POST /oauth/introspect`.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Response;

use crate::http::extract::OAuthForm;
use crate::http::respond;
use crate::metrics::Metrics;
use crate::oauth::{AboutToken, AuthorizationServer};

/// RFC 9701 §4
const SIGNED: &str = "application/token-introspection+jwt";

pub async fn post(
    State(server): State<AuthorizationServer>,
    State(metrics): State<Arc<Metrics>>,
    headers: HeaderMap,
    form: OAuthForm,
) -> Response {
    let began = Instant::now();
    let introspection = match server.introspect(&form.asked(AboutToken::read)).await {
        Ok(introspection) => introspection,
        Err(error) => {
            if let Some(reason) = error.refusal() {
                metrics.denied(None, reason);
            }
            return respond::oauth(error);
        }
    };
    let response = if wants_signed(&headers) {
        match server.sign_introspection(&introspection).await {
            Ok(signed) => respond::text(signed, SIGNED),
            Err(error) => return respond::oauth(error),
        }
    } else {
        respond::fresh(&introspection)
    };
    metrics.introspected(introspection.active, began.elapsed());
    response
}

fn wants_signed(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut kinds = accepted.flat_map(|list| list.split(',')).filter_map(|kind| kind.split(';').next());
    kinds.any(|kind| kind.trim().eq_ignore_ascii_case(SIGNED))
}
