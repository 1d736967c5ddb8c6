//! The admin port: keys, roles, and rows that somebody owns.

use holdfast::domain::{Actor, DeletionPolicy, Kind, Managed, Owner, OwnerKey, SecretText};
use rstest::rstest;
use serde_json::{Value, json};

use crate::oauth::harness::{Answer, Server, Setup, answer, client, now, secret, server};

async fn list(server: &Server, key: Option<&str>) -> Answer {
    let request = server.http.get(format!("{}/admin/resources", server.admin));
    answer(key.map_or(request.try_clone().unwrap(), |key| request.bearer_auth(key))).await
}

async fn patch(server: &Server, who: &str, path: &str, body: Value) -> Answer {
    let request = server.http.patch(format!("{}{path}", server.admin)).bearer_auth(secret(who));
    answer(request.header("content-type", "application/merge-patch+json").body(body.to_string())).await
}

/// Mechanics §8: there is no default credential.
#[tokio::test]
async fn nothing_opens_the_admin_port_but_a_key() {
    let server = Setup { failures_per_minute: 3, ..Setup::default() }.start().await;
    let nobody = list(&server, None).await;
    assert_eq!((nobody.status, nobody.header("www-authenticate")), (401, "Bearer realm=\"holdfast\""));
    for key in ["admin", "holdfast", &secret("reporter")] {
        let got = list(&server, Some(key)).await;
        assert_eq!((got.status, got.error().as_str()), (401, "invalid_token"), "{key}");
    }
    assert_eq!(list(&server, Some("again")).await.status, 429);
    assert_eq!(list(&server, Some(&secret("vera"))).await.status, 200, "a good key is not slowed down");
    let basic = server.http.get(format!("{}/admin/resources", server.admin)).basic_auth("anna", Some(secret("anna")));
    assert_eq!(answer(basic).await.status, 401);
    let mut tx = server.store.write(&Actor::controller()).await.unwrap();
    assert!(tx.revoke_api_key("vera", now()).await.unwrap());
    tx.commit().await.unwrap();
    assert_ne!(list(&server, Some(&secret("vera"))).await.status, 200);
}

#[tokio::test]
async fn every_row_is_listed_without_a_secret() {
    let server = server().await;
    let got = list(&server, Some(&secret("vera"))).await;
    let items = got.json()["items"].as_array().unwrap().clone();
    let reporter = items.iter().find(|item| item["id"] == "reporter").unwrap();
    assert_eq!((&reporter["kind"], &reporter["secrets"]), (&json!("OAuthClient"), &json!(["cred-reporter"])));
    assert!(items.iter().any(|item| item["id"] == "rs_billing"));
    let hash: Vec<u8> = SecretText::new(secret("reporter")).hash().as_bytes().to_vec();
    let hex: String = hash.iter().map(|b| format!("{b:02x}")).collect();
    assert!(!got.text.contains(&secret("reporter")) && !got.text.contains(&hex));
    assert!(server.metric("holdfast_admin_operations_total{entity=\"resource\",op=\"list\",outcome=\"success\"} 1"));
}

#[rstest]
#[case::viewer("vera", "/admin/clients/loose", json!({"displayName": "x"}), 403, "insufficient_scope")]
#[case::unknown("olga", "/admin/clients/nobody", json!({"displayName": "x"}), 404, "not_found")]
#[case::another_kind("olga", "/admin/resource-servers/loose", json!({"displayName": "x"}), 404, "not_found")]
#[case::member("olga", "/admin/clients/loose", json!({"dispalyName": "x"}), 400, "invalid_request")]
#[case::value("olga", "/admin/clients/loose", json!({"state": "Sleeping"}), 400, "invalid_request")]
#[case::list("olga", "/admin/clients/loose", json!([]), 400, "invalid_request")]
#[case::parameter("olga", "/admin/clients/loose?froce=true", json!({"displayName": "x"}), 400, "invalid_request")]
#[case::force("olga", "/admin/clients/loose?force=yes", json!({"displayName": "x"}), 400, "invalid_request")]
#[tokio::test]
async fn an_edit_that_cannot_be_is_refused(
    #[case] who: &str,
    #[case] path: &str,
    #[case] body: Value,
    #[case] status: u16,
    #[case] error: &str,
) {
    let server = server().await;
    server.put("loose", &client(json!({}))).await;
    let got = patch(&server, who, path, body.clone()).await;
    assert_eq!((got.status, got.error().as_str()), (status, error), "{got:?}");
    if status == 400 && body.is_object() {
        let named = ["dispalyName", "state", "froce", "force"].iter().any(|name| got.text.contains(name));
        assert!(named, "the error names what is wrong: {got:?}");
    }
    let entity = server.store.read().await.unwrap().entity(Kind::OAuthClient, "loose").await.unwrap().unwrap();
    assert_eq!(entity.spec, client(json!({})), "no side effect");
}

#[tokio::test]
async fn an_unowned_row_is_edited_and_holds_at_once() {
    let server = server().await;
    server.put("loose", &client(json!({}))).await;
    let got = patch(&server, "olga", "/admin/clients/loose", json!({"state": "Suspended"})).await;
    assert_eq!((got.status, &got.json()["spec"]["state"]), (200, &json!("Suspended")), "{got:?}");
    let text = server.http.patch(format!("{}/admin/clients/loose", server.admin)).bearer_auth(secret("olga"));
    let wrong = answer(text.header("content-type", "text/plain").body("{}")).await;
    assert_eq!((wrong.status, wrong.error().as_str()), (415, "invalid_request"));
    assert!(server.metric("holdfast_admin_operations_total{entity=\"client\",op=\"update\",outcome=\"success\"} 1"));
}

/// A row that an object owns: 409 names the object, force changes the row all the same.
#[tokio::test]
async fn an_owned_row_is_changed_only_by_force() {
    let server = server().await;
    let key = OwnerKey::new(Kind::OAuthClient, "web", "reporter");
    let managed = Managed {
        owner: Owner { key, namespace_uid: "n".into(), object_uid: "o".into() },
        entity_id: "reporter".into(),
        deletion: DeletionPolicy::Delete,
        last_applied: Some(client(json!({}))),
        credentials: Vec::new(),
        drift: None,
        correction: None,
        settled: 0,
        revoked_before: None,
        deleted_at: None,
    };
    let mut tx = server.store.write(&Actor::controller()).await.unwrap();
    tx.put_managed(&managed).await.unwrap();
    tx.commit().await.unwrap();
    let change = json!({"displayName": "Changed"});
    let refused = patch(&server, "anna", "/admin/clients/reporter", change.clone()).await;
    assert_eq!((refused.status, refused.error().as_str()), (409, "owned"));
    assert!(refused.text.contains("OAuthClient/web/reporter"), "{refused:?}");
    let forced = patch(&server, "anna", "/admin/clients/reporter?force=true", change).await;
    assert_eq!((forced.status, &forced.json()["spec"]["displayName"]), (200, &json!("Changed")), "{forced:?}");
    let traces = server.store.read().await.unwrap().traces(Kind::OAuthClient, "reporter", 0).await.unwrap();
    assert_eq!(traces.last().unwrap().actor.as_str(), "apikey:anna");
}
