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

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of a colour after `from` in the stylesheet, as luminance (WCAG 2.2, relative luminance).
    fn luminance(from: &str, name: &str) -> f64 {
        let rest = STYLE.split_once(from).unwrap().1;
        let hex = rest.split_once(&format!("--{name}: #")).unwrap().1;
        let channel = |at: usize| {
            let c = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
            if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
    }

    /// WCAG 2.2, 1.4.3 and 1.4.11: text has 4.5:1, edges of fields 3:1, in both schemes.
    #[test]
    fn everybody_can_read_it() {
        for scheme in [":root {", "prefers-color-scheme: dark"] {
            for (front, back, least) in [
                ("text", "ground", 4.5),
                ("text", "card", 4.5),
                ("quiet", "ground", 4.5),
                ("quiet", "card", 4.5),
                ("accent", "ground", 4.5),
                ("accent", "card", 4.5),
                ("on-accent", "accent", 4.5),
                ("on-accent", "accent-strong", 4.5),
                ("bad", "card", 4.5),
                ("bad", "bad-tint", 4.5),
                ("warn", "warn-tint", 4.5),
                ("good", "good-tint", 4.5),
                ("edge", "card", 3.0),
            ] {
                let (one, two) = (luminance(scheme, front), luminance(scheme, back));
                let ratio = (one.max(two) + 0.05) / (one.min(two) + 0.05);
                assert!(ratio >= least, "{scheme} {front} on {back}: {ratio:.2}");
            }
        }
    }

    #[test]
    fn a_file_is_named_by_what_is_in_it() {
        let (style, icon) = places("/t1");
        assert!(style.starts_with("/t1/assets/") && style.ends_with(".css") && icon.ends_with(".svg"));
        assert_eq!(style, format!("/t1/assets/{}.css", name(STYLE)));
        assert!(STYLE.contains("prefers-reduced-motion") && STYLE.contains(":focus-visible"));
        assert!(!STYLE.contains("@import") && !STYLE.contains("url("), "it fetches nothing");
    }
}
