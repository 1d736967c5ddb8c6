//! Policy that changes while tokens are issued: what was acknowledged holds at once.

use holdfast::domain::Actor;
use serde_json::json;

use super::harness::{BILLING, client, resource_server, server};

/// Mechanics §12: a withdrawn scope, a suspension and a deletion hold for the very next request, whatever memory says.
#[tokio::test]
async fn a_change_holds_for_the_next_request() {
    let server = server().await;
    let ask = [("grant_type", "client_credentials")];
    server.token("reporter", BILLING).await;
    let fewer =
        client(json!({"resources": [{"name": "b", "resourceServerID": "rs_billing", "scopes": ["invoices.read"]}]}));
    server.put("reporter", &fewer).await;
    let answer = server.post_as("reporter", "/oauth/token", &ask).await;
    assert_eq!(answer.json()["scope"], "invoices.read");
    server.put("reporter", &client(json!({"state": "Suspended"}))).await;
    let answer = server.post_as("reporter", "/oauth/token", &ask).await;
    assert_eq!((answer.status, answer.error().as_str()), (400, "unauthorized_client"));
    let mut tx = server.store.write(&Actor::controller()).await.unwrap();
    tx.delete(holdfast::domain::Kind::OAuthClient, "another").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(server.post_as("another", "/oauth/token", &ask).await.error(), "invalid_client");
    server.put("rs_billing", &resource_server(BILLING, json!({"lifecycle": "Draft"}))).await;
    let named = [ask[0], ("resource", BILLING)];
    assert_eq!(server.post_as("multi", "/oauth/token", &named).await.error(), "invalid_target");
}

/// Fifty requests at once while policy changes: each ends in a token or a refusal, none in an error.
#[tokio::test]
async fn requests_in_flight_survive_a_change() {
    let server = server().await;
    let ask = [("grant_type", "client_credentials")];
    let requests = (0..50).map(|_| server.post_as("reporter", "/oauth/token", &ask));
    let change = async {
        for name in ["one", "two"] {
            server.put("reporter", &client(json!({"displayName": name}))).await;
        }
    };
    let (answers, ()) = tokio::join!(futures::future::join_all(requests), change);
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
}
