//! What waits for a user: bound to one browser and one session, completed once.

use std::sync::Arc;

use futures::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};

use super::stage::{ADA, BOB, PASSWORD, Stage, app, asks_consent, asks_password, code, files, refused, request, told};
use crate::oauth::harness::Setup;
use crate::store::engine::Engine;
use crate::support::browser::Browser;
use crate::support::lossy::Lossy;

/// A-17: the user says no; afterwards nothing comes of the page that is still open.
#[tokio::test]
async fn no_means_no() {
    let stage = Stage::set().await;
    let browser = stage.signed_in(ADA).await;
    let page = browser.open(&request("app", &[])).await;
    told(&browser.decide(&page, "deny").await, "access_denied");
    for decision in ["allow", "deny", "allow"] {
        refused(&browser.decide(&page, decision).await, 400, "invalid_request");
    }
    refused(&browser.open(&page.form("/oauth/authorize/").action).await, 400, "invalid_request");
    assert_eq!((stage.rows("authorization_code").await, stage.rows("consent").await), (0, 0), "IV-8");
    assert!(stage.server.metric(r#"holdfast_consent_decisions_total{decision="denied",flow="authorization_code"} 1"#));
    // a client that nobody vouches for is told too: its user has sent the answer
    let page = browser.open(&request("dcr_site", &[])).await;
    told(&browser.decide(&page, "deny").await, "access_denied");
}

/// A-17: a consent that is sent again gives no second code.
#[tokio::test]
async fn an_answer_counts_once() {
    let stage = Stage::set().await;
    let browser = stage.signed_in(ADA).await;
    let page = browser.open(&request("app", &[])).await;
    code(&browser.decide(&page, "allow").await);
    for decision in ["allow", "deny"] {
        refused(&browser.decide(&page, decision).await, 400, "invalid_request");
    }
    assert_eq!(stage.rows("authorization_code").await, 1);
}

/// A-17, R-16, IV-1: fifty answers at once, on two servers: one code.
#[rstest]
#[case::sqlite(Engine::Sqlite)]
#[case::postgres(Engine::Postgres)]
#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_answers_one_counts(#[case] engine: Engine) {
    let fresh = engine.fresh().await;
    let stage = Stage::on(Setup { url: Some(fresh.url.clone()), ..Setup::default() }).await;
    let second = match engine {
        Engine::Postgres => {
            Some(Setup { url: Some(fresh.url.clone()), second: true, ..Setup::default() }.start().await)
        }
        Engine::Sqlite => None,
    };
    let browser = Arc::new(stage.signed_in(ADA).await);
    let page = browser.open(&request("app", &[])).await;
    let other = Arc::new(Browser::at(second.as_ref().map_or(&stage.server.public, |server| &server.public)));
    for cookie in ["session", "browser"] {
        other.plant(&browser, cookie);
    }
    let answers = (0..50).map(|i| {
        let (browser, page) = (Arc::clone(if i % 2 == 0 { &browser } else { &other }), page.clone());
        async move { browser.decide(&page, "allow").await }
    });
    let answers = join_all(answers).await;
    let codes = answers.iter().filter(|page| page.location().is_some()).count();
    assert_eq!((codes, stage.rows("authorization_code").await), (1, 1));
    for page in answers.iter().filter(|page| page.location().is_none()) {
        refused(page, 400, "invalid_request");
    }
}

/// A-19, R-31, R-35: what one browser began no other can go on with, whoever is signed in there.
#[tokio::test]
async fn what_a_browser_began_is_its_own() {
    let stage = Stage::set().await;
    let (ada, eve) = (stage.signed_in(ADA).await, stage.signed_in(BOB).await);
    let page = ada.open(&request("app", &[])).await;
    let action = page.form("/oauth/authorize/").action;
    refused(&eve.open(&action).await, 400, "invalid_request");
    refused(&stage.browser().open(&action).await, 400, "invalid_request");
    let own = eve.open(&request("app", &[])).await.form("/oauth/authorize/");
    let fields: Vec<(&str, &str)> = own.fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let answer = eve.post(&action, &[&fields[..], &[("decision", "allow")]].concat()).await;
    refused(&answer, 400, "invalid_request");
    // with the other's cookie in the place of the own it is somebody else's session, and the page is shown first
    eve.plant(&ada, "browser");
    assert!(asks_consent(&eve.submit(&page, &action, &[("decision", "allow")]).await));
    assert_eq!(stage.rows("authorization_code").await, 0);
    // nothing of that has ended what ada began
    code(&ada.submit(&ada.open(&action).await, &action, &[("decision", "allow")]).await);
}

/// R-33: a consent that no page of ours sent is none.
#[tokio::test]
async fn a_forged_answer_is_none() {
    let stage = Stage::set().await;
    let browser = stage.signed_in(ADA).await;
    let page = browser.open(&request("app", &[])).await;
    let form = page.form("/oauth/authorize/");
    for change in [("csrf", ""), ("csrf", "x"), ("decision", "perhaps"), ("decision", "")] {
        let answer = browser.submit(&page, "/oauth/authorize/", &[("decision", "allow"), change]).await;
        assert!(matches!(answer.status, 400 | 403) && answer.location().is_none(), "{change:?}: {answer:?}");
    }
    let fields: Vec<(&str, &str)> = form.fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let answer = [&fields[..], &[("decision", "allow")]].concat();
    for path in ["/oauth/authorize/hftx_x", "/oauth/authorize/x", &form.action.replace("hftx_", "hfac_")] {
        refused(&browser.post(path, &answer).await, 400, "invalid_request");
        refused(&browser.open(path).await, 400, "invalid_request");
    }
    assert_eq!((stage.rows("authorization_code").await, stage.rows("consent").await), (0, 0));
}

/// R-04, R-05: the form decides about allow and deny, about nothing else.
#[tokio::test]
async fn what_is_added_to_the_answer_changes_nothing() {
    let stage = Stage::set().await;
    let browser = stage.signed_in(ADA).await;
    let page = browser.open(&request("app", &[])).await;
    let more = [
        ("decision", "allow"),
        ("redirect_uri", "https://evil.example/"),
        ("client_id", "quiet"),
        ("scope", "files.read files.write files.own"),
        ("resource", "https://billing.example.com/mcp"),
        ("state", "another"),
        ("code_challenge", "x"),
    ];
    let answer = browser.submit(&page, "/oauth/authorize/", &more).await;
    assert!(answer.location().unwrap().starts_with("https://app.example.com/cb?code="), "{answer:?}");
    let token = stage.redeem("app", &code(&answer), &[("redirect_uri", "https://app.example.com/cb")]).await;
    assert_eq!((token.status, token.json()["scope"].clone()), (200, json!("files.read")));
}

/// A-20: two tabs of one browser, one client: each gets the answer to its own request.
#[tokio::test]
async fn two_tabs_do_not_mix() {
    let stage = Stage::set().await;
    let browser = stage.browser();
    let first = browser.open(&request("app", &[("state", "one")])).await;
    let second = browser.open(&request("app", &[("state", "two"), ("scope", "files.write")])).await;
    let first = browser.sign_in(&first, ADA, PASSWORD).await;
    let to = second.form("/login").fields.iter().find(|(name, _)| name == "to").unwrap().1.clone();
    let second = browser.open(&to).await;
    assert!(first.text().contains("To files.read") && second.text().contains("To files.write"));
    for (page, state, scope) in [(second, "two", "files.write"), (first, "one", "files.read")] {
        let answer = browser.decide(&page, "allow").await;
        assert_eq!(answer.returned("state").as_deref(), Some(state));
        let token = stage
            .redeem("app", &answer.returned("code").unwrap(), &[("redirect_uri", "https://app.example.com/cb")])
            .await;
        assert_eq!(token.json()["scope"], scope, "{token:?}");
    }
}

/// A-18, R-37, CVE-2023-6787: whoever must sign in again does, or nothing comes of it.
#[tokio::test]
async fn a_new_sign_in_is_a_new_sign_in() {
    let stage = Stage::set().await;
    for change in [("prompt", "login"), ("max_age", "0"), ("prompt", "select_account")] {
        let browser = stage.signed_in(ADA).await;
        stage.server.clock.advance(5);
        let page = browser.open(&request("quiet", &[change])).await;
        assert!(asks_password(&page), "{change:?}: {}", page.html);
        let to = page.form("/login").fields.iter().find(|(name, _)| name == "to").unwrap().1.clone();
        // going back, or on without the password, leads to the same page
        for path in [&to, &to] {
            assert!(asks_password(&browser.open(path).await), "{change:?}");
        }
        told(&browser.open(&request("quiet", &[("prompt", "none"), ("max_age", "1")])).await, "login_required");
        stage.server.clock.advance(5);
        let before = holdfast::domain::Clock::now(&*stage.server.clock).as_second();
        let answer = browser.sign_in(&page, ADA, PASSWORD).await;
        let token =
            stage.redeem("quiet", &code(&answer), &[("redirect_uri", "https://app.example.com/cb")]).await.json();
        let claims =
            crate::oauth::token::claims(&stage.server, token["access_token"].as_str().unwrap(), super::stage::FILES)
                .await;
        assert_eq!(claims["auth_time"], before, "{change:?}");
    }
    let browser = stage.signed_in(ADA).await;
    stage.server.clock.advance(100);
    code(&browser.open(&request("quiet", &[("max_age", "200")])).await);
    assert!(asks_password(&browser.open(&request("quiet", &[("max_age", "99")])).await));
    code(&browser.open(&request("quiet", &[("prompt", "none")])).await);
}

/// R-32, R-34, CI-15: what looks different is asked about again.
#[tokio::test]
async fn what_looks_different_is_asked_again() {
    let stage = Stage::set().await;
    let browser = stage.signed_in(ADA).await;
    let ask = async |client: &str, change: &[(&str, &str)]| browser.open(&request(client, change)).await;
    let agree = async |client: &str, change: &[(&str, &str)]| {
        code(&browser.decide(&ask(client, change).await, "allow").await);
        code(&ask(client, change).await);
    };
    agree("dcr_site", &[]).await;
    assert!(asks_consent(&ask("dcr_site", &[("scope", "files.read files.write")]).await), "R-34");
    agree("dcr_site", &[("scope", "files.write")]).await;
    code(&ask("dcr_site", &[("scope", "files.read files.write")]).await);
    for change in [
        json!({"displayName": "Other", "resources": []}),
        json!({"displayName": "Site", "resources": [], "jwksURI": "https://app.example.com/jwks"}),
    ] {
        stage.server.put("dcr_site", &app(change)).await;
        stage.server.store.refresh().await.unwrap();
        assert!(asks_consent(&ask("dcr_site", &[]).await), "R-32, CI-15");
        agree("dcr_site", &[]).await;
    }
    // what is said of a scope
    let Value::Array(mut scopes) = serde_json::to_value(files(json!({}))).unwrap()["spec"]["scopes"].take() else {
        panic!()
    };
    scopes[0]["description"] = json!("To read everything there is");
    stage.server.put("rs_files", &files(json!({"scopes": scopes}))).await;
    stage.server.store.refresh().await.unwrap();
    let page = ask("dcr_site", &[]).await;
    assert!(asks_consent(&page) && page.text().contains("To read everything there is"));
    // another host
    assert!(asks_consent(&ask("app", &[]).await));
    // a program on the user's machine may be any program
    let local = [("redirect_uri", "http://127.0.0.1:1/cb")];
    code(&browser.decide(&ask("dcr_tool", &local).await, "allow").await);
    assert!(asks_consent(&ask("dcr_tool", &local).await), "R-32");
}

/// What is changed while the page is open is shown before it is agreed to.
#[tokio::test]
async fn an_answer_to_another_page_is_no_answer() {
    let stage = Stage::set().await;
    let browser = stage.signed_in(ADA).await;
    let page = browser.open(&request("app", &[])).await;
    let old = page.clone();
    let mut changed = app(json!({"displayName": "Renamed"}));
    if let holdfast::domain::Spec::Client(client) = &mut changed {
        client.redirect_uris.push("https://second.example.com/cb".to_owned());
    }
    stage.server.put("app", &changed).await;
    stage.server.store.refresh().await.unwrap();
    let again = browser.decide(&old, "allow").await;
    assert!(asks_consent(&again) && again.text().contains("Renamed"), "{}", again.html);
    code(&browser.decide(&again, "allow").await);
    // and a client that is suspended meanwhile gets nothing
    let page = browser.open(&request("app", &[("scope", "files.write")])).await;
    stage.server.put("app", &app(json!({"state": "Suspended"}))).await;
    stage.server.store.refresh().await.unwrap();
    refused(&browser.decide(&page, "allow").await, 400, "invalid_client");
    assert_eq!(stage.rows("authorization_code").await, 1);
}

/// A user has a quarter of an hour.
#[tokio::test]
async fn who_waits_too_long_begins_again() {
    let stage = Stage::set().await;
    let browser = stage.signed_in(ADA).await;
    let page = browser.open(&request("app", &[])).await;
    stage.server.clock.advance(901);
    refused(&browser.decide(&page, "allow").await, 400, "invalid_request");
    refused(&browser.open(&page.form("/oauth/authorize/").action).await, 400, "invalid_request");
}

/// A session that ends takes its questions with it.
#[tokio::test]
async fn who_signs_out_is_asked_to_sign_in() {
    let stage = Stage::set().await;
    let browser = stage.signed_in(ADA).await;
    let page = browser.open(&request("app", &[])).await;
    let thief = stage.browser();
    thief.plant(&browser, "browser");
    thief.plant(&browser, "session");
    browser.submit(&page, "/logout", &[]).await;
    assert!(asks_password(&thief.decide(&page, "allow").await));
    assert_eq!(stage.rows("authorization_code").await, 0);
}

/// IV-1, FT-12, A-17: what a user allows is answered with one code though the answer to the commit is lost, whether they
/// were just asked or had been asked before.
#[tokio::test]
async fn a_user_is_answered_though_the_answer_is_lost() {
    let fresh = Engine::Postgres.fresh().await;
    let (lossy, url) = Lossy::before(&fresh.url).await;
    let stage = Stage::on(Setup { url: Some(url), ..Setup::default() }).await;
    let browser = stage.signed_in(ADA).await;
    let page = browser.open(&request("app", &[])).await;
    lossy.lose(|| {});
    let asked = code(&browser.decide(&page, "allow").await);
    assert!(lossy.has_lost());
    assert_eq!((stage.rows("authorization_code").await, stage.rows("consent").await), (1, 1));
    refused(&browser.decide(&page, "allow").await, 400, "invalid_request");
    lossy.lose(|| {});
    let remembered = code(&browser.open(&request("app", &[])).await);
    assert!(lossy.has_lost());
    assert_eq!((stage.rows("authorization_code").await, stage.rows("consent").await), (2, 1));
    for code in [asked, remembered] {
        let redeemed = stage.redeem("app", &code, &[("redirect_uri", "https://app.example.com/cb")]).await;
        assert_eq!(redeemed.status, 200, "{redeemed:?}");
    }
}
