//! Files that change, break and go.

use std::time::{Duration, Instant};

use super::{CLIENT, ILLEGAL, PROVIDER, RESOURCE_SERVER, samples};
use crate::support::server::{Home, Server};

/// Longer than two looks that are two seconds apart.
const WAIT: Duration = Duration::from_millis(4500);

/// Id and secret of the sample's client, once they are published.
async fn portal(home: &Home, server: &Server) -> (String, String) {
    server.event("secret_generated", |line| line["name"] == "portal").await;
    (home.secret("portal-oauth", "client_id"), home.secret("portal-oauth", "client_secret"))
}

#[tokio::test]
async fn an_edit_is_an_update_and_no_drift() {
    let home = samples();
    let server = home.start().await;
    let (id, secret) = portal(&home, &server).await;
    home.write("oauthclient.yaml", &CLIENT.replace("Customer portal", "Portal of customers"));
    server.event("reconciled", |line| line["name"] == "portal" && line["outcome"] == "updated").await;
    assert!(server.events("drift_detected").is_empty());
    home.write("oauthclient.yaml", &CLIENT.replace("displayName", "state: Suspended\n  displayName"));
    server.event("reconciled", |line| line["reason"] == "Suspended" && line["ready"] == true).await;
    assert_eq!(server.token(&id, &secret).await.status(), 400);
}

#[tokio::test]
async fn a_broken_file_keeps_its_last_good_objects_and_blocks_no_other() {
    let home = samples();
    let server = home.start().await;
    let (id, secret) = portal(&home, &server).await;
    home.write("oauthclient.yaml", "kind: [OAuthClient");
    let said = server.event("policy_file_invalid", |_| true).await;
    assert!(said["fault"].as_str().unwrap().starts_with("oauthclient.yaml: line 1: "), "{said}");
    home.write("resourceserver.yaml", &RESOURCE_SERVER.replace("Billing MCP", "Invoices"));
    server.event("reconciled", |line| line["name"] == "billing-mcp" && line["outcome"] == "updated").await;
    tokio::time::sleep(WAIT).await;
    assert!(server.token(&id, &secret).await.status().is_success());
    assert_eq!(server.events("policy_file_invalid").len(), 1, "it is said once");
}

#[tokio::test]
async fn an_illegal_object_is_named_with_its_field_and_changes_nothing() {
    let home = samples();
    home.write("illegal.yaml", ILLEGAL);
    let server = home.start().await;
    let (id, secret) = portal(&home, &server).await;
    let said = server.event("reconciled", |line| line["reason"] == "InvalidSpec").await;
    assert!(said["message"].as_str().unwrap().contains("spec."), "{said}");
    home.write("oauthclient.yaml", &CLIENT.replace("clientID: portal", "clientID: gateway"));
    let said = server.event("reconciled", |line| line["name"] == "portal" && line["ready"] == false).await;
    assert!(said["message"].as_str().unwrap().contains("clientID is immutable"), "{said}");
    assert!(server.token(&id, &secret).await.status().is_success(), "the last good revision stays");
}

#[tokio::test]
async fn an_object_goes_when_two_looks_lack_it_and_its_tokens_go_along() {
    let home = samples();
    let server = home.start().await;
    let (id, secret) = portal(&home, &server).await;
    let token = server.access_token(&id, &secret).await;
    let before = Instant::now();
    std::fs::remove_file(home.policy().join("oauthclient.yaml")).unwrap();
    server.event("deleted", |line| line["name"] == "portal").await;
    assert!(before.elapsed() >= Duration::from_secs(2), "{:?}", before.elapsed());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(server.token(&id, &secret).await.status(), 401);
    assert!(!home.data().join("secrets/default/portal-oauth").exists());
    home.write("oauthclient.yaml", CLIENT);
    let file = home.data().join("secrets/default/portal-oauth/client_secret");
    while !file.exists() {
        assert!(before.elapsed() < Duration::from_secs(20), "{}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let again = home.secret("portal-oauth", "client_secret");
    assert_ne!(again, secret, "the id comes back, the secret does not");
    assert_eq!(server.introspect((&id, &again), &token).await["active"], false);
}

#[tokio::test]
async fn an_empty_or_absent_folder_deletes_nothing() {
    let home = samples();
    let server = home.start().await;
    let (id, secret) = portal(&home, &server).await;
    for name in ["oauthclient.yaml", "provider.yaml", "resourceserver.yaml"] {
        std::fs::remove_file(home.policy().join(name)).unwrap();
    }
    let says = |text: &'static str| {
        move |line: &serde_json::Value| line["error"].as_str().is_some_and(|error| error.contains(text))
    };
    server.event("policy_directory_unreadable", says("is empty")).await;
    tokio::time::sleep(WAIT).await;
    assert!(server.token(&id, &secret).await.status().is_success());
    std::fs::remove_dir(home.policy()).unwrap();
    server.event("policy_directory_unreadable", says("No such file")).await;
    tokio::time::sleep(WAIT).await;
    assert!(server.token(&id, &secret).await.status().is_success());
    assert!(server.events("deleted").is_empty());
}

#[tokio::test]
async fn what_was_taken_away_while_the_program_was_down_goes_too() {
    let home = samples();
    let mut server = home.start().await;
    let (id, secret) = portal(&home, &server).await;
    server.signal("TERM");
    server.ended().await;
    std::fs::remove_file(home.policy().join("oauthclient.yaml")).unwrap();
    let server = home.start().await;
    server.event("deleted", |line| line["name"] == "portal").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(server.token(&id, &secret).await.status(), 401);
}

#[tokio::test]
async fn references_across_namespaces_follow_the_labels_of_the_namespace() {
    let elsewhere = "name: billing-mcp\n      namespace: default";
    let client = CLIENT.replace("namespace: default", "namespace: web").replace("name: billing-mcp", elsewhere);
    let home = Home::with_policy(&[("c.yaml", &client), ("p.yaml", PROVIDER), ("r.yaml", RESOURCE_SERVER)]);
    let server = home.start().await;
    server.event("reconciled", |line| line["name"] == "portal" && line["reason"] == "RefNotPermitted").await;
    home.write("ns.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: web, labels: {billing: allowed}}\n");
    server.event("reconciled", |line| line["name"] == "portal" && line["ready"] == true).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let secret = std::fs::read_to_string(home.data().join("secrets/web/portal-oauth/client_secret")).unwrap();
    assert!(server.token("portal", &secret).await.status().is_success());
}
