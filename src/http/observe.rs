//! One log line and one count for each request, whichever way it ends.

mod route;
mod trace;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use self::route::{by_source, endpoint};
use self::trace::Trace;
use super::gate::Gate;
use crate::domain::refusal::Refusal;
use crate::domain::{SessionEnd, chain};
use crate::metrics::{ConsentDecision, Label, Method, Metrics, Route};
use crate::oauth::{self, Ended, Grant, Issued, Revoked};

/// The header that ties a log line to a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a handler has to tell, left in the response's extensions.
#[derive(Clone)]
pub(super) enum Told {
    Issued(Arc<Issued>),
    Revoked {
        what: Revoked,
        ended: Ended,
    },
    /// A code or refresh token was used again: what came of it was ended.
    Reused {
        client_id: String,
        reason: &'static str,
        grant_id: uuid::Uuid,
        ended: Ended,
    },
    Denied {
        client_id: Option<String>,
        reason: &'static str,
    },
    RateLimited {
        seconds: u64,
    },
    Failed(String),
    AdminChanged {
        who: String,
        what: String,
        outcome: &'static str,
    },
    /// Nobody's address is told: people type passwords into the wrong field.
    Login {
        who: Option<String>,
        outcome: &'static str,
    },
    Logout {
        who: String,
    },
    ConsentRevoked {
        who: String,
    },
    SessionEnded {
        who: String,
        reason: SessionEnd,
    },
    ConsentDecided {
        who: String,
        client_id: String,
        outcome: ConsentDecision,
    },
    ManifestPublished {
        who: String,
        what: String,
        tools: usize,
        unmapped: usize,
    },
    ClientRegistered {
        what: String,
        source: IpAddr,
    },
}

impl Told {
    /// What the log is told of a failure: the chain of causes, which names no secret.
    pub fn of(failure: oauth::Error) -> Self {
        match failure {
            oauth::Error::Refused { reason, client_id } => Self::Denied { client_id, reason: reason.as_str() },
            oauth::Error::Reused { reason, client_id, grant_id, ended } => {
                Self::Reused { client_id, reason: reason.as_str(), grant_id, ended }
            }
            oauth::Error::NonceRequired { .. } => {
                Self::Denied { client_id: None, reason: Refusal::NonceRequired.as_str() }
            }
            oauth::Error::Limited { retry_after } | oauth::Error::Throttled { retry_after } => {
                Self::RateLimited { seconds: retry_after.as_secs() + 1 }
            }
            other => Self::Failed(chain(&other)),
        }
    }
}

/// What every request needs to be observed.
#[derive(Clone)]
pub(super) struct Observatory {
    inner: Arc<Inner>,
}

struct Inner {
    metrics: Arc<Metrics>,
    /// Path of the issuer, before each route of the protocol.
    base: String,
    /// Tells request ids of processes apart.
    process: u64,
    requests: AtomicU64,
    gate: Gate,
}

impl Observatory {
    pub fn new(metrics: Arc<Metrics>, base: &str, process: [u8; 8], gate: Gate) -> Self {
        let process = u64::from_be_bytes(process);
        Self { inner: Arc::new(Inner { metrics, base: base.to_owned(), process, requests: AtomicU64::new(0), gate }) }
    }

    fn request_id(&self, headers: &HeaderMap) -> HeaderValue {
        let given = headers.get(&REQUEST_ID).filter(|id| is_id(id.as_bytes()));
        given.cloned().unwrap_or_else(|| {
            let number = self.inner.requests.fetch_add(1, Ordering::Relaxed);
            let text = format!("{:016x}-{number:x}", self.inner.process);
            HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("-"))
        })
    }

    fn route(&self, request: &Request) -> Route {
        let Some(matched) = request.extensions().get::<MatchedPath>() else { return Route::Unknown };
        route::of(matched.as_str(), &self.inner.base)
    }
}

fn is_id(id: &[u8]) -> bool {
    (1..=64).contains(&id.len()) && id.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// The outermost layer.
pub(super) async fn observe(State(observatory): State<Observatory>, mut request: Request, next: Next) -> Response {
    let route = observatory.route(&request);
    let mut timer = observatory.inner.metrics.http_request(Method::of(request.method().as_str()));
    timer.route(route);
    let id = observatory.request_id(request.headers());
    let trace = Trace::read(request.headers());
    let source = observatory.inner.gate.place(&mut request);
    let mut response = match observatory.inner.gate.refuse(by_source(route), source) {
        Some(refused) => refused,
        None => next.run(request).await,
    };
    timer.end(response.status().as_u16());
    if let Some(told) = response.extensions_mut().remove::<Told>() {
        if let (Told::RateLimited { .. }, Some(endpoint)) = (&told, endpoint(route)) {
            observatory.inner.metrics.rate_limited(endpoint);
        }
        tell(&told, &Line { route, request_id: id.to_str().unwrap_or_default(), trace, source });
    }
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

struct Line<'a> {
    route: Route,
    request_id: &'a str,
    trace: Trace,
    source: Option<IpAddr>,
}

fn tell(told: &Told, line: &Line<'_>) {
    let (request_id, trace_id, span_id) =
        (line.request_id, line.trace.trace_id.as_deref(), line.trace.span_id.as_deref());
    match told {
        Told::Issued(issued) => tell_issued(issued, (request_id, trace_id, span_id)),
        Told::Revoked { what, ended } => {
            let (jti, family) = match what {
                Revoked::Token(jti) => (Some(jti), None),
                Revoked::Family(grant) => (None, Some(grant)),
            };
            tracing::info!(
                event = "token_revoked",
                jti = jti.map(tracing::field::display),
                family = family.map(tracing::field::display),
                reason = "explicit",
                cascade_count = ended.tokens.saturating_sub(u64::from(jti.is_some())),
                request_id,
                trace_id,
                span_id,
            );
        }
        Told::Reused { client_id, reason, grant_id, ended } => {
            tracing::warn!(event = "authorization_denied", client_id, reason, request_id, trace_id, span_id);
            tracing::warn!(
                event = "token_revoked",
                client_id,
                family = %grant_id,
                reason,
                cascade_count = ended.tokens,
                request_id,
                trace_id,
                span_id,
            );
        }
        Told::Denied { client_id, reason } => {
            let client_id = client_id.as_deref();
            tracing::warn!(event = "authorization_denied", client_id, reason, request_id, trace_id, span_id);
        }
        Told::RateLimited { seconds } => {
            let (ip, endpoint) = (line.source.map(tracing::field::display), endpoint(line.route).map(Label::as_str));
            tracing::warn!(event = "rate_limited", ip, endpoint, retry_after = seconds, request_id, trace_id, span_id);
        }
        Told::Failed(error) => {
            tracing::error!(event = "database_error", error, pool = "server", request_id, trace_id, span_id);
        }
        Told::ClientRegistered { what, source } => {
            tracing::info!(event = "client_registered", who = %source, what, outcome = "success", request_id, trace_id, span_id);
        }
        Told::ManifestPublished { who, what, tools, unmapped } => {
            tracing::info!(event = "manifest_published", who, what, tools, unmapped, request_id, trace_id, span_id);
        }
        Told::AdminChanged { who, what, outcome } => {
            tracing::info!(event = "admin_changed", who, what, outcome, request_id, trace_id, span_id);
        }
        Told::ConsentDecided { who, client_id, outcome } => {
            let outcome = outcome.as_str();
            tracing::info!(event = "consent_decided", who, client_id, outcome, request_id, trace_id, span_id);
        }
        Told::Login { who, outcome } => {
            let (who, ip) = (who.as_deref(), line.source.map(tracing::field::display));
            tracing::info!(event = "login", who, what = "password", outcome, ip, request_id, trace_id, span_id);
        }
        Told::ConsentRevoked { who } => {
            let outcome = "revoked";
            tracing::info!(event = "consent_decided", who, outcome, request_id, trace_id, span_id);
        }
        Told::SessionEnded { who, reason } => {
            let (what, outcome) = (reason.as_str(), "success");
            tracing::info!(event = "session_ended", who, what, outcome, request_id, trace_id, span_id);
        }
        Told::Logout { who } => {
            let (what, outcome) = ("session", "success");
            tracing::info!(event = "logout", who, what, outcome, request_id, trace_id, span_id);
        }
    }
}

/// A token, and before it the grant that it is the first of.
fn tell_issued(issued: &Issued, (request_id, trace_id, span_id): (&str, Option<&str>, Option<&str>)) {
    let grant_id = issued.grant_id.map(tracing::field::display);
    let agent_id = issued.agent.then_some(issued.client_id.as_str());
    if issued.began {
        tracing::info!(
            event = "grant_created",
            grant_id,
            agent_id,
            client_id = issued.client_id,
            principal_id = issued.subject,
            scopes = issued.response.scope,
            request_id,
            trace_id,
            span_id,
        );
    }
    tracing::info!(
        event = match issued.grant {
            Grant::RefreshToken => "token_refreshed",
            Grant::TokenExchange => "token_exchanged",
            _ => "token_issued",
        },
        grant_type = issued.grant.as_str(),
        client_id = issued.client_id,
        sub = issued.subject,
        resource = issued.resource,
        scope = issued.response.scope,
        jti = %issued.jti,
        grant_id,
        agent_id,
        request_id,
        trace_id,
        span_id,
    );
}
