//! The public port: the protocol, its metadata, and health.

mod authorize;
mod introspect;
mod metadata;
mod revoke;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::http::{HeaderName, Method, header};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{Any, CorsLayer};

use super::health::{self, Health};
use super::observe::{Observatory, observe};
use super::respond;
use crate::metrics::Metrics;
use crate::oauth::{AuthorizationServer, Error, path};

/// What the handlers share.
#[derive(Clone)]
struct Shared {
    server: AuthorizationServer,
    metrics: Arc<Metrics>,
}

impl FromRef<Shared> for AuthorizationServer {
    fn from_ref(shared: &Shared) -> Self {
        shared.server.clone()
    }
}

impl FromRef<Shared> for Arc<Metrics> {
    fn from_ref(shared: &Shared) -> Self {
        Arc::clone(&shared.metrics)
    }
}

/// Everything below the issuer, at the issuer's own path.
///
/// # Errors
/// When the system's random source fails.
pub fn router(server: AuthorizationServer, metrics: Arc<Metrics>, health: Health) -> Result<Router, Error> {
    let base = server.base_path().to_owned();
    let observatory = Observatory::new(Arc::clone(&metrics), &base, server.nonce()?);
    let shared = Shared { server, metrics };
    let router = Router::new()
        .merge(open(&base).layer(cors()))
        .merge(closed(&base))
        .with_state(shared)
        .merge(health::router(health, false).method_not_allowed_fallback(respond::wrong_method))
        .fallback(respond::not_found);
    Ok(finish(router, observatory))
}

/// What every port has around its routes; the last is the outermost.
pub(super) fn finish(router: Router, observatory: Observatory) -> Router {
    router.layer(CatchPanicLayer::custom(respond::panicked)).layer(from_fn_with_state(observatory, observe))
}

/// What pages of other origins may call (OAuth 2.1 §3.2, RFC 8414): no cookie counts here.
fn open(base: &str) -> Router<Shared> {
    let mut router = Router::new()
        .route(&format!("{base}{}", path::TOKEN), post(token::post))
        .route(&format!("{base}{}", path::REVOKE), post(revoke::post))
        .route(&format!("{base}{}", path::JWKS), get(metadata::jwks));
    for form in metadata::forms(base) {
        router = router.route(&form, get(metadata::issuer));
    }
    for form in metadata::resource_forms(base) {
        router = router.route(&form, get(metadata::protected_resource));
    }
    router.method_not_allowed_fallback(respond::wrong_method)
}

/// What they may not.
fn closed(base: &str) -> Router<Shared> {
    Router::new()
        .route(&format!("{base}{}", path::INTROSPECT), post(introspect::post))
        .route(&format!("{base}{}", path::AUTHORIZE), get(authorize::refuse).post(authorize::refuse))
        .method_not_allowed_fallback(respond::wrong_method)
}

fn cors() -> CorsLayer {
    let headers = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        HeaderName::from_static("dpop"),
        HeaderName::from_static("mcp-protocol-version"),
    ];
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(headers)
        .expose_headers([header::WWW_AUTHENTICATE, header::RETRY_AFTER])
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::{Request, StatusCode};
    use tower::ServiceExt;

    use super::*;

    /// A fault of ours is JSON that says nothing of it, and it is counted.
    #[tokio::test]
    async fn a_panic_is_a_server_error_in_json() {
        let metrics = Metrics::new().unwrap();
        let observatory = Observatory::new(Arc::clone(&metrics), "", [7; 8]);
        let routes = Router::new().route(
            "/livez",
            get(|| async {
                if true {
                    panic!("the secret is 42")
                }
            }),
        );
        let request = Request::get("/livez").body(Body::empty()).unwrap();
        let response = finish(routes, observatory).oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()["x-request-id"], "0707070707070707-0");
        let body = to_bytes(response.into_body(), 1000).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["error"], "server_error");
        assert!(!body.to_string().contains("42"));
        let counted = "holdfast_http_requests_total{method=\"GET\",route=\"/livez\",status=\"500\"} 1";
        assert!(metrics.render().unwrap().contains(counted));
    }
}
