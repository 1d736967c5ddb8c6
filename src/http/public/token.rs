//! `POST /oauth/token`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use crate::http::extract::OAuthForm;
use crate::http::observe::Told;
use crate::http::respond;
use crate::metrics::{self, Assurance, Metrics, Outcome};
use crate::oauth::{AuthorizationServer, Error, Grant, TokenRequest};

pub async fn post(
    State(server): State<AuthorizationServer>,
    State(metrics): State<Arc<Metrics>>,
    form: Result<OAuthForm, Response>,
) -> Response {
    let mut timer = metrics.token_request();
    let asked = match form {
        Ok(form) => form.asked(TokenRequest::read),
        Err(response) => {
            timer.end(Outcome::Invalid);
            return response;
        }
    };
    let grant = asked.request.grant().map_or(metrics::Grant::Unknown, label);
    timer.grant(grant);
    let proved = asked.proof.is_some();
    match server.token(&asked).await {
        Ok(issued) => {
            timer.end(Outcome::Success);
            metrics.token_issued(grant);
            if let Some(kind) = issued.exchanged {
                metrics.token_exchanged(kind);
            }
            if issued.agent {
                metrics.agent_token_issued(Assurance::Registered);
            }
            let mut response = respond::fresh(&issued.response);
            if proved {
                metrics.proof_validated();
                if let Some(nonce) = server.dpop_nonce() {
                    response = respond::with_nonce(response, &nonce);
                }
            }
            response.extensions_mut().insert(Told::Issued(Arc::new(issued)));
            response
        }
        Err(error) => {
            let outcome = outcome(&error);
            timer.end(outcome);
            if let Some(reason) = error.refusal() {
                metrics.denied(Some(grant), reason);
            }
            if let Error::Reused { reason, ended, .. } = &error {
                metrics.reused(*reason, ended.tokens);
            }
            respond::oauth(error)
        }
    }
}

const fn label(grant: Grant) -> metrics::Grant {
    match grant {
        Grant::ClientCredentials => metrics::Grant::ClientCredentials,
        Grant::AuthorizationCode => metrics::Grant::AuthorizationCode,
        Grant::RefreshToken => metrics::Grant::RefreshToken,
        Grant::DeviceCode => metrics::Grant::DeviceCode,
        Grant::TokenExchange => metrics::Grant::TokenExchange,
    }
}

/// How a failure counts: our own faults are the ones that an alert looks at.
fn outcome(error: &Error) -> Outcome {
    match error.refusal().map(|reason| reason.code()) {
        Some("invalid_request" | "unsupported_grant_type") => Outcome::Invalid,
        Some(_) => Outcome::Denied,
        None => Outcome::Error,
    }
}
