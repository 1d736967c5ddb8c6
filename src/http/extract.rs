//! From an HTTP request to what the protocol was asked.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, FromRequest, Request};
use axum::http::{Extensions, HeaderMap, HeaderName, StatusCode, header};
use axum::response::Response;

use super::respond;
use crate::domain::refusal::Refusal;
use crate::oauth::{Asked, Form, Presented, Shown};

/// The largest body that is read, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// Header of a proof (RFC 9449 §4.1).
const DPOP: HeaderName = HeaderName::from_static("dpop");
/// A body has to arrive within this.
const PATIENCE: Duration = Duration::from_secs(10);

/// A form with what authenticates its sender. The query is never looked at (OAuth 2.1 §3.2).
pub(super) struct OAuthForm {
    form: Form,
    credentials: Result<Presented, Refusal>,
    source: IpAddr,
    proof: Option<Shown>,
}

impl OAuthForm {
    /// What one endpoint makes of it.
    pub fn asked<T>(self, read: impl FnOnce(&Form) -> T) -> Asked<T> {
        Asked { request: read(&self.form), credentials: self.credentials, source: self.source, proof: self.proof }
    }
}

impl<S: Send + Sync> FromRequest<S> for OAuthForm {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        if !is_form(&parts.headers) {
            let reason = Refusal::Malformed("the body must be application/x-www-form-urlencoded");
            return Err(respond::oauth(reason.into()));
        }
        let body = read(body).await?;
        let form = Form::parse(&body).map_err(|reason| respond::oauth(reason.into()))?;
        let authorization = parts.headers.get_all(header::AUTHORIZATION);
        let authorization: Vec<&[u8]> = authorization.iter().map(|value| value.as_bytes()).collect();
        let credentials = Presented::read(&authorization, &form);
        let proofs = parts.headers.get_all(&DPOP).iter().map(|value| value.as_bytes());
        let proof = Shown::read(proofs, parts.method.as_str(), parts.uri.path());
        Ok(Self { credentials, form, source: source(&parts.extensions), proof })
    }
}

/// Where a connection comes from. No forwarding header is believed.
pub(super) fn source(extensions: &Extensions) -> IpAddr {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0.ip())
}

/// Reads a body to its end, or to the limit.
pub(super) async fn read(body: Body) -> Result<Bytes, Response> {
    read_at_most(body, MAX_BODY).await
}

/// The same with a limit of its own, in bytes.
pub(super) async fn read_at_most(body: Body, limit: usize) -> Result<Bytes, Response> {
    match tokio::time::timeout(PATIENCE, to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => {
            let text = format!("the body is larger than {} KiB, or was cut off", limit / 1024);
            Err(respond::error(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", &text))
        }
        Err(_) => {
            let text = "the body did not arrive in time";
            Err(respond::error(StatusCode::REQUEST_TIMEOUT, "invalid_request", text))
        }
    }
}

pub(super) fn is_form(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|media| media.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// The one media type that a request names, without parameters.
pub(super) fn media_type(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    Some(value.to_str().ok()?.split(';').next()?.trim())
}
