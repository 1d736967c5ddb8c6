//! The public port: the protocol, its metadata, and health.

mod account;
mod authorize;
mod consent;
mod decisions;
mod device;
mod device_authorization;
mod introspect;
mod login;
mod manifest;
mod metadata;
pub(super) mod pages;
mod par;
mod password;
mod policy;
mod register;
mod revoke;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::http::{HeaderName, Method, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post, put};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{Any, CorsLayer};

use self::pages::Pages;
use super::gate::{Gate, Page, Sources};
use super::health::{self, Health};
use super::observe::{Observatory, observe};
use super::respond;
use crate::activity::Activity;
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::oauth::{AuthorizationServer, Error, path};

/// What the handlers share.
#[derive(Clone)]
struct Shared {
    server: AuthorizationServer,
    identity: Identity,
    activity: Activity,
    metrics: Arc<Metrics>,
    pages: Pages,
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

impl FromRef<Shared> for Identity {
    fn from_ref(shared: &Shared) -> Self {
        shared.identity.clone()
    }
}

impl FromRef<Shared> for Activity {
    fn from_ref(shared: &Shared) -> Self {
        shared.activity.clone()
    }
}

impl FromRef<Shared> for Pages {
    fn from_ref(shared: &Shared) -> Self {
        shared.pages.clone()
    }
}

pub(super) use self::account::{END_SESSION, WITHDRAW};
pub(super) use self::authorize::TRANSACTION;
pub(super) use self::password::PASSWORD;

/// Where the endpoints are for clients that know no metadata, at an issuer without a path.
pub(super) const LEGACY_AUTHORIZE: &str = "/authorize";
pub(super) const LEGACY_TOKEN: &str = "/token";
pub(super) const LEGACY_REGISTER: &str = "/register";

/// Where people sign out, below the issuer.
pub(super) const LOGOUT: &str = "/logout";

/// What enforcement points and MCP servers use, below the issuer.
pub(super) const POLICY: &str = "/v1/resource-servers/{id}/policy";
pub(super) const MANIFEST: &str = "/v1/resource-servers/{id}/manifest";
pub(super) const DECISIONS: &str = "/v1/resource-servers/{id}/decisions";

/// What the public port is made of.
#[derive(Clone)]
pub struct Parts {
    pub server: AuthorizationServer,
    pub identity: Identity,
    pub activity: Activity,
    pub metrics: Arc<Metrics>,
    pub health: Health,
    pub sources: Sources,
}

/// Everything below the issuer, at the issuer's own path.
///
/// # Errors
/// When the system's random source fails.
pub fn router(parts: Parts) -> Result<Router, Error> {
    let Parts { server, identity, activity, metrics, health, sources } = parts;
    let base = server.base_path().to_owned();
    let pages = Pages::new(server.issuer(), &base);
    let page = too_many(pages.clone());
    let observatory = Observatory::new(Arc::clone(&metrics), &base, server.nonce()?, Gate::new(sources, Some(page)));
    let shared = Shared { server, identity, activity, metrics, pages };
    let router = Router::new()
        .merge(open(&base).layer(cors()))
        .merge(closed(&base))
        .merge(people(&base))
        .with_state(shared)
        .merge(health::router(health, false).method_not_allowed_fallback(respond::wrong_method))
        .fallback(respond::not_found);
    Ok(finish(router, observatory))
}

/// What people who come too often are shown.
fn too_many(pages: Pages) -> Page {
    let text = "Too many requests came from where you are. Wait a moment, then load this page again.";
    Arc::new(move |seconds| pages.retry(StatusCode::TOO_MANY_REQUESTS, "One moment, please", text, seconds))
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
        .route(&format!("{base}{}", path::PAR), post(par::post))
        .route(&format!("{base}{}", path::REGISTER), post(register::post))
        .route(
            &format!("{base}{}/{{id}}", path::REGISTER),
            get(register::get).put(register::put).delete(register::delete),
        )
        .route(&format!("{base}{}", path::DEVICE_AUTHORIZATION), post(device_authorization::post))
        .route(&format!("{base}{}", path::JWKS), get(metadata::jwks));
    if base.is_empty() {
        // where clients of the MCP revision 2025-03-26 look without metadata (M-18)
        router = router.route(LEGACY_TOKEN, post(token::post)).route(LEGACY_REGISTER, post(register::post));
    }
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
        .route(&format!("{base}{POLICY}"), get(policy::get))
        .route(&format!("{base}{MANIFEST}"), put(manifest::put))
        .route(&format!("{base}{DECISIONS}"), post(decisions::post))
        .method_not_allowed_fallback(respond::wrong_method)
}

/// Pages for people: same origin only, no CORS.
fn people(base: &str) -> Router<Shared> {
    let router = match base {
        "" => Router::new().route(LEGACY_AUTHORIZE, get(authorize::get).post(authorize::post)),
        _ => Router::new(),
    };
    router
        .route(&format!("{base}{}", path::AUTHORIZE), get(authorize::get).post(authorize::post))
        .route(&format!("{base}{}", authorize::TRANSACTION), get(authorize::resume).post(authorize::choose))
        .route(&format!("{base}{}", pages::LOGIN), get(login::show).post(login::post))
        .route(&format!("{base}{LOGOUT}"), post(login::out))
        .route(&format!("{base}{}", pages::ACCOUNT), get(account::show))
        .route(&format!("{base}{}", password::PASSWORD), get(password::show).post(password::post))
        .route(&format!("{base}{}", account::END_SESSION), post(account::end_session))
        .route(&format!("{base}{}", path::DEVICE), get(device::show).post(device::post))
        .route(&format!("{base}{}", account::WITHDRAW), post(account::withdraw))
        .merge(pages::assets(base))
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
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers(headers)
        .expose_headers([header::WWW_AUTHENTICATE, header::RETRY_AFTER, respond::DPOP_NONCE])
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    /// A fault of ours is JSON that says nothing of it, and it is counted.
    #[tokio::test]
    async fn a_panic_is_a_server_error_in_json() {
        let metrics = Metrics::new().unwrap();
        let observatory = Observatory::new(Arc::clone(&metrics), "", [7; 8], Gate::new(Sources::default(), None));
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
