//! From a link to a token and back: what people and clients see when all is well.

use rstest::rstest;
use serde_json::json;

use super::stage::{ADA, BOB, FILES, PASSWORD, Stage, asks_consent, asks_password, code, request, told};
use crate::oauth::harness::{ISSUER, Setup, answer};
use crate::oauth::token::claims;
use crate::store::engine::Engine;

/// S1; M-01, M-05, M-11, M-13, A-12, A-13, A-16
#[rstest]
#[case::sqlite(Engine::Sqlite)]
#[case::postgres(Engine::Postgres)]
#[tokio::test]
async fn a_user_signs_in_consents_and_the_client_gets_its_token(#[case] engine: Engine) {
    let fresh = engine.fresh().await;
    let stage = Stage::on(Setup { url: Some(fresh.url.clone()), ..Setup::default() }).await;
    let browser = stage.browser();
    let page = browser.open(&request("app", &[("scope", "files.read files.write unknown")])).await;
    assert!(asks_password(&page), "{}", page.html);
    let page = browser.sign_in(&page, ADA, PASSWORD).await;
    assert!(asks_consent(&page), "{}", page.html);
    let text = page.text();
    for shown in ["Web App", "Files", "app.example.com", "To files.read", "To files.write", FILES, "while you are away"]
    {
        assert!(text.contains(shown), "{shown} is not in\n{text}");
    }
    let answer = browser.decide(&page, "allow").await;
    assert!(answer.location().unwrap().starts_with("https://app.example.com/cb?code=hfac_"), "{answer:?}");
    let code = code(&answer);

    let token = stage.redeem("app", &code, &[("redirect_uri", "https://app.example.com/cb")]).await;
    assert_eq!(token.status, 200, "{token:?}");
    let token = token.json();
    assert_eq!((&token["scope"], &token["token_type"]), (&json!("files.read files.write"), &json!("Bearer")));
    let claims = claims(&stage.server, token["access_token"].as_str().unwrap(), FILES).await;
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!(stage.ada), &json!("app")));
    assert!(claims["auth_time"].is_i64());

    // agreed to once: the next time, and for less, nobody is asked
    for scope in ["files.read files.write", "files.read"] {
        let again = browser.open(&request("app", &[("scope", scope)])).await;
        super::stage::code(&again);
    }
    // whoever comes with no role is given the default one, as a row, once
    let bob = stage.signed_in(BOB).await;
    let page = bob.open(&request("app", &[("scope", "")])).await;
    assert!(asks_consent(&page) && !page.text().contains("To files.write"), "{}", page.text());
    super::stage::code(&bob.decide(&page, "allow").await);
    super::stage::code(&bob.open(&request("app", &[("scope", "files.read")])).await);
    assert_eq!(
        stage.number("SELECT count(*) FROM role_assignment WHERE role = 'reader' AND origin = 'default'").await,
        1
    );
    assert_eq!(stage.rows("consent").await, 2);
    assert!(stage.server.metric(r#"holdfast_consent_decisions_total{decision="granted",flow="authorization_code"} 2"#));
    assert!(stage.server.metric(r#"holdfast_authorize_requests_total{outcome="success"}"#));
}

/// A-07: a request by POST is the same request.
#[tokio::test]
async fn a_request_may_be_posted() {
    let stage = Stage::set().await;
    let browser = stage.signed_in(ADA).await;
    let query = request("app", &[]);
    let (path, query) = query.split_once('?').unwrap();
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let page = browser.post(path, &fields).await;
    assert!(asks_consent(&page), "{}", page.html);
    let large = "x".repeat(70_000);
    assert_eq!(browser.send(path, &[("client_id", "app"), ("state", &large)]).await.status, 413);
    let form = [("x", large.as_str())];
    assert_eq!(browser.send(path, &form[..0]).await.status, 303);
}

/// A-07, A-11: state comes back byte for byte, a long one too.
#[tokio::test]
async fn state_comes_back_as_it_was() {
    let stage = Stage::set().await;
    let browser = stage.signed_in(ADA).await;
    let long = "s%20 é".repeat(600);
    for state in ["a b+c%20&d=é/?#\"'<>", "%", "=&=", long.as_str()] {
        let page = browser.open(&request("quiet", &[("state", state)])).await;
        assert_eq!(page.returned("state").as_deref(), Some(state));
        let page = browser.open(&request("quiet", &[("state", state), ("response_type", "token")])).await;
        assert_eq!(
            (page.returned("state").as_deref(), page.returned("error").as_deref()),
            (Some(state), Some("unsupported_response_type"))
        );
    }
    let page = browser.open(&request("quiet", &[("state", "")])).await;
    assert!(page.returned("code").is_some() && page.returned("state").is_none());
}

/// A-04, A-12, R-36: what is registered is kept as it is; `iss` is there once, in success and in error.
#[tokio::test]
async fn a_registered_query_is_kept() {
    let stage = Stage::set().await;
    let browser = stage.signed_in(ADA).await;
    let with_query = [("redirect_uri", "https://app.example.com/cb?a=%2f&b")];
    let page = browser.open(&request("app", &with_query)).await;
    let answer = browser.decide(&page, "allow").await;
    assert!(answer.location().unwrap().starts_with("https://app.example.com/cb?a=%2f&b&code="), "{answer:?}");
    let error = browser.open(&request("app", &[with_query[0], ("response_type", "none")])).await;
    assert!(error.location().unwrap().starts_with("https://app.example.com/cb?a=%2f&b&error="), "{error:?}");
    assert_eq!(error.returned("iss").as_deref(), Some(ISSUER));
}

/// A-02: any port of the user's own machine.
#[tokio::test]
async fn loopback_may_listen_anywhere() {
    let stage = Stage::set().await;
    let browser = stage.signed_in(ADA).await;
    let page = browser.open(&request("dcr_tool", &[("redirect_uri", "http://127.0.0.1:4711/cb")])).await;
    assert!(page.text().contains("any program can call itself Tool"), "{}", page.text());
    assert!(page.header("content-security-policy").contains("http://127.0.0.1:4711"), "{page:?}");
    let answer = browser.decide(&page, "allow").await;
    assert!(answer.location().unwrap().starts_with("http://127.0.0.1:4711/cb?code="), "{answer:?}");
}

/// M-16, A-10, M-15, M-17
#[tokio::test]
async fn scopes_and_resources_are_read_with_sense() {
    let stage = Stage::set().await;
    let browser = stage.signed_in(ADA).await;
    let granted = async |client: &str, change: &[(&str, &str)]| {
        let page = browser.open(&request(client, change)).await;
        let token = stage.redeem(client, &code(&page), &[("redirect_uri", "https://app.example.com/cb")]).await;
        assert_eq!(token.status, 200, "{token:?}");
        token.json()["scope"].as_str().unwrap().to_owned()
    };
    assert_eq!(granted("quiet", &[("scope", "")]).await, "files.read files.write", "all that is attached");
    assert_eq!(granted("quiet", &[("scope", "offline_access")]).await, "files.read files.write");
    assert_eq!(granted("quiet", &[("scope", "files.read offline_access nonsense")]).await, "files.read");
    assert_eq!(granted("quiet", &[("resource", "")]).await, "files.read", "the only one attached");
    assert_eq!(granted("quiet", &[("resource", "HTTPS://FILES.example.com:443/mcp")]).await, "files.read");
    let metadata = stage.server.get("/.well-known/oauth-authorization-server").await.json();
    assert!(metadata["scopes_supported"].as_array().unwrap().contains(&json!("offline_access")));
}

/// Implicit consent, where client and resource both say so and nobody else.
#[tokio::test]
async fn nobody_is_asked_where_both_sides_say_so() {
    let stage = Stage::set().await;
    let browser = stage.signed_in(ADA).await;
    code(&browser.open(&request("quiet", &[])).await);
    assert_eq!(stage.rows("consent").await, 0);
    assert!(
        stage.server.metric(r#"holdfast_consent_decisions_total{decision="implicit",flow="authorization_code"} 1"#)
    );
    assert!(asks_consent(&browser.open(&request("quiet", &[("prompt", "consent")])).await));
    stage.server.put("rs_files", &super::stage::files(json!({"consent": "Required"}))).await;
    stage.server.store.refresh().await.unwrap();
    assert!(asks_consent(&browser.open(&request("quiet", &[])).await));
    told(&browser.open(&request("quiet", &[("prompt", "none")])).await, "consent_required");
}

/// M-18: clients that know no metadata find the endpoints at the origin, where the issuer has no path.
#[tokio::test]
async fn clients_without_metadata_find_their_way() {
    let stage = Stage::set().await;
    let browser = stage.signed_in(ADA).await;
    let page = browser.open(&request("quiet", &[]).replace("/oauth/authorize", "/authorize")).await;
    let form =
        [("grant_type", "authorization_code"), ("client_id", "quiet"), ("code_verifier", super::stage::VERIFIER)];
    let back = ("redirect_uri", "https://app.example.com/cb");
    let code = code(&page);
    let request = stage.server.http.post(format!("{}/token", stage.server.public));
    let token = answer(request.form(&[&form[..], &[("code", &code), back]].concat())).await;
    assert_eq!(token.status, 200, "{token:?}");
    assert_eq!(stage.server.post("/register", None, "").await.error(), "invalid_client_metadata");
    let below = Setup { issuer: "https://h.example/t1".to_owned(), ..Setup::default() }.start().await;
    for path in ["/authorize", "/token", "/register"] {
        assert_eq!(below.get(path).await.status, 404, "{path}");
    }
}
