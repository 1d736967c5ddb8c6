//! `POST /oauth/revoke`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::http::extract::OAuthForm;
use crate::http::observe::Told;
use crate::http::respond;
use crate::metrics::{Metrics, RevocationOutcome, RevocationReason};
use crate::oauth::{AboutToken, AuthorizationServer, Revocation};

pub async fn post(
    State(server): State<AuthorizationServer>,
    State(metrics): State<Arc<Metrics>>,
    form: OAuthForm,
) -> Response {
    match server.revoke(&form.asked(AboutToken::read)).await {
        Ok(revocation) => {
            let mut response = (StatusCode::OK, respond::fresh(json!({}))).into_response();
            match revocation {
                Revocation::Revoked { what, ended } => {
                    let named = ended.tokens.min(1);
                    metrics.revocation(RevocationOutcome::Revoked);
                    metrics.revoked(RevocationReason::Explicit, named);
                    metrics.revoked(RevocationReason::Cascade, ended.tokens - named);
                    response.extensions_mut().insert(Told::Revoked { what, ended });
                }
                Revocation::Nothing => metrics.revocation(RevocationOutcome::NothingToRevoke),
            }
            response
        }
        Err(error) => {
            let refused = error.refusal();
            metrics.revocation(refused.map_or(RevocationOutcome::Error, |_| RevocationOutcome::Refused));
            if let Some(reason) = refused {
                metrics.denied(None, reason);
            }
            respond::oauth(error)
        }
    }
}
