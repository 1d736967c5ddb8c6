//! What Prometheus reads; nothing at all when metrics are off.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::domain::chain;

use super::respond;
use crate::metrics::Metrics;

/// Where the metrics are, if they are served.
#[derive(Clone)]
pub struct MetricsPage {
    pub metrics: Arc<Metrics>,
    /// `None` = off: the path is like any other that does not exist.
    pub path: Option<String>,
}

impl MetricsPage {
    pub(super) fn routes(&self) -> Router {
        match &self.path {
            Some(path) => Router::new().route(path, get(page)).with_state(Arc::clone(&self.metrics)),
            None => Router::new(),
        }
    }
}

/// The listener that has nothing but metrics.
pub fn router(page: &MetricsPage) -> Router {
    page.routes().method_not_allowed_fallback(respond::wrong_method).fallback(respond::not_found)
}

async fn page(State(metrics): State<Arc<Metrics>>) -> Response {
    match metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => {
            tracing::error!(event = "metrics_failed", error = chain(&error));
            respond::fault()
        }
    }
}
