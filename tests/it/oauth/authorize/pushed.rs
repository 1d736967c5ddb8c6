//! Pushed authorization requests (RFC 9126).

use rstest::rstest;
use serde_json::json;

use super::stage::{ADA, PASSWORD, Stage, asks_consent, asks_password, challenge, code, refused, request, told};
use crate::oauth::harness::{Answer, Setup, answer, secret};

const PAR: &str = "/oauth/par";

/// What a request would have in its query, with changes.
fn form(client: &str, change: &[(&str, &str)]) -> Vec<(String, String)> {
    let request = request(client, change);
    url::form_urlencoded::parse(request.split_once('?').unwrap().1.as_bytes()).into_owned().collect()
}

impl Stage {
    async fn push(&self, client: &str, change: &[(&str, &str)]) -> Answer {
        let request = self.server.http.post(format!("{}{PAR}", self.server.public)).form(&form(client, change));
        let confidential = client == "confidential";
        answer(if confidential { request.basic_auth(client, Some(secret(client))) } else { request }).await
    }

    async fn pushed(&self, client: &str, change: &[(&str, &str)]) -> String {
        let answer = self.push(client, change).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["request_uri"].as_str().unwrap().to_owned()
    }
}

fn by(client: &str, request_uri: &str) -> String {
    let pairs = [("client_id", client), ("request_uri", request_uri)];
    format!("/oauth/authorize?{}", url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
}

/// S22; N-01, N-02, N-05, N-06, N-07, N-10, R-39: a client pushes, its user goes on, once.
#[rstest]
#[case::public("app")]
#[case::with_a_secret("confidential")]
#[tokio::test]
async fn a_pushed_request_is_completed_once(#[case] client: &str) {
    let stage = Stage::set().await;
    let answer = stage.push(client, &[]).await;
    let body = answer.json();
    let uri = body["request_uri"].as_str().unwrap();
    assert!(uri.starts_with("urn:ietf:params:oauth:request_uri:hfpr_") && uri.len() > 70, "{uri}");
    assert_eq!((answer.status, &body["expires_in"]), (201, &json!(60)));
    assert_eq!((answer.header("cache-control"), answer.header("access-control-allow-origin")), ("no-store", "*"));
    assert!(!answer.text.contains("files.read") && answer.header("set-cookie").is_empty(), "N-10");

    // whoever loads it before the sign-in may load it again; what is beside it does not count
    let browser = stage.browser();
    let beside = format!("{}&scope=files.own&redirect_uri=https://evil.example/&state=evil", by(client, uri));
    assert!(asks_password(&browser.open(&beside).await));
    let page = browser.open(&by(client, uri)).await;
    let page = browser.sign_in(&page, ADA, PASSWORD).await;
    assert!(asks_consent(&page), "{}", page.html);
    let code = code(&browser.decide(&page, "allow").await);
    let token = stage.redeem(client, &code, &[("redirect_uri", "https://app.example.com/cb")]).await;
    assert_eq!((token.status, token.json()["scope"].clone()), (200, json!("files.read")), "{token:?}");
    refused(&browser.open(&by(client, uri)).await, 400, "invalid_request_uri");
    for cookie in ["browser", "session"] {
        let value = browser.cookie(cookie).unwrap();
        assert!(value.starts_with("hf") && value.len() == 48, "N-10: {cookie}");
    }
}

/// N-06: two tabs on one pushed request: one is completed.
#[tokio::test]
async fn two_tabs_share_one_pushed_request() {
    let stage = Stage::set().await;
    let browser = stage.signed_in(ADA).await;
    let uri = stage.pushed("app", &[]).await;
    let (first, second) = (browser.open(&by("app", &uri)).await, browser.open(&by("app", &uri)).await);
    code(&browser.decide(&first, "allow").await);
    refused(&browser.decide(&second, "allow").await, 400, "invalid_request_uri");
    let uri = stage.pushed("app", &[]).await;
    let page = browser.open(&by("app", &uri)).await;
    // consent is there by now, so that the request itself is answered
    code(&page);
    refused(&browser.open(&by("app", &uri)).await, 400, "invalid_request_uri");
    let uri = stage.pushed("app", &[("prompt", "consent")]).await;
    let page = browser.open(&by("app", &uri)).await;
    told(&browser.decide(&page, "deny").await, "access_denied");
    refused(&browser.open(&by("app", &uri)).await, 400, "invalid_request_uri");
}

/// N-05, N-06, N-11, R-20
#[tokio::test]
async fn a_request_uri_is_one_of_ours_and_of_this_client() {
    let stage = Stage::set().await;
    let browser = stage.signed_in(ADA).await;
    let uri = stage.pushed("quiet", &[]).await;
    for other in ["app", "dcr_site", "nobody"] {
        refused(&browser.open(&by(other, &uri)).await, 400, "invalid_request_uri");
    }
    let changed = uri.replace("hfpr_", "hfpr_x").chars().take(uri.len()).collect::<String>();
    let page = browser.open(&by("quiet", &changed)).await;
    assert!(page.status == 400 && page.location().is_none(), "{}", page.html);
    for foreign in
        ["https://app.example.com/request.jwt", "urn:ietf:params:oauth:request_uri:x", "hftx_x", "file:///etc/passwd"]
    {
        refused(&browser.open(&by("quiet", foreign)).await, 400, "request_uri_not_supported");
    }
    let both = browser.open(&format!("{}&request=x", by("quiet", &uri))).await;
    assert_eq!(both.returned("error").as_deref(), Some("invalid_request"));
    stage.server.clock.advance(59);
    let page = browser.open(&by("quiet", &uri)).await;
    assert!(page.location().is_some(), "{}", page.html);
    let uri = stage.pushed("quiet", &[]).await;
    stage.server.clock.advance(60);
    refused(&browser.open(&by("quiet", &uri)).await, 400, "invalid_request_uri");
    assert_eq!(stage.rows("authorization_code").await, 1);
}

/// N-06: whoever takes longer to sign in than a pushed request lives loses nothing.
#[tokio::test]
async fn a_slow_user_may_finish() {
    let stage = Stage::set().await;
    let browser = stage.browser();
    let uri = stage.pushed("app", &[]).await;
    let page = browser.open(&by("app", &uri)).await;
    stage.server.clock.advance(300);
    let page = browser.sign_in(&page, ADA, PASSWORD).await;
    code(&browser.decide(&page, "allow").await);
}

/// N-02, N-03, N-04, N-11: everything is refused here that would be refused there, and nothing is kept.
#[rstest]
#[case::request_uri("app", &[("request_uri", "urn:ietf:params:oauth:request_uri:x")], 400, "invalid_request")]
#[case::object("app", &[("request", "eyJ.e30.")], 400, "request_not_supported")]
#[case::redirect("app", &[("redirect_uri", "https://app.example.com/cb/")], 400, "invalid_request")]
#[case::no_redirect("app", &[("redirect_uri", "")], 400, "invalid_request")]
#[case::kind("app", &[("response_type", "token")], 400, "unsupported_response_type")]
#[case::challenge("app", &[("code_challenge", "")], 400, "invalid_request")]
#[case::plain("app", &[("code_challenge_method", "plain")], 400, "invalid_request")]
#[case::scope("app", &[("scope", "nonsense")], 400, "invalid_scope")]
#[case::resource("app", &[("resource", "https://elsewhere.example")], 400, "invalid_target")]
#[case::details("app", &[("authorization_details", "[]")], 400, "invalid_authorization_details")]
#[case::machine("machine", &[], 401, "invalid_client")]
#[case::nobody("nobody", &[], 401, "invalid_client")]
#[case::suspended("asleep", &[], 400, "unauthorized_client")]
#[tokio::test]
async fn what_cannot_be_asked_cannot_be_pushed(
    #[case] client: &str,
    #[case] change: &[(&str, &str)],
    #[case] status: u16,
    #[case] code: &str,
) {
    let stage = Stage::set().await;
    let answer = stage.push(client, change).await;
    assert_eq!((answer.status, answer.error().as_str()), (status, code), "{answer:?}");
    assert_eq!((stage.rows("authorization_request").await, answer.header("cache-control")), (0, "no-store"));
}

/// N-02, N-08
#[tokio::test]
async fn the_endpoint_takes_forms_of_clients_that_authenticate() {
    let stage = Stage::set().await;
    let url = format!("{}{PAR}", stage.server.public);
    let http = &stage.server.http;
    let get = answer(http.get(&url)).await;
    assert_eq!((get.status, get.header("allow")), (405, "POST"));
    let without = answer(http.post(&url).form(&form("confidential", &[]))).await;
    assert_eq!((without.status, without.error().as_str()), (401, "invalid_client"));
    let wrong = answer(http.post(&url).basic_auth("confidential", Some("x")).form(&form("confidential", &[]))).await;
    assert_eq!((wrong.status, wrong.error().as_str()), (401, "invalid_client"));
    let other = http.post(&url).basic_auth("confidential", Some(secret("confidential"))).form(&form("app", &[]));
    assert_eq!(answer(other).await.status, 401);
    let json = answer(http.post(&url).json(&json!({"client_id": "app"}))).await;
    assert_eq!((json.status, json.error().as_str()), (400, "invalid_request"));
    let large = answer(http.post(&url).form(&[("client_id", "app"), ("state", &"x".repeat(70_000))])).await;
    assert_eq!(large.status, 413);
    let twice = format!("client_id=app&scope=a&scope=b&code_challenge={}", challenge());
    assert_eq!(stage.server.post(PAR, None, &twice).await.error(), "invalid_request");
}

/// N-04: what has changed since counts.
#[tokio::test]
async fn policy_is_looked_at_twice() {
    let stage = Stage::set().await;
    let browser = stage.signed_in(ADA).await;
    let uri = stage.pushed("quiet", &[]).await;
    let change = json!({"consent": "Implicit", "redirectURIs": ["https://app.example.com/new"]});
    stage.server.put("quiet", &super::stage::app(change)).await;
    stage.server.store.refresh().await.unwrap();
    refused(&browser.open(&by("quiet", &uri)).await, 400, "invalid_request");
}

/// N-09
#[tokio::test]
async fn who_has_to_push_has_to_push() {
    let pushed = holdfast::oauth::PushedRules { required_of: ["quiet".to_owned()].into(), ..Default::default() };
    let stage = Stage::on(Setup { pushed, ..Setup::default() }).await;
    let browser = stage.signed_in(ADA).await;
    told(&browser.open(&request("quiet", &[])).await, "invalid_request");
    assert!(asks_consent(&browser.open(&request("app", &[])).await));
    let uri = stage.pushed("quiet", &[]).await;
    code(&browser.open(&by("quiet", &uri)).await);
    let pushed = holdfast::oauth::PushedRules { required: true, ..Default::default() };
    let stage = Stage::on(Setup { pushed, ..Setup::default() }).await;
    let browser = stage.signed_in(ADA).await;
    told(&browser.open(&request("app", &[])).await, "invalid_request");
    refused(&browser.open(&request("dcr_site", &[])).await, 400, "invalid_request");
    let metadata = stage.server.get("/.well-known/oauth-authorization-server").await.json();
    assert_eq!(metadata["require_pushed_authorization_requests"], true);
}
