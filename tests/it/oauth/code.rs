//! authorization_code: a code becomes tokens once, for whoever it was issued to.

use rstest::rstest;
use serde_json::{Value, json};

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
    assert_eq!(names, ["aud", "auth_time", "client_id", "exp", "iat", "iss", "jti", "scope", "sub"]);
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!(USER), &json!(client)));
    assert_eq!((&claims["iss"], &claims["auth_time"]), (&json!(ISSUER), &json!(now().as_second() - 77)));
    let seen = server.introspect("rs_billing", token).await;
    assert_eq!(
        (&seen["active"], &seen["sub"], &seen["auth_time"]),
        (&json!(true), &claims["sub"], &claims["auth_time"])
    );
    let refreshed = server.refresh(client, text(&issued, "refresh_token")).await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    let refreshed = refreshed.json();
    assert_ne!(refreshed["refresh_token"], issued["refresh_token"]);
    let again = super::token::claims(&server, text(&refreshed, "access_token"), BILLING).await;
    assert_eq!((&again["sub"], &again["auth_time"]), (&claims["sub"], &claims["auth_time"]), "S-02");
    for line in [
        "holdfast_tokens_issued_total{grant_type=\"authorization_code\"} 1",
        "holdfast_tokens_issued_total{grant_type=\"refresh_token\"} 1",
        "holdfast_tokens_refreshed_total{outcome=\"success\"} 1",
    ] {
        assert!(server.metric(line), "{line}");
    }
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
    let _: Value = issued;
}
