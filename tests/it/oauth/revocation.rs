//! Revocation: a client ends what is its own, at once and for everybody.

use holdfast::store::{Revoke, RevokeCause};
use serde_json::json;

use super::harness::{BILLING, server};
use super::person::{USER, text};

/// F-02, F-04, E-04: also with a wrong hint, also an opaque token.
#[tokio::test]
async fn a_revoked_token_is_inactive_at_once() {
    let server = server().await;
    for (resource, hint) in [
        (BILLING, "access_token"),
        (BILLING, "refresh_token"),
        (BILLING, "id_token"),
        ("https://opaque.example.com/mcp", ""),
    ] {
        let (token, other) = (server.token("multi", resource).await, server.token("multi", resource).await);
        let form = [("token", token.as_str()), ("token_type_hint", hint)];
        let got = server.post_as("multi", "/oauth/revoke", &form).await;
        assert_eq!((got.status, got.text.as_str()), (200, "{}"), "{hint}");
        assert_eq!(server.introspect("multi", &token).await, json!({"active": false}));
        assert_eq!(server.introspect("multi", &other).await["active"], true);
        assert_eq!(server.post_as("multi", "/oauth/revoke", &form).await.status, 200, "twice is no error");
    }
    assert!(server.metric("holdfast_tokens_revoked_total{reason=\"explicit\"} 4"));
    assert!(server.metric("holdfast_revocation_requests_total{outcome=\"revoked\"} 4"));
    assert!(server.metric("holdfast_revocation_requests_total{outcome=\"nothing_to_revoke\"} 4"));
}

/// F-01, F-05: nothing is told of a token that is unknown or another's, and it goes on living.
#[tokio::test]
async fn a_token_of_another_client_is_left_alone() {
    let server = server().await;
    let token = server.token("reporter", BILLING).await;
    let others = server.post_as("another", "/oauth/revoke", &[("token", &token)]).await;
    let unknown = server.post_as("another", "/oauth/revoke", &[("token", "unknown")]).await;
    assert_eq!((others.status, &others.text), (unknown.status, &unknown.text));
    assert_eq!(others.status, 200);
    assert_eq!(server.introspect("reporter", &token).await["active"], true);
    let by_resource = server.post_as("rs_billing", "/oauth/revoke", &[("token", &token)]).await;
    assert_eq!(by_resource.error(), "invalid_client", "a resource server introspects and does nothing else");
    let public = server.post("/oauth/revoke", None, &format!("client_id=public&token={token}")).await;
    assert_eq!(public.status, 200, "F-07");
    assert_eq!(server.introspect("reporter", &token).await["active"], true);
}

/// F-03
#[tokio::test]
async fn a_request_that_cannot_be_meant_is_refused() {
    let server = server().await;
    let foreign = [("token", "x"), ("token_type_hint", "id_token")];
    assert_eq!(server.post_as("reporter", "/oauth/revoke", &foreign).await.error(), "unsupported_token_type");
    assert_eq!(server.post_as("reporter", "/oauth/revoke", &[]).await.error(), "invalid_request");
    let nobody = server.post("/oauth/revoke", None, "token=x").await;
    assert_eq!((nobody.status, nobody.error().as_str()), (401, "invalid_client"));
    assert!(server.metric("holdfast_revocation_requests_total{outcome=\"refused\"} 3"));
}

/// E-05, R-28, C-07: whatever ends what was issued, a client, its user, a resource or a moment, ends it for introspection
/// and refresh alike, and for good: what is issued afterwards lives, what was issued before does not come back.
#[tokio::test]
async fn what_was_ended_does_not_come_back() {
    let server = server().await;
    for (ended, cause) in [
        (Revoke::Client("app"), RevokeCause::Suspended),
        (Revoke::Subject(USER), RevokeCause::UserDisabled),
        (Revoke::ResourceServer("rs_billing"), RevokeCause::Administrator),
    ] {
        let before = server.sign_in("app").await;
        let (token, refresh) = (text(&before, "access_token"), text(&before, "refresh_token"));
        server.end(ended, cause).await;
        for seconds in [0, 1, -600] {
            server.clock.advance(seconds);
            assert_eq!(server.introspect("rs_billing", token).await, json!({"active": false}), "{ended:?} {seconds}");
            assert_eq!(server.refresh("app", refresh).await.error(), "invalid_grant", "{ended:?}");
        }
        let after = server.sign_in("app").await;
        assert!(server.is_active(text(&after, "access_token")).await, "{ended:?}");
    }
    let (old, moment) = (server.sign_in("app").await, {
        server.clock.advance(10);
        holdfast::domain::Clock::now(&*server.clock)
    });
    let new = server.sign_in("app").await;
    server.end(Revoke::ClientBefore { client_id: "app", before: moment }, RevokeCause::SecretRevoked).await;
    assert!(!server.is_active(text(&old, "access_token")).await);
    assert!(server.is_active(text(&new, "access_token")).await);
}
