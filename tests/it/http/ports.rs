//! What is the same on every port.

use rstest::rstest;
use serde_json::json;

use crate::oauth::harness::{Setup, answer, server};

/// Every error is JSON with an `error`, whatever was wrong, and nothing is kept by caches.
#[rstest]
#[case("GET", "/", 404)]
#[case("GET", "/oauth", 404)]
#[case("POST", "/livez", 405)]
#[case("GET", "/oauth/token", 405)]
#[case("POST", "/.well-known/jwks.json", 405)]
#[case("GET", "/admin/resources", 404)]
#[case("GET", "/metrics", 404)]
#[case("GET", "/..%2f..%2fetc/passwd", 404)]
#[tokio::test]
async fn an_error_is_json(#[case] method: &str, #[case] path: &str, #[case] status: u16) {
    let server = server().await;
    let request = server.http.request(method.parse().unwrap(), format!("{}{path}", server.public));
    let got = answer(request).await;
    assert_eq!(got.status, status, "{got:?}");
    assert_eq!((got.header("content-type"), got.header("cache-control")), ("application/json", "no-store"));
    assert!(!got.error().is_empty());
    assert_eq!(status == 405, !got.header("allow").is_empty());
}

/// a long URL is no reason to fall over.
#[tokio::test]
async fn a_long_url_is_answered() {
    let server = server().await;
    let got = server.get(&format!("/oauth/authorize?state={}", "x".repeat(9000))).await;
    assert!(got.status == 400 && got.text.contains("invalid_request"), "{got:?}");
}

/// Operations: `/livez` and `/ready` say one word; draining empties the Service first.
#[tokio::test]
async fn health_is_on_both_ports() {
    let server = server().await;
    for port in [&server.public, &server.admin] {
        for path in ["/livez", "/ready", "/health"] {
            let mut got = answer(server.http.get(format!("{port}{path}"))).await;
            for _ in 0..50 {
                if got.status == 200 {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                got = answer(server.http.get(format!("{port}{path}"))).await;
            }
            assert_eq!((got.status, got.json()), (200, json!({"status": "ok"})), "{path}");
        }
    }
    let verbose = answer(server.http.get(format!("{}/health?verbose", server.admin))).await;
    let checks = json!({"database": "ok", "keys": "ok", "change_feed": "ok", "leader_lease": "held"});
    assert_eq!(verbose.json(), json!({"status": "ok", "checks": checks}));
    assert_eq!(server.get("/health?verbose").await.json(), json!({"status": "ok"}), "strangers learn one word");
    server.health.drain();
    assert_eq!((server.get("/ready").await.status, server.get("/livez").await.status), (503, 200));
}

/// The request id comes back, and a bad one is replaced.
#[tokio::test]
async fn a_request_has_an_id() {
    let server = server().await;
    let with =
        |id: &str| answer(server.http.get(format!("{}/livez", server.public)).header("x-request-id", id.to_owned()));
    assert_eq!(with("abc-1.2_3").await.header("x-request-id"), "abc-1.2_3");
    let replaced = with("a b\"c").await;
    assert!(!replaced.header("x-request-id").is_empty() && replaced.header("x-request-id") != "a b\"c");
    assert_ne!(server.get("/livez").await.header("x-request-id"), server.get("/livez").await.header("x-request-id"));
}

/// Metrics lie on the admin port, and nowhere when they are off.
#[tokio::test]
async fn metrics_are_served_or_not() {
    let server = server().await;
    let got = answer(server.http.get(format!("{}/metrics", server.admin))).await;
    assert!(got.text.contains("holdfast_build_info{") && got.header("content-type").starts_with("text/plain"));
    let off = Setup { metrics: false, ..Setup::default() }.start().await;
    let got = answer(off.http.get(format!("{}/metrics", off.admin))).await;
    assert_eq!((got.status, got.error().as_str()), (404, "not_found"));
}
