//! Limits of requests: whose budget is spent, what the answer is, and that no header of a stranger counts.

use holdfast::http::Sources;
use holdfast::metrics::Endpoint;
use holdfast::oauth::ClientLimits;
use reqwest::RequestBuilder;
use serde_json::json;

use crate::oauth::harness::{Answer, BILLING, ISSUER, Server, Setup, answer, client, secret};
use crate::oauth::person::{CALLBACK, authorized};
use crate::store::engine::Engine;

const FORM: [(&str, &str); 2] = [("grant_type", "client_credentials"), ("resource", BILLING)];

/// What every 429 has in common.
fn is_throttled(answer: &Answer) -> bool {
    if answer.status != 429 {
        return false;
    }
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.error(), "temporarily_unavailable");
    true
}

/// S21: a client that has authenticated spends its own budget at each endpoint, whatever its address.
#[tokio::test]
async fn a_client_spends_its_own_budget_at_each_endpoint() {
    let limits = ClientLimits { token: 2, introspect: 1, revoke: 1, ..ClientLimits::default() };
    let server = Setup { limits, ..Setup::default() }.start().await;
    for _ in 0..2 {
        server.token("reporter", BILLING).await;
    }
    let before = server.tokens().await;
    assert!(is_throttled(&server.post_as("reporter", "/oauth/token", &FORM).await));
    assert_eq!(server.tokens().await, before, "nothing was issued");
    let token = server.token("another", BILLING).await;
    for path in ["/oauth/introspect", "/oauth/revoke"] {
        assert_eq!(server.post_as("another", path, &[("token", "x")]).await.status, 200, "{path}");
        assert!(is_throttled(&server.post_as("another", path, &[("token", token.as_str())]).await), "{path}");
    }
    // a stranger with a client's id spends nothing of it
    let server = Setup { limits: ClientLimits { token: 1, ..limits }, ..Setup::default() }.start().await;
    for _ in 0..3 {
        let wrong = server.http.post(format!("{}/oauth/token", server.public)).basic_auth("reporter", Some("wrong"));
        assert_eq!(answer(wrong.form(&FORM)).await.status, 401);
    }
    server.token("reporter", BILLING).await;
    for line in ["endpoint=\"token\"} 0", "endpoint=\"introspect\"} 0"] {
        assert!(server.metric(&format!("holdfast_rate_limit_exceeded_total{{{line}")), "{line}");
    }
    assert!(is_throttled(&server.post_as("reporter", "/oauth/token", &FORM).await));
    assert!(server.metric("holdfast_rate_limit_exceeded_total{endpoint=\"token\"} 1"));
}

/// N-08, S21: a flood of pushed requests, or of devices, is told to wait and leaves nothing behind.
#[tokio::test]
async fn a_flood_of_pushed_requests_leaves_nothing() {
    let fresh = Engine::Sqlite.fresh().await;
    let limits = ClientLimits { par: 1, device: 1, ..ClientLimits::default() };
    let server = Setup { limits, url: Some(fresh.url.clone()), ..Setup::default() }.start().await;
    let device = json!({"grantTypes": ["authorization_code", "device_code"], "redirectURIs": [CALLBACK],
        "authenticationMethod": "ClientSecretBasic"});
    server.put("portal", &client(device)).await;
    server.store.refresh().await.unwrap();
    let challenge = authorized("portal").code_challenge;
    let form = [
        ("response_type", "code"),
        ("redirect_uri", CALLBACK),
        ("code_challenge", &*challenge),
        ("code_challenge_method", "S256"),
    ];
    for (path, form, status, table) in [
        ("/oauth/par", &form[..], 201, "authorization_request"),
        ("/oauth/device_authorization", &[], 200, "device_authorization"),
    ] {
        let first = server.post_as("portal", path, form).await;
        assert_eq!(first.status, status, "{first:?}");
        for _ in 0..10 {
            assert!(is_throttled(&server.post_as("portal", path, form).await), "{path}");
        }
        assert_eq!(fresh.number(&format!("SELECT count(*) FROM {table}")).await, 1);
    }
    assert!(server.metric("holdfast_rate_limit_exceeded_total{endpoint=\"par\"} 10"));
}

async fn limited(trusted: &[&str]) -> Server {
    let trusted_proxies = trusted.iter().map(|net| net.parse().unwrap()).collect();
    let sources = Sources { trusted_proxies, per_minute: vec![(Endpoint::Authorize, 2), (Endpoint::Admin, 2)] };
    Setup { sources, ..Setup::default() }.start().await
}

fn authorize(server: &Server, forwarded: Option<&str>) -> RequestBuilder {
    let request = server.http.get(format!("{}/oauth/authorize", server.public));
    forwarded.map_or(request.try_clone().unwrap(), |source| request.header("x-forwarded-for", source))
}

/// S21, R-59: without a trusted proxy a header buys nobody a new budget.
#[tokio::test]
async fn a_forged_source_buys_nothing() {
    let server = limited(&[]).await;
    for source in ["198.51.100.1", "198.51.100.2"] {
        assert_ne!(answer(authorize(&server, Some(source))).await.status, 429);
    }
    assert_eq!(answer(authorize(&server, Some("198.51.100.3"))).await.status, 429);
    assert!(server.metric("holdfast_rate_limit_exceeded_total{endpoint=\"authorize\"} 1"));
    // other endpoints go on
    server.token("reporter", BILLING).await;
}

/// S21: behind a trusted proxy each source has its own budget, and so has the admin port.
#[tokio::test]
async fn behind_a_trusted_proxy_each_source_has_its_own() {
    let server = limited(&["127.0.0.0/8"]).await;
    for source in ["198.51.100.1", "198.51.100.2", "1.1.1.1, 198.51.100.3"] {
        for _ in 0..2 {
            assert_ne!(answer(authorize(&server, Some(source))).await.status, 429, "{source}");
        }
        assert_eq!(answer(authorize(&server, Some(source))).await.status, 429, "{source}");
    }
    assert_eq!(answer(authorize(&server, Some("9.9.9.9, 198.51.100.3"))).await.status, 429, "only the last hop counts");
    let list = || server.http.get(format!("{}/admin/resources", server.admin)).bearer_auth(secret("vera"));
    for _ in 0..2 {
        assert_eq!(answer(list()).await.status, 200);
    }
    assert!(is_throttled(&answer(list()).await));
    assert_eq!(answer(list().header("x-forwarded-for", "198.51.100.9")).await.status, 200);
}

/// G-01, R-59: no header, not even of a trusted proxy, changes who we say we are.
#[tokio::test]
async fn no_header_changes_the_issuer() {
    let server = limited(&["127.0.0.0/8"]).await;
    let plain = server.get("/.well-known/oauth-authorization-server").await.text;
    assert!(plain.contains(ISSUER));
    for (name, value) in [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-prefix", "/evil"),
        ("x-forwarded-port", "666"),
        ("forwarded", "for=1.2.3.4;host=evil.example;proto=http"),
        ("x-original-url", "/evil"),
        ("x-rewrite-url", "/evil"),
    ] {
        let get = |path: &str| server.http.get(format!("{}{path}", server.public)).header(name, value);
        for path in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
            assert_eq!(answer(get(path)).await.text, plain, "{name}");
        }
        let request = server.http.post(format!("{}/oauth/token", server.public)).header(name, value);
        let issued = answer(request.basic_auth("reporter", Some(secret("reporter"))).form(&FORM)).await;
        assert_eq!(issued.status, 200, "{name}");
        let token = issued.json()["access_token"].as_str().unwrap().to_owned();
        assert_eq!(server.introspect("reporter", &token).await["iss"], ISSUER);
        let headers = format!("{:?}", answer(authorize(&server, None).header(name, value)).await.headers);
        assert!(!headers.contains("evil"), "{headers}");
    }
}
