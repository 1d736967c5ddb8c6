//! A consent is withdrawn by whoever gave it, or by an administrator, and ends what came of it.

use std::sync::Arc;

use futures::future::join_all;
use holdfast::domain::Actor;
use holdfast::domain::audit::AuditKind;
use holdfast::oauth::Withdraw;
use rstest::rstest;
use serde_json::json;

use super::stage::{ADA, BOB, Stage, asks_consent, code, request};
use crate::oauth::harness::{Answer, Setup, answer, secret};
use crate::store::engine::Engine;

const BACK: (&str, &str) = ("redirect_uri", "https://app.example.com/cb");

/// C-07, IV-3, S1: tokens, refresh tokens and codes end together, and only those.
#[rstest]
#[case::sqlite(Engine::Sqlite)]
#[case::postgres(Engine::Postgres)]
#[tokio::test]
async fn withdrawing_ends_everything_that_came_of_it(#[case] engine: Engine) {
    let fresh = engine.fresh().await;
    let stage = Stage::on(Setup { url: Some(fresh.url.clone()), ..Setup::default() }).await;
    let (ada, bob) = (stage.signed_in(ADA).await, stage.signed_in(BOB).await);
    let agree = async |browser: &crate::support::browser::Browser, client: &str| {
        let page = browser.open(&request(client, &[])).await;
        code(&browser.decide(&page, "allow").await)
    };
    let tokens = async |client: &str, code: &str| stage.redeem(client, code, &[BACK]).await.json();
    let of_ada = tokens("confidential", &agree(&ada, "confidential").await).await;
    let of_bob = tokens("confidential", &agree(&bob, "confidential").await).await;
    let other = tokens("app", &agree(&ada, "app").await).await;
    let pending = code(&ada.open(&request("confidential", &[])).await);
    let active = async |tokens: &serde_json::Value| {
        let token = tokens["access_token"].as_str().unwrap();
        stage.server.introspect("confidential", token).await["active"] == true
    };
    assert!(active(&of_ada).await && active(&of_bob).await);

    let consents = stage.server.server.consents(&stage.ada).await.unwrap();
    let consent = consents.iter().find(|consent| consent.client_id == "confidential").unwrap();
    assert_eq!(
        (consent.scopes.as_slice(), consent.resource_name.as_str()),
        (["files.read".to_owned()].as_slice(), "Files")
    );
    let withdraw = async |user: &str| {
        let actor = Actor::recorded(format!("user:{user}"));
        stage.server.server.withdraw_consent(&consent.id, Withdraw::Own(user), &actor).await.unwrap()
    };
    assert_eq!(withdraw(&stage.bob).await, None, "it is not his");
    let ended = withdraw(&stage.ada).await.unwrap();
    assert_eq!((ended.grants, ended.tokens, ended.codes), (1, 1, 1));
    assert_eq!(withdraw(&stage.ada).await, None);
    assert!(!active(&of_ada).await && active(&of_bob).await);
    assert_eq!(stage.redeem("confidential", &pending, &[BACK]).await.error(), "invalid_grant");
    let refresh = async |client: &str, tokens: &serde_json::Value| {
        let form = [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
        let request = stage.server.http.post(format!("{}/oauth/token", stage.server.public));
        if client == "app" {
            answer(request.form(&[form[0], form[1], ("client_id", client)])).await
        } else {
            answer(request.basic_auth(client, Some(secret(client))).form(&form)).await
        }
    };
    assert_eq!(refresh("confidential", &of_ada).await.error(), "invalid_grant");
    assert_eq!(refresh("confidential", &of_bob).await.status, 200);
    assert_eq!(refresh("app", &other).await.status, 200);
    assert!(asks_consent(&ada.open(&request("confidential", &[])).await));
    let audit =
        stage.server.store.read().await.unwrap().audit_events(Some(AuditKind::ConsentRevoked), 10).await.unwrap();
    assert_eq!((audit.len(), audit[0].user_id.as_deref()), (1, Some(stage.ada.as_str())));
}

/// The admin API: viewers see, operators end.
#[tokio::test]
async fn administrators_see_and_end_consents() {
    let stage = Stage::set().await;
    let ada = stage.signed_in(ADA).await;
    let page = ada.open(&request("app", &[])).await;
    code(&ada.decide(&page, "allow").await);
    let at = |path: &str| format!("{}{path}", stage.server.admin);
    let list = at(&format!("/admin/consents?user={}", stage.ada));
    let get = |who: &str, url: &str| stage.server.http.get(url).bearer_auth(secret(who));
    let listed = answer(get("vera", &list)).await;
    let id = listed.json()["items"][0]["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("cns_"));
    assert_eq!(listed.json()["items"][0]["scopes"], json!(["files.read"]));
    assert_eq!(answer(get("vera", &at("/admin/consents"))).await.status, 400);
    assert_eq!(answer(get("vera", &at("/admin/consents?user=usr_x"))).await.json()["items"], json!([]));
    assert_eq!(answer(stage.server.http.get(&list)).await.status, 401);
    let url = at(&format!("/admin/consents/{id}"));
    let delete = |who: &str| stage.server.http.delete(&url).bearer_auth(secret(who));
    assert_eq!(answer(delete("vera")).await.status, 403);
    assert_eq!(answer(delete("olga")).await.status, 204);
    assert_eq!(answer(delete("olga")).await.status, 404);
    assert_eq!(stage.rows("consent").await, 0);
    assert!(stage.server.metric(r#"holdfast_consent_revoked_total{actor="admin"} 1"#));
}

/// How a person takes back what they have allowed.
#[derive(Clone, Copy)]
enum Way {
    SignOut,
    Withdrawal,
}

/// IV-1, IV-3, C-07: fifty at once authorize, redeem and renew at two servers while their user takes it back. What they
/// are issued is over by then, and after the answer nobody is issued anything.
#[rstest]
#[case::sign_out(Way::SignOut)]
#[case::withdrawal(Way::Withdrawal)]
#[tokio::test]
async fn nothing_is_issued_after_the_user_has_taken_it_back(#[case] way: Way) {
    let fresh = Engine::Postgres.fresh().await;
    let stage = Stage::on(Setup { url: Some(fresh.url.clone()), ..Setup::default() }).await;
    let clock = Some(Arc::clone(&stage.server.clock));
    let second = Setup { url: Some(fresh.url.clone()), clock, ..Setup::default() }.start().await;
    let ada = stage.signed_in(ADA).await;
    let page = ada.open(&request("confidential", &[])).await;
    let mut codes = vec![code(&ada.decide(&page, "allow").await)];
    for _ in 1..20 {
        codes.push(code(&ada.open(&request("confidential", &[])).await));
    }
    let mut families = Vec::new();
    for code in codes.split_off(10) {
        let issued = stage.redeem("confidential", &code, &[BACK]).await.json();
        families.push(issued["refresh_token"].as_str().unwrap().to_owned());
    }
    let redeem = |server: &str, form: Vec<(&'static str, String)>| {
        let request = stage.server.http.post(format!("{server}/oauth/token"));
        answer(request.basic_auth("confidential", Some(secret("confidential"))).form(&form))
    };
    let at = [&stage.server.public, &second.public];
    let all = |codes: &[String], families: &[String]| {
        let codes = codes.iter().map(|code| {
            let verifier = ("code_verifier", super::stage::VERIFIER.to_owned());
            vec![("grant_type", "authorization_code".to_owned()), ("code", code.clone()), verifier]
        });
        let families = families.iter().flat_map(|token| {
            let form = vec![("grant_type", "refresh_token".to_owned()), ("refresh_token", token.clone())];
            [form.clone(), form]
        });
        codes.chain(families).enumerate().map(|(n, form)| redeem(at[n % 2], form)).collect::<Vec<_>>()
    };
    let account = ada.open("/account").await;
    let end = async {
        match way {
            Way::SignOut => ada.submit(&account, "/logout", &[]).await,
            Way::Withdrawal => ada.submit(&account, "/account/withdraw", &[]).await,
        }
    };
    let again = request("confidential", &[]);
    let pages = join_all((0..20).map(|_| ada.open(&again)));
    let (answers, pages, ended) = tokio::join!(join_all(all(&codes, &families)), pages, end);
    assert!(ended.status < 400, "{}", ended.html);
    for issued in answers.iter().filter(|answer| answer.status == 200).map(Answer::json) {
        let token = issued["access_token"].as_str().unwrap();
        assert_eq!(second.introspect("confidential", token).await, json!({"active": false}));
        families.push(issued["refresh_token"].as_str().unwrap().to_owned());
    }
    codes.extend(pages.iter().filter_map(|page| page.returned("code")));
    for answer in join_all(all(&codes, &families)).await {
        assert_eq!((answer.status, answer.error().as_str()), (400, "invalid_grant"), "{answer:?}");
    }
    for (table, condition) in [("access_token", "subject LIKE 'usr_%'"), ("token_grant", "true")] {
        let living = format!("SELECT count(*) FROM {table} WHERE revoked_at IS NULL AND {condition}");
        assert_eq!(fresh.number(&living).await, 0, "{table}");
    }
    let page = ada.open(&again).await;
    match way {
        Way::SignOut => assert!(super::stage::asks_password(&page), "{}", page.html),
        Way::Withdrawal => assert!(asks_consent(&page), "{}", page.html),
    }
}
