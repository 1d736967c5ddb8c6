//! `/admin/users` and `/admin/sessions`: what administrators do with people, who may, and what is written down of it.

use holdfast::domain::audit::AuditKind;
use rstest::rstest;
use serde_json::{Value, json};

use super::PASSWORD;
use super::login::person;
use crate::oauth::harness::{Answer, Server, answer, secret, server};
use crate::support::browser::Browser;

async fn call(server: &Server, who: &str, method: &str, path: &str, body: Value) -> Answer {
    let request = server.http.request(method.parse().unwrap(), format!("{}{path}", server.admin));
    let request = request.bearer_auth(secret(who));
    answer(if body.is_null() { request } else { request.json(&body) }).await
}

fn ada() -> Value {
    json!({"email": "Ada@example.com", "name": "Ada Lovelace", "role": "viewer", "password": PASSWORD})
}

/// O11: the life of an account; each step is in the audit with who did it, and no answer has a password in it.
#[tokio::test]
async fn an_account_is_made_changed_disabled_and_deleted() {
    let server = server().await;
    let made = call(&server, "anna", "POST", "/admin/users", ada()).await;
    let user = made.json();
    assert_eq!((made.status, &user["email"], &user["status"]), (201, &json!("ada@example.com"), &json!("active")));
    let path = format!("/admin/users/{}", user["id"].as_str().unwrap());
    let browser = Browser::at(&server.public);
    browser.log_in("ada@example.com", PASSWORD).await;
    let listed = call(&server, "vera", "GET", "/admin/users?email=ada@example.com", Value::Null).await;
    assert_eq!(listed.json()["items"][0]["id"], user["id"]);
    let sessions = call(&server, "vera", "GET", "/admin/sessions", Value::Null).await.json();
    assert_eq!(sessions["items"][0]["user_id"], user["id"]);
    let changed = call(&server, "anna", "PATCH", &path, json!({"name": "Countess", "role": "admin"})).await;
    assert_eq!(
        (changed.status, &changed.json()["name"], &changed.json()["role"]),
        (200, &json!("Countess"), &json!("admin"))
    );
    assert_eq!(browser.fetch("/account").await.status, 200);
    let forced = call(&server, "anna", "POST", &format!("{path}/force-logout"), Value::Null).await;
    assert_eq!(forced.json(), json!({"sessions_ended": 1}));
    assert_eq!(browser.fetch("/account").await.status, 303);
    browser.log_in("ada@example.com", PASSWORD).await;
    let reset =
        call(&server, "anna", "POST", &format!("{path}/password"), json!({"password": "a whole new sentence"})).await;
    assert_eq!((reset.status, browser.fetch("/account").await.status), (200, 303));
    browser.log_in("ada@example.com", "a whole new sentence").await;
    let disabled = call(&server, "anna", "POST", &format!("{path}/disable"), Value::Null).await;
    assert_eq!((&disabled.json()["status"], browser.fetch("/account").await.status), (&json!("disabled"), 303));
    assert_eq!(browser.log_in("ada@example.com", "a whole new sentence").await.status, 403);
    call(&server, "anna", "POST", &format!("{path}/enable"), Value::Null).await;
    browser.log_in("ada@example.com", "a whole new sentence").await;
    let session = call(&server, "vera", "GET", "/admin/sessions", Value::Null).await.json()["items"][0]["id"].clone();
    let session = format!("/admin/sessions/{}", session.as_str().unwrap());
    assert_eq!(call(&server, "anna", "DELETE", &session, Value::Null).await.status, 200);
    assert_eq!(call(&server, "anna", "DELETE", &session, Value::Null).await.status, 404);
    assert_eq!(call(&server, "anna", "DELETE", &path, Value::Null).await.status, 200);
    assert_eq!(call(&server, "anna", "GET", &path, Value::Null).await.status, 404);
    let events = server.store.read().await.unwrap().audit_events(None, 100).await.unwrap();
    for kind in [
        AuditKind::UserCreated,
        AuditKind::UserUpdated,
        AuditKind::UserPasswordChanged,
        AuditKind::UserDisabled,
        AuditKind::UserEnabled,
        AuditKind::UserDeleted,
        AuditKind::LoginSucceeded,
        AuditKind::SessionEnded,
    ] {
        let event = events.iter().find(|event| event.kind == kind).unwrap_or_else(|| panic!("no {kind:?}"));
        assert_eq!(event.user_id.as_deref(), user["id"].as_str());
        assert!(["apikey:anna", "server"].contains(&event.who.as_str()) || event.who.as_str().starts_with("user:usr_"));
    }
    assert!(!format!("{events:?}").contains("sentence"));
    let counted = "holdfast_admin_operations_total{entity=\"user\",op=\"create\",outcome=\"success\"} 1";
    assert!(server.metric(counted));
}

#[rstest]
#[case::viewer("vera", "POST", "/admin/users", ada(), 403, "insufficient_scope")]
#[case::operator("olga", "POST", "/admin/users", ada(), 403, "insufficient_scope")]
#[case::taken("anna", "POST", "/admin/users", json!({"email": "BOB@example.com", "name": "B", "password": PASSWORD}), 409, "conflict")]
#[case::weak("anna", "POST", "/admin/users", json!({"email": "c@example.com", "name": "C", "password": "password1234"}), 400, "invalid_request")]
#[case::address("anna", "POST", "/admin/users", json!({"email": "c", "name": "C", "password": PASSWORD}), 400, "invalid_request")]
#[case::name("anna", "POST", "/admin/users", json!({"email": "c@example.com", "name": "C\nD", "password": PASSWORD}), 400, "invalid_request")]
#[case::role("anna", "POST", "/admin/users", json!({"email": "c@example.com", "name": "C", "role": "king", "password": PASSWORD}), 400, "invalid_request")]
#[case::member("anna", "POST", "/admin/users", json!({"email": "c@example.com", "name": "C", "passwrd": PASSWORD}), 400, "invalid_request")]
#[case::nobody("anna", "PATCH", "/admin/users/usr_x", json!({"name": "C"}), 404, "not_found")]
#[case::nobody_to_disable("anna", "POST", "/admin/users/usr_x/disable", Value::Null, 404, "not_found")]
#[case::parameter("vera", "GET", "/admin/users?mail=x", Value::Null, 400, "invalid_request")]
#[case::limit("vera", "GET", "/admin/users?limit=0", Value::Null, 400, "invalid_request")]
#[tokio::test]
async fn what_cannot_be_is_refused(
    #[case] who: &str,
    #[case] method: &str,
    #[case] path: &str,
    #[case] body: Value,
    #[case] status: u16,
    #[case] error: &str,
) {
    let server = server().await;
    person(&server, "bob@example.com").await;
    let got = call(&server, who, method, path, body).await;
    assert_eq!((got.status, got.error().as_str()), (status, error), "{got:?}");
    assert!(!got.text.contains(PASSWORD) && !got.text.contains("password1234"));
    let all = call(&server, "vera", "GET", "/admin/users", Value::Null).await;
    assert_eq!(all.json()["items"].as_array().unwrap().len(), 1, "no side effect");
}

/// Y-08, R-60: where a page begins is an id and nothing else: whatever stands there is compared, never run.
#[tokio::test]
async fn a_long_list_comes_in_pages() {
    let server = server().await;
    for name in ["a", "b", "c"] {
        person(&server, &format!("{name}@example.com")).await;
        server.clock.advance(1);
    }
    let one = call(&server, "vera", "GET", "/admin/users?limit=2", Value::Null).await.json();
    assert_eq!(one["items"].as_array().unwrap().len(), 2);
    let next = format!("/admin/users?limit=2&after={}", one["next"].as_str().unwrap());
    let two = call(&server, "vera", "GET", &next, Value::Null).await.json();
    assert_eq!((two["items"].as_array().unwrap().len(), two.get("next")), (1, None));
    assert_eq!(two["items"][0]["email"], "c@example.com");
    for forged in ["x' OR '1'='1", "usr_z' UNION SELECT 1--", "zzz", "usr_zzz%00", "zz';DROP TABLE account;--"] {
        let encoded: String = url::form_urlencoded::byte_serialize(forged.as_bytes()).collect();
        let got = call(&server, "vera", "GET", &format!("/admin/users?after={encoded}"), Value::Null).await;
        assert!(got.status == 200 && got.json()["items"] == serde_json::json!([]) || got.status == 400, "{got:?}");
    }
    for wrong in ["limit=0", "limit=501", "limit=x", "order=1", "after=a&after=b"] {
        let got = call(&server, "vera", "GET", &format!("/admin/users?{wrong}"), Value::Null).await;
        assert_eq!(got.status, 400, "{wrong}: {got:?}");
    }
    let all = call(&server, "vera", "GET", "/admin/users", Value::Null).await.json();
    assert_eq!(all["items"].as_array().unwrap().len(), 3);
}
