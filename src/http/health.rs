//! `/livez` touches nothing, `/ready` looks at memory, `/health` asks the database; all cheap and open to everybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::respond;
use crate::domain::leadership::Leadership;
use crate::domain::outcome::StatusBoard;
use crate::metrics::{Check, Metrics};
use crate::oauth::AuthorizationServer;

/// An answer is good for this long.
const FRESH: Duration = Duration::from_secs(1);
/// The database has to answer within this.
const PROMPT: Duration = Duration::from_secs(2);
/// How often the gauges are brought up to date when nobody asks.
const TICK: Duration = Duration::from_secs(5);

/// What was found at the last look.
#[derive(Debug, Clone, Copy)]
pub struct Checks {
    pub database: bool,
    pub keys: bool,
    pub change_feed: bool,
}

impl Checks {
    const fn all(self) -> bool {
        self.database && self.keys && self.change_feed
    }
}

/// Where there is an operator: whether it leads, and what it knows.
pub type Operator = (Leadership, Arc<dyn StatusBoard>);

/// Knows how the process is, and whether it is on its way out. Cheap to clone.
#[derive(Clone)]
pub struct Health {
    inner: Arc<Inner>,
}

struct Inner {
    server: AuthorizationServer,
    metrics: Arc<Metrics>,
    operator: Option<Operator>,
    draining: AtomicBool,
    last: Mutex<Option<(Instant, Checks)>>,
}

impl Health {
    pub fn new(server: AuthorizationServer, metrics: Arc<Metrics>, operator: Option<Operator>) -> Self {
        let (draining, last) = (AtomicBool::new(false), Mutex::new(None));
        Self { inner: Arc::new(Inner { server, metrics, operator, draining, last }) }
    }

    /// From now on `/ready` is 503, so that no new request is sent here.
    pub fn drain(&self) {
        self.inner.draining.store(true, Ordering::Relaxed);
    }

    /// Policy and keys are loaded, and the process is not on its way out.
    pub fn is_ready(&self) -> bool {
        self.inner.server.is_ready() && !self.inner.draining.load(Ordering::Relaxed)
    }

    /// Looks, at most once a second.
    pub async fn check(&self) -> Checks {
        let mut last = self.inner.last.lock().await;
        if let Some((at, checks)) = *last
            && at.elapsed() < FRESH
        {
            return checks;
        }
        let database = timeout(PROMPT, self.inner.server.ping()).await.is_ok_and(|answer| answer.is_ok());
        let ages = self.inner.server.key_ages();
        let checks = Checks { database, keys: !ages.is_empty(), change_feed: self.inner.server.feed_is_healthy() };
        let metrics = &self.inner.metrics;
        metrics.health(Check::Database, checks.database);
        metrics.health(Check::Keys, checks.keys);
        metrics.health(Check::ChangeFeed, checks.change_feed);
        for (algorithm, seconds) in ages {
            metrics.signing_key_age(algorithm, seconds);
        }
        *last = Some((Instant::now(), checks));
        checks
    }

    /// Keeps the gauges up to date, for alerts that must not depend on anybody asking `/health`.
    pub async fn follow(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.check().await;
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    fn lines(&self, checks: Checks) -> Value {
        let word = |ok| Value::from(if ok { "ok" } else { "failing" });
        let mut lines = Map::new();
        lines.insert("database".into(), word(checks.database));
        lines.insert("keys".into(), word(checks.keys));
        lines.insert("change_feed".into(), word(checks.change_feed));
        if let Some((leadership, board)) = &self.inner.operator {
            let leads = leadership.borrow().is_some();
            lines.insert("leader_lease".into(), if leads { "held" } else { "not held" }.into());
            if let Some(lacking) = board.definitions_lacking() {
                lines.insert("custom_resource_definitions".into(), lacking.into());
            }
        }
        lines.into()
    }
}

/// The three paths. `verbose`: whether `/health?verbose` tells each check.
pub(super) fn router(health: Health, verbose: bool) -> Router {
    let health_path = if verbose { get(told) } else { get(healthy) };
    Router::new()
        .route("/livez", get(|| async { word(true) }))
        .route("/ready", get(|State(health): State<Health>| async move { word(health.is_ready()) }))
        .route("/health", health_path)
        .with_state(health)
}

async fn healthy(State(health): State<Health>) -> Response {
    word(health.check().await.all())
}

async fn told(State(health): State<Health>, RawQuery(query): RawQuery) -> Response {
    let checks = health.check().await;
    let asked = query.unwrap_or_default();
    if !url::form_urlencoded::parse(asked.as_bytes()).any(|(name, _)| name == "verbose") {
        return word(checks.all());
    }
    let mut body = json!({ "status": status(checks.all()).1 });
    body["checks"] = health.lines(checks);
    (status(checks.all()).0, respond::fresh(body)).into_response()
}

fn status(ok: bool) -> (StatusCode, &'static str) {
    if ok { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "unavailable") }
}

fn word(ok: bool) -> Response {
    let (code, word) = status(ok);
    (code, respond::fresh(json!({ "status": word }))).into_response()
}
