//! From the samples to a token; how the program ends and comes back.

use std::time::Duration;

use serde_json::Value;

use super::samples;
use crate::support::server::{Home, Server};

async fn portal_is_ready(server: &Server) {
    server.event("reconciled", |line| line["name"] == "portal" && line["ready"] == true).await;
}

async fn kids(server: &Server) -> Vec<Value> {
    let metadata = server.get(&server.public("/.well-known/oauth-authorization-server")).await;
    let metadata: Value = metadata.json().await.unwrap();
    let jwks: Value = server.get(metadata["jwks_uri"].as_str().unwrap()).await.json().await.unwrap();
    jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect()
}

/// K1
#[tokio::test]
async fn the_samples_give_a_token_that_introspects_active() {
    let home = samples();
    let server = home.start().await;
    portal_is_ready(&server).await;
    let (id, secret) = (home.secret("portal-oauth", "client_id"), home.secret("portal-oauth", "client_secret"));
    assert_eq!(home.secret("portal-oauth", "issuer"), format!("http://localhost:{}", home.public));
    let token = server.access_token(&id, &secret).await;
    let seen = server.introspect((&id, &secret), &token).await;
    assert_eq!((seen["active"].as_bool(), seen["scope"].as_str()), (Some(true), Some("invoices.read")), "{seen}");
    assert!(!server.log().contains(&secret), "no secret in the log");

    let key = home.api_key("reader", "viewer");
    let request = server.client().get(server.admin("/admin/resources")).bearer_auth(key);
    let listed: Value = request.send().await.unwrap().json().await.unwrap();
    let ready = listed["items"].as_array().unwrap().iter().filter(|item| item["status"]["ready"] == true).count();
    assert_eq!(ready, 3, "{listed}");
}

#[tokio::test]
async fn without_a_policy_it_comes_up_and_issues_nothing() {
    let home = Home::new();
    let server = home.start().await;
    assert_eq!(server.token("portal", "x").await.status(), 401);
    assert!(!kids(&server).await.is_empty());
}

/// OV-3
#[tokio::test]
async fn killed_and_started_again_it_has_its_keys_and_its_tokens() {
    let home = samples();
    let mut server = home.start().await;
    portal_is_ready(&server).await;
    let (id, secret) = (home.secret("portal-oauth", "client_id"), home.secret("portal-oauth", "client_secret"));
    let (token, before) = (server.access_token(&id, &secret).await, kids(&server).await);
    server.signal("KILL");
    server.ended().await;
    let server = home.start().await;
    assert_eq!(kids(&server).await, before);
    assert_eq!(server.introspect((&id, &secret), &token).await["active"], true);
    portal_is_ready(&server).await;
    assert_eq!(home.secret("portal-oauth", "client_secret"), secret, "a restart rotates nothing");
    assert!(server.events("reconciled").iter().all(|line| line["outcome"] == "unchanged"), "{}", server.log());
}

#[tokio::test]
async fn sigterm_says_not_ready_first_then_ends_with_0() {
    let mut home = samples();
    home.set("HOLDFAST_SERVER__SHUTDOWN_WAIT", "2s");
    let mut server = home.start().await;
    server.signal("TERM");
    server.event("draining", |line| line["signal"] == "SIGTERM").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(server.get(&server.public("/ready")).await.status(), 503);
    assert_eq!(server.get(&server.public("/livez")).await.status(), 200);
    assert_eq!(server.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_hangup_changes_nothing_and_ctrl_c_ends_it() {
    let home = Home::new();
    let mut server = home.start().await;
    server.signal("HUP");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(server.is_running());
    server.signal("INT");
    assert_eq!(server.ended().await.code(), Some(0));
}

fn refused(home: &Home, says: &str) {
    let output = home.refused();
    let err = String::from_utf8(output.stderr).unwrap();
    let last = err.lines().last().unwrap_or_default();
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(last.starts_with("holdfast: ") && last.contains(says), "{err}");
}

/// OV-3
#[tokio::test]
async fn a_second_server_and_a_lost_key_are_refused() {
    let home = samples();
    let mut server = home.start().await;
    refused(&home, "another process serves this database");
    assert_eq!(server.get(&server.public("/ready")).await.status(), 200);
    server.signal("TERM");
    server.ended().await;
    let key = home.data().join("master.key");
    let text = std::fs::read_to_string(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    refused(&home, "there is none in the file");
    assert!(!key.exists());
    std::fs::write(&key, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
    refused(&home, "is not the one that the database is sealed with");
    std::fs::write(&key, text).unwrap();
    home.start().await;
}

#[tokio::test]
async fn another_installation_is_refused() {
    let mut home = Home::new();
    let mut server = home.start().await;
    server.signal("TERM");
    server.ended().await;
    home.set("HOLDFAST_INSTALLATION", "other");
    refused(&home, "it belongs to installation default");
}
