//! Client authentication at the token endpoint, row by row.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::harness::{Server, Setup, answer, secret, server};

fn basic(text: &str) -> Option<String> {
    Some(format!("Basic {}", STANDARD.encode(text)))
}

struct Row(&'static str, Option<String>, String, u16, &'static str);

fn rows() -> Vec<Row> {
    let good = basic(&format!("reporter:{}", secret("reporter")));
    let ask = "grant_type=client_credentials";
    let post = |id: &str| format!("{ask}&client_id={id}&client_secret={}", secret(id));
    let encoded = |text: &str| text.replace('+', "%2B");
    vec![
        Row("basic", good.clone(), ask.into(), 200, ""),
        Row("the scheme in any case", good.clone().map(|g| g.replace("Basic", "bAsIC")), ask.into(), 200, ""),
        Row("basic and its own id in the body", good.clone(), format!("{ask}&client_id=reporter"), 200, ""),
        Row("basic and another id", good.clone(), format!("{ask}&client_id=another"), 401, "invalid_client"),
        Row("basic and a secret in the body", good.clone(), post("reporter"), 400, "invalid_request"),
        Row("an assertion too", good.clone(), format!("{ask}&client_assertion=x"), 400, "invalid_request"),
        Row("post", None, post("poster"), 200, ""),
        Row("a basic client by post", None, post("reporter"), 401, "invalid_client"),
        Row(
            "a post client by basic",
            basic(&format!("poster:{}", secret("poster"))),
            ask.into(),
            401,
            "invalid_client",
        ),
        Row("no secret", None, format!("{ask}&client_id=reporter"), 401, "invalid_client"),
        Row("an empty secret", None, format!("{ask}&client_id=reporter&client_secret="), 401, "invalid_client"),
        Row("nothing", None, ask.into(), 401, "invalid_client"),
        Row("a wrong secret", basic("reporter:wrong"), ask.into(), 401, "invalid_client"),
        Row("a wrong secret by post", None, format!("{ask}&client_id=poster&client_secret=no"), 401, "invalid_client"),
        Row("an unknown client", basic("nobody:wrong"), ask.into(), 401, "invalid_client"),
        Row("no colon", basic("reporter"), ask.into(), 401, "invalid_client"),
        Row("not base64", Some("Basic ***".into()), ask.into(), 401, "invalid_client"),
        Row("not UTF-8", Some("Basic //8=".into()), ask.into(), 401, "invalid_client"),
        Row("a NUL in the id", basic("rep\0orter:x"), ask.into(), 401, "invalid_client"),
        Row("bearer", Some("Bearer abc".into()), ask.into(), 401, "invalid_client"),
        Row("an assertion", None, format!("{ask}&client_id=keyed&client_assertion=x"), 401, "invalid_client"),
        Row("a key client with nothing", None, format!("{ask}&client_id=keyed"), 401, "invalid_client"),
        Row("a public client", None, format!("{ask}&client_id=public"), 400, "unauthorized_client"),
        Row(
            "a public client with a secret",
            None,
            format!("{ask}&client_id=public&client_secret=x"),
            401,
            "invalid_client",
        ),
        Row("encoded as the RFC says", basic(&encoded(&format!("odd+id:{}", secret("odd+id")))), ask.into(), 200, ""),
        Row("raw", basic(&format!("odd+id:{}", secret("odd+id"))), ask.into(), 200, ""),
        Row(
            "a resource server",
            basic(&format!("rs_billing:{}", secret("rs_billing"))),
            ask.into(),
            401,
            "invalid_client",
        ),
    ]
}

/// B-04, B-05, B-06, B-07, B-08, CC-03, RC-6
#[tokio::test]
async fn who_sends_a_request_is_proved_in_one_way() {
    let server = server().await;
    for Row(name, authorization, body, status, error) in rows() {
        let before = server.tokens().await;
        let answer = server.post("/oauth/token", authorization.as_deref(), &body).await;
        assert_eq!((answer.status, answer.error().as_str()), (status, error), "{name}: {answer:?}");
        assert_eq!(answer.header("cache-control"), "no-store", "{name}");
        assert_eq!(answer.header("content-type"), "application/json", "{name}");
        assert_eq!(answer.header("www-authenticate").starts_with("Basic"), status == 401, "{name}");
        assert_eq!(server.tokens().await - before, i64::from(status == 200), "{name}");
        assert!(!answer.text.contains("null"), "{name}");
    }
}

/// B-07: the same bytes for a wrong secret and for a client that does not exist.
#[tokio::test]
async fn a_stranger_cannot_tell_an_unknown_client_from_a_wrong_secret() {
    let server = server().await;
    let ask = "grant_type=client_credentials";
    let wrong = server.post("/oauth/token", basic("reporter:wrong").as_deref(), ask).await;
    let unknown = server.post("/oauth/token", basic("nobody:wrong").as_deref(), ask).await;
    let by_post = format!("{ask}&client_id=reporter&client_secret={}", secret("reporter"));
    let method = server.post("/oauth/token", None, &by_post);
    assert_eq!((wrong.status, &wrong.text), (unknown.status, &unknown.text));
    assert_eq!(method.await.text, wrong.text);
    let names = |answer: &super::harness::Answer| {
        let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    };
    assert_eq!(names(&wrong), names(&unknown));
}

/// Mechanics §12: over the limit it is 429 with when to come back, never `invalid_client`; the right secret still works.
#[tokio::test]
async fn guessing_is_limited_and_the_right_secret_is_not() {
    let server = Setup { failures_per_minute: 3, ..Setup::default() }.start().await;
    let guess = || server.post("/oauth/token", None, "grant_type=client_credentials&client_id=a&client_secret=b");
    for _ in 0..3 {
        assert_eq!(guess().await.error(), "invalid_client");
    }
    let limited = guess().await;
    assert_eq!((limited.status, limited.error().as_str()), (429, "temporarily_unavailable"), "{limited:?}");
    assert!(limited.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert!(server.metric("holdfast_rate_limit_exceeded_total{endpoint=\"token\"} 1"));
    server.token("reporter", "").await;
}

/// Mechanics §12: what memory does not know yet is looked up before it is refused.
#[tokio::test]
async fn a_secret_that_is_newer_than_the_snapshot_works_at_once() {
    let server = server().await;
    let fresh = "a-brand-new-secret-0123456789-0123456789";
    let mut tx = server.store.write(&holdfast::domain::Actor::controller()).await.unwrap();
    tx.put_credential("reporter", &super::harness::credential("new", fresh)).await.unwrap();
    tx.put("newcomer", &super::harness::client(serde_json::json!({})), None, super::harness::now()).await.unwrap();
    tx.put_credential("newcomer", &super::harness::credential("first", fresh)).await.unwrap();
    tx.commit().await.unwrap();
    for id in ["reporter", "newcomer"] {
        let authorization = basic(&format!("{id}:{fresh}"));
        let got = server.post("/oauth/token", authorization.as_deref(), "grant_type=client_credentials").await;
        assert_eq!(got.status, 200, "{id}");
    }
}

/// K5: an old secret ends when its overlap does.
#[tokio::test]
async fn a_retired_secret_ends_on_time() {
    let server = server().await;
    let mut old = super::harness::credential("cred-reporter", &secret("reporter"));
    old.retire_at = Some(super::harness::now() + jiff::SignedDuration::from_secs(60));
    let mut tx = server.store.write(&holdfast::domain::Actor::controller()).await.unwrap();
    tx.put_credential("reporter", &old).await.unwrap();
    tx.commit().await.unwrap();
    server.store.refresh().await.unwrap();
    server.token("reporter", "").await;
    server.clock.advance(61);
    let late = server.post_as("reporter", "/oauth/token", &[("grant_type", "client_credentials")]).await;
    assert_eq!(late.error(), "invalid_client");
}

/// B-01, B-02, B-03, A-06, Y-07: what is not a proper request is refused as JSON, before anything happens.
#[tokio::test]
async fn a_request_that_is_not_a_proper_form_is_refused() {
    let server = server().await;
    let url = format!("{}/oauth/token", server.public);
    let request = |kind: Option<&str>, body: &str| {
        let request = server.http.post(&url).basic_auth("reporter", Some(secret("reporter"))).body(body.to_owned());
        kind.map_or(request.try_clone().unwrap(), |kind| request.header("content-type", kind))
    };
    let form = "application/x-www-form-urlencoded";
    let ask = "grant_type=client_credentials";
    let big = format!("{ask}&x={}", "y".repeat(70_000));
    let many = format!("{ask}{}", (0..200).map(|i| format!("&p{i}=1")).collect::<String>());
    for (name, kind, body, status) in [
        ("with a charset", Some("application/x-www-form-urlencoded; charset=UTF-8"), ask, 200),
        ("json", Some("application/json"), "{\"grant_type\":\"client_credentials\"}", 400),
        ("two types", Some("application/json, application/x-www-form-urlencoded"), ask, 400),
        ("no type", None, ask, 400),
        ("garbage type", Some("///"), ask, 400),
        ("bad escape", Some(form), "grant_type=%zz", 400),
        ("not UTF-8", Some(form), "grant_type=%ff", 400),
        ("twice", Some(form), "grant_type=client_credentials&grant_type=client_credentials", 400),
        ("scope twice", Some(form), "grant_type=client_credentials&scope=a&scope=b", 400),
        ("empty", Some(form), "", 400),
        ("no value", Some(form), "grant_type=", 400),
        ("too large", Some(form), big.as_str(), 413),
        ("too many parameters", Some(form), many.as_str(), 400),
    ] {
        let before = server.tokens().await;
        let got = answer(request(kind, body)).await;
        assert_eq!(got.status, status, "{name}: {got:?}");
        assert_eq!(server.tokens().await - before, i64::from(status == 200), "{name}");
        if status != 200 {
            assert_eq!(got.error(), "invalid_request", "{name}");
        }
    }
    in_the_query(&server).await;
}

async fn in_the_query(server: &Server) {
    let query =
        format!("/oauth/token?grant_type=client_credentials&client_id=poster&client_secret={}", secret("poster"));
    let got = server.post(&query, None, "").await;
    assert!(got.status == 400 || got.status == 401, "{got:?}");
    for method in ["GET", "PUT", "HEAD", "DELETE", "PATCH"] {
        let request = server.http.request(method.parse().unwrap(), format!("{}/oauth/token", server.public));
        let got = answer(request).await;
        assert_eq!((got.status, got.header("allow")), (405, "POST"), "{method}");
        if method != "HEAD" {
            assert_eq!(got.error(), "invalid_request", "{method}");
        }
    }
}
