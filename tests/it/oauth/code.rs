//! authorization_code: a code becomes tokens once, for whoever it was issued to.

use holdfast::domain::audit::AuditKind;
use rstest::rstest;
use serde_json::json;

use super::harness::{BILLING, ISSUER, Server, Setup, now, server};
use super::person::{USER, text};
use crate::support::postgres;

/// A server on either engine.
pub async fn on(postgres: bool) -> Server {
    let url = if postgres { Some(postgres::fresh().await.url) } else { None };
    Setup { url, ..Setup::default() }.start().await
}

/// D-01, D-02, B-10, M-14: what comes of a code, for public and confidential clients, on both engines.
#[rstest]
#[case("app", false)]
#[case("portal", true)]
#[tokio::test]
async fn a_code_becomes_tokens(#[case] client: &str, #[case] postgres: bool) {
    let server = on(postgres).await;
    let issued = server.sign_in(client).await;
    let members: Vec<&String> = issued.as_object().unwrap().keys().collect();
    assert_eq!(members, ["access_token", "expires_in", "refresh_token", "scope", "token_type"], "no ID token");
    assert_eq!((&issued["token_type"], &issued["expires_in"]), (&json!("Bearer"), &json!(900)));
    assert_eq!(issued["scope"], "invoices.read invoices.write");
    let token = text(&issued, "access_token");
    let claims = super::token::claims(&server, token, BILLING).await;
    let names: Vec<&String> = claims.as_object().unwrap().keys().collect();
    assert_eq!(names, ["acr", "amr", "aud", "auth_time", "client_id", "exp", "iat", "iss", "jti", "scope", "sub"]);
    assert_eq!((&claims["acr"], &claims["amr"]), (&json!(ACR), &json!(["pwd"])));
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!(USER), &json!(client)));
    assert_eq!((&claims["iss"], &claims["auth_time"]), (&json!(ISSUER), &json!(now().as_second() - 77)));
    let seen = server.introspect("rs_billing", token).await;
    assert_eq!(
        (&seen["active"], &seen["sub"], &seen["auth_time"], &seen["acr"]),
        (&json!(true), &claims["sub"], &claims["auth_time"], &claims["acr"])
    );
    let refreshed = server.refresh(client, text(&issued, "refresh_token")).await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    let refreshed = refreshed.json();
    assert_ne!(refreshed["refresh_token"], issued["refresh_token"]);
    let again = super::token::claims(&server, text(&refreshed, "access_token"), BILLING).await;
    for kept in ["sub", "auth_time", "acr", "amr"] {
        assert_eq!(again[kept], claims[kept], "S-02: {kept}");
    }
    for line in [
        "holdfast_tokens_issued_total{grant_type=\"authorization_code\"} 1",
        "holdfast_tokens_issued_total{grant_type=\"refresh_token\"} 1",
        "holdfast_tokens_refreshed_total{outcome=\"success\"} 1",
    ] {
        assert!(server.metric(line), "{line}");
    }
}

/// Whether the code still becomes tokens after the request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Code {
    Intact,
    Ended,
    Redeemed,
}
use Code::{Ended, Intact, Redeemed};

struct Row(&'static str, &'static str, &'static [(&'static str, &'static str)], &'static str, Code);

const ACR: &str = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport";
const OTHER: &str = "https://eddsa.example.com";
const LONG: &str = "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";

const ROWS: &[Row] = &[
    Row("all of it", "app", &[], "", Redeemed),
    Row("no redirect URI", "app", &[("redirect_uri", "")], "", Redeemed),
    Row("its resource", "app", &[("resource", BILLING)], "", Redeemed),
    Row("a scope says nothing", "app", &[("scope", "invoices.void")], "", Redeemed),
    Row(
        "rights of a kind that nobody knows",
        "app",
        &[("authorization_details", "[{\"type\":\"x\"}]")],
        "invalid_authorization_details",
        Intact,
    ),
    Row("no code", "app", &[("code", "")], "invalid_request", Intact),
    Row(
        "an unknown code",
        "app",
        &[("code", "hfac_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")],
        "invalid_grant",
        Intact,
    ),
    Row("no code at all", "app", &[("code", "code")], "invalid_grant", Intact),
    Row(
        "another handle",
        "app",
        &[("code", "hfrt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")],
        "invalid_grant",
        Intact,
    ),
    Row("another client", "app2", &[], "invalid_grant", Intact),
    Row("a confidential client", "portal", &[], "invalid_grant", Intact),
    Row("another client that guesses", "app2", &[("code_verifier", "wrong")], "invalid_grant", Intact),
    Row("a client without this grant", "reporter", &[], "unauthorized_client", Intact),
    Row("another resource", "app", &[("resource", OTHER)], "invalid_target", Intact),
    Row("an unknown resource", "app", &[("resource", "https://unknown.example.com")], "invalid_target", Intact),
    Row("its resource and another", "app", &[("resource", BILLING), ("resource", OTHER)], "invalid_target", Intact),
    Row("no verifier", "app", &[("code_verifier", "")], "invalid_grant", Ended),
    Row(
        "a wrong verifier",
        "app",
        &[("code_verifier", "a-verifier.of_43~characters-or-more-0123456788")],
        "invalid_grant",
        Ended,
    ),
    Row(
        "a short verifier",
        "app",
        &[("code_verifier", "a-verifier.of_43~characters-or-less-012345")],
        "invalid_grant",
        Ended,
    ),
    Row("a long verifier", "app", &[("code_verifier", LONG)], "invalid_grant", Ended),
    Row(
        "a verifier of other characters",
        "app",
        &[("code_verifier", "a+verifier/of=43~characters-or-more-0123456789")],
        "invalid_grant",
        Ended,
    ),
    Row("the challenge itself", "app", &[("code_verifier", "CHALLENGE")], "invalid_grant", Ended),
    Row("another redirect URI", "app", &[("redirect_uri", "https://app.example.com/other")], "invalid_grant", Ended),
    Row("a slash more", "app", &[("redirect_uri", "https://app.example.com/callback/")], "invalid_grant", Ended),
];

/// B-09, B-11, B-12, B-13, B-15, M-14, R-09, R-11, R-14, R-22: what is not the caller's, or asked for a resource that
/// was not granted, stays as it is; a wrong guess ends the code; and nobody is told which it was.
#[tokio::test]
async fn a_code_is_for_one_client_one_verifier_and_one_resource() {
    let server = server().await;
    let mut texts = std::collections::BTreeSet::new();
    for Row(name, client, change, error, after) in ROWS {
        let code = server.code("app").await;
        let challenge = super::person::authorized("app").code_challenge;
        let change: Vec<(&str, &str)> =
            change.iter().map(|(n, v)| (*n, if *v == "CHALLENGE" { challenge.as_str() } else { v })).collect();
        let before = server.issued().await;
        let got = server.redeem_with(client, &code, &change).await;
        assert_eq!((got.status, got.error().as_str()), (if error.is_empty() { 200 } else { 400 }, *error), "{name}");
        assert_eq!(server.issued().await - before, usize::from(*after == Redeemed), "{name}");
        if *error == "invalid_grant" {
            texts.insert(got.text);
        }
        let then = server.redeem("app", &code).await.status;
        assert_eq!(then, if *after == Intact { 200 } else { 400 }, "{name}");
    }
    assert_eq!(texts.len(), 1, "{texts:?}");
    let nobody = server.post("/oauth/token", None, "grant_type=authorization_code&client_id=portal&code=x").await;
    assert_eq!((nobody.status, nobody.error().as_str()), (401, "invalid_client"));
}

/// sixty seconds, to the second.
#[tokio::test]
async fn a_code_ends_after_a_minute() {
    let server = server().await;
    let (one, two) = (server.code("app").await, server.code("app").await);
    assert!(one.len() == 48 && one.starts_with("hfac_") && one != two);
    server.clock.advance(59);
    assert_eq!(server.redeem("app", &one).await.status, 200);
    server.clock.advance(1);
    assert_eq!(server.redeem("app", &two).await.error(), "invalid_grant");
}

/// Policy at the time of redemption counts: what was taken away since is not issued, and its code is not lost by it.
#[tokio::test]
async fn policy_that_moved_since_consent_counts() {
    let server = server().await;
    let billing = |change| super::harness::resource_server(BILLING, change);
    for (name, change, expected) in [
        (
            "a scope left the catalogue",
            json!({"scopes": [{"name": "invoices.read", "description": "", "risk": "Low", "upstream": ""}]}),
            "invoices.read",
        ),
        ("the role gives less", json!({"roles": [{"name": "all", "scopes": ["invoices.write"]}]}), "invoices.write"),
        ("the role is gone", json!({"roleBindings": []}), "invalid_grant"),
        ("the resource is a draft", json!({"lifecycle": "Draft"}), "invalid_grant"),
        ("all is well again", json!({}), "invoices.read invoices.write"),
    ] {
        let code = server.code("app").await;
        server.put("rs_billing", &billing(change)).await;
        let got = server.redeem("app", &code).await.json();
        let told = got["scope"].as_str().or(got["error"].as_str()).unwrap();
        assert_eq!(told, expected, "{name}");
    }
}

/// B-16, finding 11: a client that has no refresh_token grant has no refresh token, and its grant ends with its token.
#[tokio::test]
async fn who_does_not_refresh_gets_no_refresh_token() {
    let server = server().await;
    let plain = super::harness::client(json!({"authenticationMethod": "None", "grantTypes": ["authorization_code"]}));
    server.put("app", &plain).await;
    server.store.refresh().await.unwrap();
    let issued = server.sign_in("app").await;
    assert_eq!(issued.get("refresh_token"), None);
    assert_eq!(issued["expires_in"], 900);
    let mut tx = server.store.read().await.unwrap();
    let grants = tx.live_grants(USER, now()).await.unwrap();
    assert_eq!((grants.len(), grants[0].expires_at.as_second() - now().as_second()), (1, 900));
}

/// B-14: whoever redeems a code a second time with all that it takes ends what the first was issued; R-21: whoever
/// only has the code ends nothing.
#[tokio::test]
async fn a_code_is_redeemed_once() {
    let server = server().await;
    let code = server.code("app").await;
    let issued = server.redeem("app", &code).await.json();
    let token = text(&issued, "access_token");
    let guess = [("grant_type", "authorization_code"), ("code", code.as_str())];
    assert_eq!(server.ask("app", &guess).await.error(), "invalid_grant");
    assert!(server.is_active(token).await);
    assert!(server.metric("holdfast_auth_code_reuse_total{verifier=\"invalid\"} 1"));
    let again = server.redeem("app", &code).await;
    assert_eq!((again.status, again.error().as_str()), (400, "invalid_grant"));
    assert!(!server.is_active(token).await);
    assert_eq!(server.refresh("app", text(&issued, "refresh_token")).await.error(), "invalid_grant");
    assert!(server.metric("holdfast_auth_code_reuse_total{verifier=\"valid\"} 1"));
    assert!(server.metric("holdfast_tokens_revoked_total{reason=\"code_reuse\"} 1"));
    assert_eq!((server.audited(AuditKind::CodeReuse).await, server.audited(AuditKind::GrantCreated).await), (1, 1));
    assert_eq!(server.redeem("app", &code).await.error(), "invalid_grant");
    assert_eq!(server.audited(AuditKind::CodeReuse).await, 1, "there is nothing left to end");
}
