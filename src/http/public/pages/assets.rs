//! The stylesheet and the icon: files whose names change with what is in them, so that browsers keep them for good.

use std::sync::OnceLock;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("../../templates/style.css");
const ICON: &str = include_str!("../../templates/icon.svg");

/// Their paths: stylesheet, icon.
pub(super) fn places(base: &str) -> (String, String) {
    static NAMES: OnceLock<[String; 2]> = OnceLock::new();
    let [style, icon] = NAMES.get_or_init(|| [STYLE, ICON].map(name));
    (format!("{base}/assets/{style}.css"), format!("{base}/assets/{icon}.svg"))
}

fn name(content: &str) -> String {
    Sha256::digest(content).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Both of them.
pub fn router<S: Clone + Send + Sync + 'static>(base: &str) -> Router<S> {
    let (stylesheet, icon) = places(base);
    Router::new()
        .route(&stylesheet, get(|| async { file("text/css; charset=utf-8", STYLE) }))
        .route(&icon, get(|| async { file("image/svg+xml", ICON) }))
}

fn file(media: &'static str, content: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        // an image that is opened by itself is a document
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox")),
    ];
    (headers, content).into_response()
}
