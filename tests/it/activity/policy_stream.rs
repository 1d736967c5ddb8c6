//! Waiting for another policy: long polls and streams, what wakes them, and what ends them.

use std::time::Duration;

use holdfast::activity::MOST_WAITING;
use holdfast::domain::Actor;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::policy::path;
use crate::oauth::harness::{Server, credential, secret, server};

/// Longer than anything here takes, shorter than what it must not take.
const PATIENCE: Duration = Duration::from_secs(20);

async fn tag(server: &Server, id: &str) -> String {
    server.policy_of("rs_billing", id, "", &[]).await.header("etag").to_owned()
}

/// One event of a stream.
#[derive(Debug, PartialEq)]
struct Event {
    id: String,
    kind: String,
    data: Value,
}

/// A stream that is read event by event.
struct Listening {
    response: reqwest::Response,
    text: String,
}

impl Listening {
    async fn begin(server: &Server, who: &str, headers: &[(&str, &str)]) -> Self {
        let request = server.http.get(format!("{}{}", server.public, path("rs_billing")));
        let request = request.basic_auth(who, Some(secret(who))).header("accept", "text/event-stream");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self { response, text: String::new() }
    }

    /// The next event; `None` when the stream has ended.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    let mut lines = event.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                    lines.next().unwrap_or_default().to_owned()
                };
                if event.starts_with(':') {
                    continue;
                }
                let data = serde_json::from_str(&field("data")).unwrap();
                return Some(Event { id: field("id"), kind: field("event"), data });
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("nothing came").ok()??;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

/// D10: a request that waits is answered when the policy moves.
#[tokio::test]
async fn a_long_poll_is_answered_by_the_change() {
    let server = server().await;
    server.put_billing(json!({})).await;
    let held = tag(&server, "rs_billing").await;
    let headers = [("if-none-match", held.as_str())];
    let wait = server.policy_of("rs_billing", "rs_billing", "?wait=55", &headers);
    let change = async {
        // of others nobody is woken
        server.put("rs_eddsa", &crate::oauth::harness::resource_server("https://eddsa.example.com", json!({}))).await;
        server.put_billing(json!({"tools": []})).await;
    };
    let (told, ()) = timeout(PATIENCE, async { tokio::join!(wait, change) }).await.unwrap();
    assert_eq!(told.status, 200);
    assert_eq!(told.json()["tools"], json!([]));
    assert_ne!(told.header("etag"), held);
}

#[tokio::test]
async fn a_long_poll_ends_unchanged_when_its_time_is_over() {
    let server = server().await;
    server.put_billing(json!({})).await;
    let held = tag(&server, "rs_billing").await;
    let told = server.policy_of("gateway", "rs_billing", "?wait=1", &[("if-none-match", &held)]).await;
    assert_eq!((told.status, told.header("etag")), (304, held.as_str()));
    // whoever holds nothing does not wait
    let told = timeout(PATIENCE, server.policy_of("gateway", "rs_billing", "?wait=55", &[])).await.unwrap();
    assert_eq!(told.status, 200);
}

/// A permission that is withdrawn ends a wait, and tells nothing.
#[tokio::test]
async fn a_wait_ends_with_the_permission() {
    let server = server().await;
    server.put_billing(json!({})).await;
    let held = tag(&server, "rs_billing").await;
    let headers = [("if-none-match", held.as_str())];
    let wait = server.policy_of("gateway", "rs_billing", "?wait=55", &headers);
    let withdraw = server.put_billing(json!({"runtimeClients": []}));
    let (told, ()) = timeout(PATIENCE, async { tokio::join!(wait, withdraw) }).await.unwrap();
    assert_eq!((told.status, told.error().as_str()), (403, "access_denied"));
}

/// A resource server that is deleted is answered as one that never was.
#[tokio::test]
async fn a_wait_ends_with_the_resource_server() {
    let server = server().await;
    server.put_billing(json!({})).await;
    let held = tag(&server, "rs_billing").await;
    let headers = [("if-none-match", held.as_str())];
    let wait = server.policy_of("gateway", "rs_billing", "?wait=55", &headers);
    let delete = async {
        let mut tx = server.store.write(&Actor::controller()).await.unwrap();
        tx.delete(holdfast::domain::Kind::ResourceServer, "rs_billing").await.unwrap();
        tx.commit().await.unwrap();
    };
    let (told, ()) = timeout(PATIENCE, async { tokio::join!(wait, delete) }).await.unwrap();
    let unknown = server.policy_of("gateway", "rs_unknown", "", &[]).await;
    assert_eq!((told.status, told.text), (403, unknown.text));
}

/// D10: a stream says what is in force, then each change; whoever comes back is told only what is new.
#[tokio::test]
async fn a_stream_tells_each_change() {
    let server = server().await;
    server.put_billing(json!({})).await;
    let mut stream = Listening::begin(&server, "rs_billing", &[]).await;
    let first = stream.next().await.unwrap();
    assert_eq!((first.kind.as_str(), first.data["tools"].as_array().unwrap().len()), ("policy", 3));
    assert_eq!(format!("\"{}\"", first.id), tag(&server, "rs_billing").await);
    server.put_billing(json!({"tools": []})).await;
    let second = stream.next().await.unwrap();
    assert_eq!((&second.data["tools"], second.kind.as_str()), (&json!([]), "policy"));
    drop(stream);

    let mut again = Listening::begin(&server, "rs_billing", &[("last-event-id", &second.id)]).await;
    server.put_billing(json!({})).await;
    let third = again.next().await.unwrap();
    assert_eq!(third.data["tools"].as_array().unwrap().len(), 3, "the second is not told twice: {third:?}");
    let mut behind = Listening::begin(&server, "gateway", &[("last-event-id", &first.id)]).await;
    assert_eq!(behind.next().await.unwrap().id, third.id);
}

/// D7: a stream ends with the credential that opened it, while that of the others goes on.
#[tokio::test]
async fn a_stream_ends_with_its_credential() {
    let server = server().await;
    server.put_billing(json!({})).await;
    let mut by_secret = Listening::begin(&server, "rs_billing", &[]).await;
    let mut by_client = Listening::begin(&server, "gateway", &[]).await;
    assert!(by_secret.next().await.is_some() && by_client.next().await.is_some());
    let mut tx = server.store.write(&Actor::controller()).await.unwrap();
    tx.delete_credential("cred-rs_billing").await.unwrap();
    tx.put_credential("rs_billing", &credential("cred-next", "another-secret-0123456789-0123456789")).await.unwrap();
    tx.commit().await.unwrap();
    // the version moved with the credential: who listens by another one is told
    assert!(by_client.next().await.is_some());
    loop {
        // what was on its way may still come
        if by_secret.next().await.is_none() {
            break;
        }
    }
    let mut tx = server.store.write(&Actor::controller()).await.unwrap();
    tx.delete_credential("cred-gateway").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(by_client.next().await, None);
}

/// A process that ends sends everybody home first: a poll without a change, a stream without an event.
#[tokio::test]
async fn a_server_that_ends_sends_everybody_home() {
    let server = server().await;
    server.put_billing(json!({})).await;
    let held = tag(&server, "rs_billing").await;
    let headers = [("if-none-match", held.as_str())];
    let mut stream = Listening::begin(&server, "rs_billing", &headers).await;
    let wait = server.policy_of("gateway", "rs_billing", "?wait=55", &headers);
    let close = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.activity.close();
    };
    let (told, ()) = timeout(PATIENCE, async { tokio::join!(wait, close) }).await.unwrap();
    assert_eq!(told.status, 304);
    assert_eq!(stream.next().await, None);
}

/// So many may wait for one resource server, and no more; for others there is room, and nobody is refused the policy.
#[tokio::test]
async fn those_who_wait_are_counted() {
    let server = server().await;
    server.put_billing(json!({})).await;
    let held = tag(&server, "rs_billing").await;
    let places: Vec<_> = (0..MOST_WAITING).map(|_| server.activity.wait("rs_billing").unwrap()).collect();
    let headers = [("if-none-match", held.as_str())];
    let full = server.policy_of("rs_billing", "rs_billing", "?wait=55", &headers).await;
    assert_eq!((full.status, full.error().as_str()), (503, "temporarily_unavailable"));
    assert_eq!(full.header("retry-after"), "5");
    assert_eq!(server.policy_of("rs_billing", "rs_billing", "", &headers).await.status, 304);
    assert_eq!(server.policy_of("rs_billing", "rs_billing", "?wait=55", &[]).await.status, 200);
    assert!(server.activity.wait("rs_eddsa").is_ok());
    drop(places);
    assert!(server.activity.wait("rs_billing").is_ok());
    assert!(server.metric("holdfast_policy_refreshes_total{outcome=\"error\"} 1"));
}

/// A listener that does not read holds up neither a change nor anybody else.
#[tokio::test]
async fn a_slow_reader_holds_up_nobody() {
    let server = server().await;
    server.put_billing(json!({})).await;
    let idle = Listening::begin(&server, "rs_billing", &[]).await;
    let scopes = |n: usize| {
        let scope =
            |i: usize| json!({"name": format!("s{i}"), "description": "x".repeat(500), "risk": "Low", "upstream": ""});
        json!({"scopes": (0..200 + n).map(scope).collect::<Value>(), "tools": [], "roles": [], "roleBindings": []})
    };
    let mut quick = Listening::begin(&server, "gateway", &[]).await;
    quick.next().await.unwrap();
    for n in 0..20 {
        server.put_billing(scopes(n)).await;
        let told = quick.next().await.unwrap();
        assert_eq!(told.data["scopes"].as_array().unwrap().len(), 200 + n);
    }
    drop(idle);
}
