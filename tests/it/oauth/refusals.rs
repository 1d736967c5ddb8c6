//! What is refused is in the audit: each refusal of who is known, the sum of those of strangers.

use holdfast::domain::AuditKind;
use holdfast::domain::audit::AuditEvent;
use rstest::rstest;
use serde_json::json;

use super::authorize::stage::{ADA, BOB, Stage, app, asks_consent, asks_password, files, request};
use super::harness::{Server, answer, secret, server};

async fn events(server: &Server, kind: AuditKind) -> Vec<AuditEvent> {
    server.store.read().await.unwrap().audit_events(Some(kind), 1000).await.unwrap()
}

/// IV-7: however often a stranger comes, there is one record for source and reason, with how many they were.
#[tokio::test]
async fn refusals_before_authentication_are_one_record_a_minute() {
    let server = server().await;
    for _ in 0..5 {
        let request = server.http.post(format!("{}/oauth/token", server.public)).basic_auth("nobody", Some("wrong"));
        assert_eq!(answer(request.form(&[("grant_type", "client_credentials")])).await.status, 401);
    }
    let list = server.http.get(format!("{}/admin/resources", server.admin)).bearer_auth("wrong");
    assert_eq!(answer(list).await.status, 401);
    server.server.write_refusals().await.unwrap();
    server.server.write_refusals().await.unwrap();
    let events = events(&server, AuditKind::RequestsRefused).await;
    let mut told: Vec<_> = events.iter().map(|event| (event.source.as_deref(), event.detail.clone())).collect();
    told.sort_by_key(|(_, detail)| detail.to_string());
    let invalid = json!({"reason": "invalid_client", "count": 5});
    let unknown = json!({"reason": "unknown_api_key", "count": 1});
    assert_eq!(told, [(Some("127.0.0.1"), unknown), (Some("127.0.0.1"), invalid)]);
    assert!(events.iter().all(|event| event.who.as_str() == "server" && event.client_id.is_none()));
    assert!(server.metric("holdfast_audit_events_total{kind=\"requests_refused\"} 2"));
}

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// IV-7: whoever proved who it is and is refused leaves a record, whatever it asked for; and exactly one.
#[rstest]
#[case::scope("reporter", "token", &[("grant_type", "client_credentials"), ("scope", "x")], "client_credentials", "invalid_scope")]
#[case::target("reporter", "token", &[("grant_type", "client_credentials"), ("resource", "https://x.example")], "client_credentials", "invalid_target")]
#[case::suspended("suspended", "token", &[("grant_type", "client_credentials")], "client_credentials", "suspended")]
#[case::grant("reporter", "token", &[("grant_type", "authorization_code"), ("code", "x")], "authorization_code", "grant_not_allowed")]
#[case::code("portal", "token", &[("grant_type", "authorization_code"), ("code", "x")], "authorization_code", "grant_unknown")]
#[case::refresh("portal", "token", &[("grant_type", "refresh_token"), ("refresh_token", "x")], "refresh_token", "grant_unknown")]
#[case::device_code("reporter", "token", &[("grant_type", DEVICE), ("device_code", "x")], "device_code", "grant_not_allowed")]
#[case::exchange("reporter", "token", &[("grant_type", EXCHANGE)], "token_exchange", "malformed")]
#[case::foreign_grant("reporter", "token", &[("grant_type", "password")], "unknown", "unsupported_grant_type")]
#[case::introspection("suspended", "introspect", &[("token", "x")], "introspection", "suspended")]
#[case::revocation("reporter", "revoke", &[("token", "x"), ("token_type_hint", "saml")], "revocation", "unsupported_token_type")]
#[case::pushed("reporter", "par", &[("response_type", "code")], "pushed_request", "invalid_redirect_uri")]
#[case::device("reporter", "device_authorization", &[("scope", "invoices.read")], "device_authorization", "grant_not_allowed")]
#[tokio::test]
async fn whoever_is_known_and_refused_is_recorded(
    #[case] client: &str,
    #[case] endpoint: &str,
    #[case] form: &[(&str, &str)],
    #[case] request: &str,
    #[case] reason: &str,
) {
    let server = server().await;
    let refused = server.post_as(client, &format!("/oauth/{endpoint}"), form).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    server.server.write_refusals().await.unwrap();
    let denials = events(&server, AuditKind::AuthorizationDenied).await;
    let [event] = denials.as_slice() else { panic!("{denials:?}") };
    assert_eq!(event.detail, json!({"request": request, "reason": reason}));
    assert_eq!((event.who.as_str(), event.client_id.as_deref()), (&*format!("client:{client}"), Some(client)));
    assert_eq!(event.source.as_deref(), Some("127.0.0.1"));
    assert!(server.metric("holdfast_audit_events_total{kind=\"authorization_denied\"} 1"));
    assert!(events(&server, AuditKind::RequestsRefused).await.is_empty(), "nor are they counted among strangers");
}

/// IV-7: a public client proves nothing by its id, so what is refused in its name is summed up, too.
#[tokio::test]
async fn the_id_of_a_public_client_fills_no_disk() {
    let server = server().await;
    for _ in 0..3 {
        let form = "grant_type=refresh_token&client_id=app&refresh_token=x";
        assert_eq!(server.post("/oauth/token", None, form).await.error(), "invalid_grant");
    }
    server.server.write_refusals().await.unwrap();
    let events = events(&server, AuditKind::RequestsRefused).await;
    assert_eq!(
        events.iter().map(|event| &event.detail).collect::<Vec<_>>(),
        [&json!({"reason": "grant_unknown", "count": 3})]
    );
    assert_eq!(server.audited(AuditKind::AuthorizationDenied).await, 0);
}

/// IV-7: a client that goes on and on is counted to the last refusal, and does not fill the disk.
#[tokio::test]
async fn a_client_that_goes_on_and_on_is_summed_up() {
    let server = server().await;
    for _ in 0..100 {
        let form = [("grant_type", "client_credentials"), ("scope", "x")];
        assert_eq!(server.post_as("reporter", "/oauth/token", &form).await.status, 400);
    }
    let own = events(&server, AuditKind::AuthorizationDenied).await.len();
    server.server.write_refusals().await.unwrap();
    let all = events(&server, AuditKind::AuthorizationDenied).await;
    assert_eq!(all.len(), own + 1);
    let more = all[0].detail["count"].as_u64().unwrap() as usize;
    assert!(own + more == 100 && (60..90).contains(&own), "{own} and {more}");
    assert_eq!((all[0].who.as_str(), &all[0].detail["reason"]), ("client:reporter", &json!("invalid_scope")));
}

/// IV-7, E-01: who asks about a token of another's is told nothing, and the audit is.
#[tokio::test]
async fn who_asks_about_a_token_of_another_s_is_recorded() {
    let server = server().await;
    let token = server.token("reporter", "").await;
    for _ in 0..2 {
        assert_eq!(server.introspect("another", &token).await, json!({"active": false}));
    }
    assert_eq!(server.post_as("another", "/oauth/revoke", &[("token", &token)]).await.status, 200);
    server.introspect("another", "unknown").await;
    assert_eq!(server.introspect("reporter", &token).await["active"], true);
    assert_eq!(server.audited(AuditKind::AuthorizationDenied).await, 0, "no answer has waited for a record");
    server.server.write_refusals().await.unwrap();
    let mut told: Vec<_> = events(&server, AuditKind::AuthorizationDenied).await;
    told.sort_by_key(|event| event.detail.to_string());
    let details: Vec<_> = told.iter().map(|event| (event.who.as_str(), event.detail.clone())).collect();
    let row = |reason, count| ("client:another", json!({"reason": reason, "count": count}));
    assert_eq!(details, [row("revocation_of_another", 1), row("introspection_of_another", 2)]);
}

/// IV-7: users are known once they have signed in.
#[tokio::test]
async fn a_user_who_may_not_is_recorded() {
    let stage = Stage::set().await;
    stage.server.put("rs_files", &files(json!({"defaultRole": null}))).await;
    stage.server.put("app", &app(json!({}))).await;
    let bob = stage.signed_in(BOB).await;
    bob.open(&request("app", &[])).await;
    let denials = events(&stage.server, AuditKind::AuthorizationDenied).await;
    let [event] = denials.as_slice() else { panic!("{denials:?}") };
    assert_eq!(event.detail, json!({"request": "authorization", "reason": "no_role"}));
    assert_eq!((event.user_id.as_deref(), event.client_id.as_deref()), (Some(stage.bob.as_str()), Some("app")));
    let stranger = stage.browser();
    stranger.open(&request("nobody", &[])).await;
    stage.server.server.write_refusals().await.unwrap();
    let summed = events(&stage.server, AuditKind::RequestsRefused).await;
    assert_eq!(
        summed.iter().map(|event| &event.detail).collect::<Vec<_>>(),
        [&json!({"reason": "unknown_client", "count": 1})]
    );
}

/// A question is no refusal: a sign-in that is asked for, consent that is asked for, a no that has its own record.
#[tokio::test]
async fn steps_of_the_protocol_are_no_denials() {
    let stage = Stage::set().await;
    let browser = stage.browser();
    asks_password(&browser.open(&request("app", &[])).await);
    browser.open(&request("app", &[("prompt", "none")])).await;
    let ada = stage.signed_in(ADA).await;
    asks_consent(&ada.open(&request("app", &[])).await);
    ada.open(&request("app", &[("prompt", "none")])).await;
    stage.server.server.write_refusals().await.unwrap();
    for kind in [AuditKind::AuthorizationDenied, AuditKind::RequestsRefused] {
        let found = events(&stage.server, kind).await;
        assert!(found.is_empty(), "{found:?}");
    }
}

/// O12: an administrator without the role for it; what they asked for is named, what they sent is not.
#[tokio::test]
async fn an_administrator_without_the_role_is_recorded() {
    let server = server().await;
    for (method, path, who) in [
        ("PUT", "/admin/dcr", "olga"),
        ("PATCH", "/admin/clients/canary", "vera"),
        ("POST", "/admin/keys/rotate", "vera"),
        ("DELETE", "/admin/consents/canary", "vera"),
        ("POST", "/admin/users", "olga"),
        ("DELETE", "/admin/sessions/canary", "olga"),
    ] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = server.http.request(method, format!("{}{path}", server.admin)).bearer_auth(secret(who));
        let request = request.header("content-type", "application/json").body("{}");
        assert_eq!(answer(request).await.status, 403, "{path}");
    }
    let denials = events(&server, AuditKind::AdminDenied).await;
    let told: Vec<_> = denials.iter().rev().map(|event| (event.who.as_str(), event.detail.clone())).collect();
    let row = |who, request: &str, role: &str| (who, json!({"request": request, "role": role}));
    let (olga, vera) = ("apikey:olga", "apikey:vera");
    assert_eq!(
        told,
        [
            row(olga, "PUT /admin/dcr", "operator"),
            row(vera, "PATCH /admin/clients/{id}", "viewer"),
            row(vera, "POST /admin/keys/rotate", "viewer"),
            row(vera, "DELETE /admin/consents/{id}", "viewer"),
            row(olga, "POST /admin/users", "operator"),
            row(olga, "DELETE /admin/sessions/{id}", "operator"),
        ]
    );
    assert!(denials.iter().all(|event| event.source.as_deref() == Some("127.0.0.1")));
    assert!(server.metric("holdfast_audit_events_total{kind=\"admin_denied\"} 6"));
}

/// IV-7, O9: each issuance is counted once, by the record that it has, whatever the grant.
#[tokio::test]
async fn every_issuance_is_counted_by_its_record() {
    let server = server().await;
    for _ in 0..3 {
        server.token("reporter", "").await;
    }
    let issued = server.sign_in("portal").await;
    let token = super::person::text(&issued, "refresh_token");
    assert_eq!(server.refresh("portal", token).await.status, 200);
    for (kind, records) in [("token_issued", 4), ("token_refreshed", 1), ("grant_created", 1), ("token_exchanged", 0)] {
        let line = format!("holdfast_audit_events_total{{kind=\"{kind}\"}} {records}");
        assert!(server.metric(&line), "{line}");
    }
}
