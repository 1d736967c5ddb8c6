//! Who is at the admin port (RFC 6750 §2.1): a bearer API key, and nothing by default.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::http::extract::source;
use crate::http::respond;
use crate::oauth::{Administrator, AuthorizationServer, Error, Role};

/// Someone with a key that is good.
pub struct Admin(pub Administrator);

impl Admin {
    /// Goes on only for who has that role or a higher one.
    pub fn at_least(self, role: Role) -> Result<Administrator, Forbidden> {
        if self.0.role >= role { Ok(self.0) } else { Err(Forbidden(self.0)) }
    }
}

/// The key is good and its role is not enough (RFC 6750 §3.1).
pub struct Forbidden(Administrator);

/// Whom an answer has refused, for the audit and the log.
#[derive(Clone)]
pub struct Denied(pub Arc<Administrator>);

impl IntoResponse for Forbidden {
    fn into_response(self) -> Response {
        let text = "the role of this key does not allow that";
        let mut response = respond::error(StatusCode::FORBIDDEN, "insufficient_scope", text);
        response.extensions_mut().insert(Denied(Arc::new(self.0)));
        response
    }
}

impl<S> FromRequestParts<S> for Admin
where
    S: Send + Sync,
    AuthorizationServer: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let bearer = bearer(parts).ok_or_else(|| challenge(false))?;
        let server = AuthorizationServer::from_ref(state);
        match server.administrator(&bearer, source(&parts.extensions)).await {
            Ok(administrator) => Ok(Self(administrator)),
            Err(Error::UnknownApiKey) => Err(challenge(true)),
            Err(error) => Err(respond::oauth(error)),
        }
    }
}

fn bearer(parts: &Parts) -> Option<String> {
    let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("Bearer") && !key.trim().is_empty()).then(|| key.trim().to_owned())
}

/// RFC 6750 §3: without credentials no error is named.
fn challenge(presented: bool) -> Response {
    let text = "an API key is required: holdfast admin apikey create";
    let mut response = respond::error(StatusCode::UNAUTHORIZED, "invalid_token", text);
    let with =
        if presented { "Bearer realm=\"holdfast\", error=\"invalid_token\"" } else { "Bearer realm=\"holdfast\"" };
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(with));
    response
}
