//! Clients that nobody applied, from the link to the refresh token, and what happens when their web server is away.

use std::sync::Arc;

use holdfast::oauth::{DocumentOptions, DynamicParts, Verdict};
use serde_json::{Value, json};

use super::stage::{ADA, FILES, Stage, asks_consent, code, refused, request};
use crate::oauth::harness::{Answer, Setup, answer};
use crate::support::elsewhere::{Elsewhere, Names, Page};

async fn stage(elsewhere: &Elsewhere, change: impl FnOnce(&mut DocumentOptions)) -> Stage {
    let mut dynamic = DynamicParts { outbound: elsewhere.outbound(Arc::<Names>::default()), ..DynamicParts::default() };
    change(&mut dynamic.documents);
    Stage::on(Setup { dynamic, ..Setup::default() }).await
}

fn document(id: &str, change: Value) -> Page {
    let mut body = json!({
        "client_id": id, "client_name": "A tool", "logo_uri": "https://app.example/logo.png",
        "redirect_uris": ["https://app.example/cb", "http://127.0.0.1/cb"],
    });
    change.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
    Page::json(&body.to_string())
}

async fn refresh(stage: &Stage, id: &str, token: &str) -> Answer {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", id)];
    answer(stage.server.http.post(format!("{}/oauth/token", stage.server.public)).form(&form)).await
}

/// S6, CI-14, CI-15, CI-16, M-11: a document is enough; its outage logs nobody out, and begins nothing new.
#[tokio::test]
async fn a_document_is_enough_to_be_authorized() {
    let elsewhere = Elsewhere::start().await;
    let stage = stage(&elsewhere, |options| {
        options.last_good = jiff::SignedDuration::from_hours(1);
        options.domains.others = Verdict::Warned;
    })
    .await;
    let id = elsewhere.url("app.example", "/client.json");
    elsewhere.put("/client.json", document(&id, json!({})));
    let browser = stage.signed_in(ADA).await;
    let here = [("redirect_uri", "https://app.example/cb")];
    let page = browser.open(&request(&id, &here)).await;
    assert!(asks_consent(&page), "{}", page.html);
    let text = page.text();
    for shown in ["A tool", "app.example", "You will be sent to", "Nobody here knows"] {
        assert!(text.contains(shown), "{shown} is not in\n{text}");
    }
    assert!(!page.html.contains("logo.png") && elsewhere.requests().len() == 1, "no logo is fetched or shown");
    let code = code(&browser.decide(&page, "allow").await);
    let token = stage.redeem(&id, &code, &[("resource", FILES)]).await;
    assert_eq!(token.status, 200, "{token:?}");
    let first = token.json()["refresh_token"].as_str().unwrap().to_owned();

    // agreed to once, but not under another name
    super::stage::code(&browser.open(&request(&id, &here)).await);
    stage.server.clock.advance(301);
    elsewhere.put("/client.json", document(&id, json!({"client_name": "Your Bank"})));
    let page = browser.open(&request(&id, &here)).await;
    assert!(asks_consent(&page) && page.text().contains("Your Bank"), "{}", page.text());

    // CI-14: away for a while
    stage.server.clock.advance(301);
    elsewhere.put("/client.json", Page::raw("503 X\r\ncontent-length: 0", b""));
    let refreshed = refresh(&stage, &id, &first).await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    let second = refreshed.json()["refresh_token"].as_str().unwrap().to_owned();
    refused(&browser.open(&request(&id, &here)).await, 400, "invalid_client");
    // and for too long
    stage.server.clock.advance(3600);
    let late = refresh(&stage, &id, &second).await;
    assert_eq!((late.status, late.error().as_str()), (400, "invalid_grant"), "{late:?}");
    elsewhere.put("/client.json", document(&id, json!({})));
    stage.server.clock.advance(60);
    let back = refresh(&stage, &id, &second).await;
    assert_eq!(back.status, 200, "nothing was revoked: {back:?}");
}

/// CI-18: every installation has grants of its own; ending one ends no other.
#[tokio::test]
async fn installations_share_a_document_and_nothing_else() {
    let elsewhere = Elsewhere::start().await;
    let stage = stage(&elsewhere, |_| {}).await;
    let id = elsewhere.url("app.example", "/client.json");
    elsewhere.put("/client.json", document(&id, json!({})));
    let mut tokens = Vec::new();
    for port in ["1", "2"] {
        let browser = stage.signed_in(ADA).await;
        let redirect = format!("http://127.0.0.1:{port}/cb");
        let page = browser.open(&request(&id, &[("redirect_uri", &redirect)])).await;
        let code = code(&browser.decide(&page, "allow").await);
        let token = stage.redeem(&id, &code, &[("resource", FILES)]).await;
        tokens.push(token.json()["refresh_token"].as_str().unwrap().to_owned());
    }
    let form = [("token", tokens[1].as_str()), ("client_id", &id)];
    let ended = answer(stage.server.http.post(format!("{}/oauth/revoke", stage.server.public)).form(&form)).await;
    assert_eq!(ended.status, 200);
    assert_eq!(refresh(&stage, &id, &tokens[1]).await.error(), "invalid_grant");
    assert_eq!(refresh(&stage, &id, &tokens[0]).await.status, 200);
}

/// CI-12, CI-15: what a key protected is not to be had without one.
#[tokio::test]
async fn a_document_that_drops_its_key_loses_what_the_key_protected() {
    use crate::oauth::assertions::{Key, TYPE};
    use holdfast::domain::Clock;
    let elsewhere = Elsewhere::start().await;
    let stage = stage(&elsewhere, |_| {}).await;
    let key = Key::new("1");
    let id = elsewhere.url("app.example", "/client.json");
    let keyed = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [key.jwk()]}});
    elsewhere.put("/client.json", document(&id, keyed));
    let browser = stage.signed_in(ADA).await;
    let here = [("redirect_uri", "https://app.example/cb")];
    let page = browser.open(&request(&id, &here)).await;
    let code = code(&browser.decide(&page, "allow").await);
    let without = stage.redeem(&id, &code, &[]).await;
    assert_eq!((without.status, without.error().as_str()), (401, "invalid_client"), "dropping to none is refused");
    let now = stage.server.clock.now().as_second();
    let claims = json!({"iss": id, "sub": id, "aud": crate::oauth::harness::ISSUER, "exp": now + 60, "jti": "1"});
    let assertion = key.assertion(&claims);
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("code_verifier", super::stage::VERIFIER),
        ("client_assertion_type", TYPE),
        ("client_assertion", &assertion),
    ];
    let token = answer(stage.server.http.post(format!("{}/oauth/token", stage.server.public)).form(&form)).await;
    assert_eq!(token.status, 200, "{token:?}");
    let token = token.json()["refresh_token"].as_str().unwrap().to_owned();
    stage.server.clock.advance(301);
    elsewhere.put("/client.json", document(&id, json!({})));
    let page = browser.open(&request(&id, &here)).await;
    assert!(asks_consent(&page), "another way to authenticate is another client to its user: {}", page.html);
    let stolen = refresh(&stage, &id, &token).await;
    assert_eq!((stolen.status, stolen.error().as_str()), (400, "invalid_grant"), "{stolen:?}");
}

/// H-06, H-07, H-10: a client that registered itself gets what its resource admits, is not collected while its grant
/// lives, and once it is gone is nobody.
#[tokio::test]
async fn a_registered_client_is_authorized_and_stays_while_its_grant_lives() {
    let stage = Stage::set().await;
    let body =
        json!({"client_name": "Mine", "redirect_uris": ["http://127.0.0.1/cb"], "token_endpoint_auth_method": "none"});
    let told =
        answer(stage.server.http.post(format!("{}/oauth/register", stage.server.public)).json(&body)).await.json();
    let id = told["client_id"].as_str().unwrap();
    let browser = stage.signed_in(ADA).await;
    let here = [("redirect_uri", "http://127.0.0.1:4711/cb")];
    let page = browser.open(&request(id, &here)).await;
    assert!(asks_consent(&page) && page.text().contains("Mine"), "{}", page.text());
    let code = code(&browser.decide(&page, "allow").await);
    let token = stage.redeem(id, &code, &[("resource", FILES)]).await;
    assert_eq!((token.status, token.json()["scope"].as_str()), (200, Some("files.read")), "{token:?}");
    stage.server.clock.advance(29 * 86_400);
    assert_eq!(crate::oauth::harness::purge(&stage.server).await, 0, "its grant lives");
    let ended = stage.server.http.delete(format!("{}/oauth/register/{id}", stage.server.public));
    let ended = answer(ended.bearer_auth(told["registration_access_token"].as_str().unwrap())).await;
    assert_eq!(ended.status, 204);
    let gone = refresh(&stage, id, token.json()["refresh_token"].as_str().unwrap()).await;
    assert_eq!((gone.status, gone.error().as_str()), (401, "invalid_client"), "H-10: {gone:?}");
    let page = browser.open(&request(id, &here)).await;
    refused(&page, 400, "invalid_client");
    assert!(page.text().contains("Remove this server in the application and add it again"), "H-10: {}", page.text());
}
