//! refresh_token: a chain that ends when it is used twice, and does not when an answer was lost.

use holdfast::domain::audit::AuditKind;
use holdfast::domain::{Actor, Kind};
use holdfast::store::{Revoke, RevokeCause};
use serde_json::json;

use super::harness::{BILLING, Server, client, resource_server, server};
use super::person::{SESSION, USER, text};

/// The refresh token of a fresh sign-in.
async fn token(server: &Server, client: &str) -> String {
    text(&server.sign_in(client).await, "refresh_token").to_owned()
}

/// The tokens of a refresh that must succeed.
async fn refreshed(server: &Server, client: &str, token: &str) -> (String, String) {
    let answer = server.refresh(client, token).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json();
    (text(&answer, "access_token").to_owned(), text(&answer, "refresh_token").to_owned())
}

/// M-09, C-01, C-02, RC-13: within the window the same successor, after it the end of the family, told, counted and audited.
#[tokio::test]
async fn a_lost_answer_is_given_again_and_a_theft_ends_the_family() {
    for client in ["app", "portal"] {
        let server = server().await;
        let issued = server.sign_in(client).await;
        let first = text(&issued, "refresh_token");
        let (access, second) = refreshed(&server, client, first).await;
        assert!(first.len() == 48 && second.starts_with("hfrt_") && second != first);
        server.clock.advance(30);
        let (again, same) = refreshed(&server, client, first).await;
        assert_eq!(same, second, "never a second child");
        assert_ne!(again, access);
        let (last, third) = refreshed(&server, client, &second).await;
        let live = [text(&issued, "access_token"), &access, &again, &last];
        server.clock.advance(1);
        for token in live {
            assert!(server.is_active(token).await);
        }
        let stolen = server.refresh(client, first).await;
        assert_eq!((stolen.status, stolen.error().as_str()), (400, "invalid_grant"));
        for token in live {
            assert!(!server.is_active(token).await);
        }
        for token in [first, &second, &third] {
            assert_eq!(server.refresh(client, token).await.error(), "invalid_grant");
        }
        assert!(server.metric("holdfast_refresh_token_reuse_total 1"));
        assert!(server.metric("holdfast_tokens_revoked_total{reason=\"family_reuse\"} 4"));
        let events = server.store.read().await.unwrap().audit_events(Some(AuditKind::RefreshReuse), 9).await.unwrap();
        let [event] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((event.client_id.as_deref(), event.source.as_deref()), (Some(client), Some("127.0.0.1")));
        assert!(server.metric("holdfast_grants_revoked_total{cause=\"refresh_reuse\"} 1"));
    }
}

/// C-03, R-14, R-18: whoever shows another's token gets nothing and ends nothing.
#[tokio::test]
async fn a_refresh_token_is_its_client_s_alone() {
    let server = server().await;
    let (of_app, of_portal) = (token(&server, "app").await, token(&server, "portal").await);
    let (_, successor) = refreshed(&server, "app", &of_app).await;
    server.clock.advance(100);
    let before = server.issued().await;
    for (name, client, token, status, error) in [
        ("another public client", "app2", successor.as_str(), 400, "invalid_grant"),
        ("a used one of another client", "app2", of_app.as_str(), 400, "invalid_grant"),
        ("a confidential client", "portal", successor.as_str(), 400, "invalid_grant"),
        ("a public client and a confidential one's", "app", of_portal.as_str(), 400, "invalid_grant"),
        ("a client without this grant", "reporter", successor.as_str(), 400, "unauthorized_client"),
        ("an unknown token", "app", "hfrt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 400, "invalid_grant"),
        ("no refresh token", "app", "token", 400, "invalid_grant"),
        ("none", "app", "", 400, "invalid_request"),
    ] {
        let got = server.refresh(client, token).await;
        assert_eq!((got.status, got.error().as_str()), (status, error), "{name}: {got:?}");
    }
    let unauthenticated = format!("grant_type=refresh_token&refresh_token={of_portal}&client_id=portal");
    let got = server.post("/oauth/token", None, &unauthenticated).await;
    assert_eq!((got.status, got.error().as_str()), (401, "invalid_client"), "R-18");
    assert_eq!(server.issued().await, before);
    refreshed(&server, "app", &successor).await;
    refreshed(&server, "portal", &of_portal).await;
    assert!(server.metric("holdfast_refresh_token_reuse_total 0"));
}

/// C-04, M-16, RC-4, RC-9: narrower scopes for the access token alone; what is refused rotates nothing.
#[tokio::test]
async fn a_refresh_asks_for_what_was_granted_or_less() {
    let server = server().await;
    let mut token = token(&server, "portal").await;
    for (name, more, expected) in [
        ("less", &[("scope", "invoices.read")][..], Ok("invoices.read")),
        ("all of it after less", &[][..], Ok("invoices.read invoices.write")),
        ("offline_access", &[("scope", "offline_access")][..], Ok("invoices.read invoices.write")),
        ("its resource", &[("resource", BILLING)][..], Ok("invoices.read invoices.write")),
        ("more", &[("scope", "invoices.read invoices.void")][..], Err("invalid_scope")),
        ("something else", &[("scope", "openid")][..], Err("invalid_scope")),
        ("another resource", &[("resource", "https://eddsa.example.com")][..], Err("invalid_target")),
        ("an unknown resource", &[("resource", "https://unknown.example.com")][..], Err("invalid_target")),
    ] {
        let got = server.refresh_with("portal", &token, more).await;
        match expected {
            Ok(scope) => {
                assert_eq!(got.json()["scope"], scope, "{name}: {got:?}");
                token = text(&got.json(), "refresh_token").to_owned();
            }
            Err(error) => {
                assert_eq!(got.error(), error, "{name}");
                assert_eq!(server.introspect("portal", &token).await["active"], true, "{name}: not rotated");
            }
        }
    }
}

/// C-05: unused for two hours, or a day after the sign-in whatever is renewed; the last token ends with the grant.
#[tokio::test]
async fn a_family_ends_by_idleness_and_by_age() {
    let server = server().await;
    let idle = token(&server, "app").await;
    let mut token = token(&server, "app").await;
    for _ in 0..12 {
        server.clock.advance(7199);
        token = refreshed(&server, "app", &token).await.1;
    }
    assert_eq!(server.refresh("app", &idle).await.error(), "invalid_grant", "idle");
    // twelve seconds short of a day
    server.clock.advance(11);
    let last = server.refresh("app", &token).await.json();
    assert_eq!(last["expires_in"], 1);
    assert!(server.is_active(text(&last, "access_token")).await);
    server.clock.advance(1);
    assert!(!server.is_active(text(&last, "access_token")).await);
    let over = text(&last, "refresh_token").to_owned();
    assert_eq!(server.refresh("app", &over).await.error(), "invalid_grant");
    assert!(server.metric("holdfast_refresh_token_reuse_total 0"), "an end by age is no theft");
}

/// C-05: a policy that was tightened counts for grants that are older.
#[tokio::test]
async fn a_shorter_life_holds_for_grants_that_are_there() {
    let server = server().await;
    let token = token(&server, "portal").await;
    server.clock.advance(3000);
    let shorter = client(
        json!({"grantTypes": ["authorization_code", "refresh_token"], "tokens": {"refreshLifetimeSeconds": 3000, "refreshIdleSeconds": 3000}}),
    );
    server.put("portal", &shorter).await;
    server.store.refresh().await.unwrap();
    assert_eq!(server.refresh("portal", &token).await.error(), "invalid_grant");
}

/// C-06, R-19: an end stays an end after a start and when the clock goes back.
#[tokio::test]
async fn what_was_ended_stays_ended() {
    let first = server().await;
    let token = token(&first, "app").await;
    let (access, successor) = refreshed(&first, "app", &token).await;
    first.clock.advance(60);
    assert_eq!(first.refresh("app", &token).await.error(), "invalid_grant");
    first.clock.advance(-600);
    assert_eq!(first.refresh("app", &successor).await.error(), "invalid_grant");
    assert!(!first.is_active(&access).await);
    let directory = first.directory.as_ref().unwrap().path().join("holdfast.db");
    let url = Some(format!("sqlite://{}", directory.display()));
    let second = super::harness::Setup { url, ..Default::default() }.start().await;
    assert_eq!(second.refresh("app", &successor).await.error(), "invalid_grant");
    assert!(!second.is_active(&access).await);
}

/// C-07, RC-1, RC-2: whoever ends what a user granted ends it for good; the client is sent to sign in again and keeps
/// its registration.
#[tokio::test]
async fn who_may_no_longer_is_refused_at_the_next_refresh() {
    let server = server().await;
    let consent = Revoke::Consent { subject: USER, client_id: "app", resource_server_id: "rs_billing" };
    for (name, what, cause) in [
        ("the user was disabled", Revoke::Subject(USER), RevokeCause::UserDisabled),
        ("the password was changed", Revoke::Subject(USER), RevokeCause::PasswordChanged),
        ("consent was withdrawn", consent, RevokeCause::ConsentWithdrawn),
        ("the session was ended", Revoke::Session(SESSION), RevokeCause::SessionEnded),
        ("the client was suspended", Revoke::Client("app"), RevokeCause::Suspended),
        ("the resource was deleted", Revoke::ResourceServer("rs_billing"), RevokeCause::Deleted),
    ] {
        let code = server.code("app").await;
        let issued = server.sign_in("app").await;
        let others = server.sign_in("portal").await;
        let ended = server.end(what, cause).await;
        assert!(ended.tokens > 0 && ended.grants > 0 && ended.codes > 0, "{name}: {ended:?}");
        assert_eq!(server.refresh("app", text(&issued, "refresh_token")).await.error(), "invalid_grant", "{name}");
        assert!(!server.is_active(text(&issued, "access_token")).await, "{name}");
        assert_eq!(server.redeem("app", &code).await.error(), "invalid_grant", "{name}: a code, too");
        let left = matches!(what, Revoke::Consent { .. } | Revoke::Client(_));
        assert_eq!(server.is_active(text(&others, "access_token")).await, left, "{name}: another client");
    }
    assert!(server.metric("holdfast_refresh_token_reuse_total 0"));
}

/// C-04, C-07, finding 10, IV-5: policy that moved since counts at the next refresh, whatever memory says.
#[tokio::test]
async fn policy_that_moved_since_counts() {
    let server = server().await;
    let billing = |change| resource_server(BILLING, change);
    let mut token = token(&server, "app").await;
    for (name, change, expected) in [
        ("the resource is a draft", json!({"lifecycle": "Draft"}), "invalid_grant"),
        ("the role is gone", json!({"roleBindings": []}), "invalid_grant"),
        ("the role gives less", json!({"roles": [{"name": "all", "scopes": ["invoices.read"]}]}), "invoices.read"),
        ("all is well again", json!({}), "invoices.read invoices.write"),
    ] {
        server.put("rs_billing", &billing(change)).await;
        let got = server.refresh("app", &token).await.json();
        let told = got["scope"].as_str().or(got["error"].as_str()).unwrap();
        assert_eq!(told, expected, "{name}");
        if let Some(next) = got["refresh_token"].as_str() {
            token = next.to_owned();
        }
    }
    let suspended =
        client(json!({"authenticationMethod": "None", "state": "Suspended", "grantTypes": ["refresh_token"]}));
    server.put("app", &suspended).await;
    assert_eq!(server.refresh("app", &token).await.error(), "invalid_grant", "suspended, and nobody registers anew");
    let mut tx = server.store.write(&Actor::controller()).await.unwrap();
    tx.delete(Kind::OAuthClient, "app").await.unwrap();
    tx.commit().await.unwrap();
    server.store.refresh().await.unwrap();
    assert_eq!(server.refresh("app", &token).await.error(), "invalid_client", "H-10: deleted");
}

/// E-02, E-03, F-02, F-04, F-05: a refresh token is seen and ended by its client alone, with all that came of it.
#[tokio::test]
async fn a_refresh_token_introspects_and_ends_its_family() {
    let server = server().await;
    let issued = server.sign_in("portal").await;
    let (access, first) = (text(&issued, "access_token"), text(&issued, "refresh_token"));
    let seen = server.introspect("portal", first).await;
    assert_eq!((&seen["active"], &seen["sub"], &seen["client_id"]), (&json!(true), &json!(USER), &json!("portal")));
    assert_eq!(seen["exp"].as_i64().unwrap() - seen["iat"].as_i64().unwrap(), 7200);
    assert_eq!((seen.get("token_type"), seen.get("jti")), (None, None));
    for caller in ["rs_billing", "gateway", "reporter"] {
        assert_eq!(server.introspect(caller, first).await, json!({"active": false}), "{caller}");
    }
    let (_, second) = refreshed(&server, "portal", first).await;
    assert_eq!(server.introspect("portal", first).await, json!({"active": false}), "used");
    let by = async |client: &str, token: &str, hint: &str| {
        let form = [("token", token), ("token_type_hint", hint)];
        server.post_as(client, "/oauth/revoke", &form).await.status
    };
    assert_eq!(by("reporter", &second, "refresh_token").await, 200);
    assert_eq!(server.introspect("portal", &second).await["active"], true, "F-05: untouched");
    assert_eq!(by("portal", access, "refresh_token").await, 200);
    assert!(!server.is_active(access).await);
    let (last, third) = refreshed(&server, "portal", &second).await;
    assert!(server.is_active(&last).await, "an access token ends alone");
    assert_eq!(by("portal", &third, "access_token").await, 200, "whatever the hint");
    assert!(!server.is_active(&last).await);
    assert_eq!(server.introspect("portal", &third).await, json!({"active": false}));
    assert_eq!(server.refresh("portal", &third).await.error(), "invalid_grant");
    assert_eq!(server.audited(AuditKind::TokenRevoked).await, 2);
    let public = token(&server, "app").await;
    let got = server.post("/oauth/revoke", None, &format!("client_id=app&token={public}")).await;
    assert_eq!((got.status, server.refresh("app", &public).await.error().as_str()), (200, "invalid_grant"), "F-07");
}
