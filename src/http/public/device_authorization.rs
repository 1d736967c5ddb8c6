//! `POST /oauth/device_authorization` (RFC 8628 §3.1).

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use crate::http::extract::OAuthForm;
use crate::http::respond;
use crate::metrics::{DeviceOutcome, Metrics};
use crate::oauth::{AuthorizationServer, DeviceRequest};

pub async fn post(
    State(server): State<AuthorizationServer>,
    State(metrics): State<Arc<Metrics>>,
    form: OAuthForm,
) -> Response {
    match server.device_authorization(&form.asked(DeviceRequest::read)).await {
        Ok(authorization) => {
            metrics.device_code(DeviceOutcome::Issued);
            respond::fresh(authorization)
        }
        Err(error) => {
            if let Some(reason) = error.refusal() {
                metrics.denied(None, reason);
            }
            respond::oauth(error)
        }
    }
}
