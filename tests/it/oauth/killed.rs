//! The real program, killed at the worst moment: what was committed is there, and who asks again is answered.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use holdfast::app::system::{SystemClock, SystemEntropy};
use holdfast::domain::SecretText;
use holdfast::domain::observer::Unobserved;
use holdfast::oauth::{AuthorizationServer, DeviceOptions, DpopOptions, Parts};
use holdfast::seal::{MasterKey, Sealer};
use holdfast::store::{Options, Store};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::person::{self, text};
use crate::support::server::{Home, Server};

const POLICY: &str = "
apiVersion: holdfast.dev/v1alpha1
kind: ResourceServer
metadata: {name: billing}
spec:
  resourceURI: https://billing.example.com/mcp
  lifecycle: Live
  scopes: [{name: invoices.read}, {name: invoices.write}]
  roles: [{name: all, scopes: [invoices.read, invoices.write]}]
  roleBindings: [{name: u, role: all, subjects: [{kind: User, name: usr_0190163d-8694-739b-aea5-966c26f8ad91}]}]
---
apiVersion: holdfast.dev/v1alpha1
kind: OAuthClient
metadata: {name: app}
spec:
  clientID: app
  grantTypes: [authorization_code, refresh_token]
  redirectURIs: [https://app.example.com/callback]
  authentication: {method: None}
  resources: [{name: billing, resourceServerRef: {name: billing}, scopes: [invoices.read, invoices.write]}]
";

/// A server with that policy in force.
async fn started() -> (Home, Server) {
    let home = Home::with_policy(&[("policy.yaml", POLICY)]);
    let server = home.start().await;
    server.event("reconciled", |line| line["name"] == "app" && line["ready"] == true).await;
    (home, server)
}

/// The same authorization server on the same database, in this process: it issues codes.
async fn beside(home: &Home) -> (Store, AuthorizationServer) {
    let url = format!("sqlite://{}", home.data().join("holdfast.db").display());
    let store = Store::open(&Options::new(url), Arc::new(Unobserved)).await.unwrap();
    store.refresh().await.unwrap();
    let key = std::fs::read_to_string(home.data().join("master.key")).unwrap();
    let key = MasterKey::parse(&SecretText::new(key), "test").unwrap();
    let defaults = super::harness::Setup::default();
    let parts = Parts {
        keys: defaults.keys,
        limits: defaults.limits,
        pushed_requests: defaults.pushed,
        dynamic: defaults.dynamic,
        reviewer: None,
        max_exchanges: 4,
        device: DeviceOptions { lifetime: SignedDuration::from_secs(600), interval: 5 },
        dpop: DpopOptions { nonce_required: false, window: SignedDuration::from_secs(60) },
        store: store.clone(),
        sealer: Sealer::new(&key, Arc::new(SystemEntropy)).unwrap(),
        issuer: format!("http://localhost:{}", home.public),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        failures_per_minute: 100,
        max_waiting: 100,
        refresh_grace: Duration::from_secs(30),
    };
    (store, AuthorizationServer::new(parts).await.unwrap())
}

async fn ask(server: &Server, form: &[(&str, &str)]) -> Result<(u16, Value), reqwest::Error> {
    let answer = server.client().post(server.public("/oauth/token")).form(form).send().await?;
    Ok((answer.status().as_u16(), answer.json().await?))
}

async fn refresh(server: &Server, token: &str) -> Result<(u16, Value), reqwest::Error> {
    ask(server, &[("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "app")]).await
}

/// The refresh token of a fresh sign-in.
async fn sign_in(server: &Server, codes: &AuthorizationServer, store: &Store) -> String {
    let rs = store.snapshot().resource_servers().next().unwrap().id.clone();
    let authorized = holdfast::oauth::Authorized {
        resource_server_id: rs,
        signed_in: holdfast::domain::user::SignedIn {
            authenticated_at: holdfast::domain::Clock::now(&SystemClock),
            ..person::authorized("app").signed_in
        },
        ..person::authorized("app")
    };
    let code = codes.issue_code(&authorized).await.unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.expose()),
        ("code_verifier", person::VERIFIER),
        ("client_id", "app"),
    ];
    let (status, answer) = ask(server, &form).await.unwrap();
    assert_eq!(status, 200, "{answer}");
    text(&answer, "refresh_token").to_owned()
}

/// C-09: killed after the commit and before anybody read the answer; the client asks again and goes on.
#[tokio::test]
async fn killed_between_commit_and_answer_the_client_asks_again() {
    let (home, mut server) = started().await;
    let (store, codes) = beside(&home).await;
    let mut token = sign_in(&server, &codes, &store).await;
    for _ in 0..2 {
        let body = format!("grant_type=refresh_token&client_id=app&refresh_token={token}");
        let request = format!(
            "POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut connection = TcpStream::connect(("127.0.0.1", home.public)).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        let hash = SecretText::new(&*token).hash();
        loop {
            let row = store.read().await.unwrap().refresh_token(&hash).await.unwrap().unwrap();
            if row.used_at.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.signal("KILL");
        server.ended().await;
        drop(connection);
        server = home.start().await;
        let (status, again) = refresh(&server, &token).await.unwrap();
        assert_eq!(status, 200, "{again}");
        let (_, same) = refresh(&server, &token).await.unwrap();
        assert_eq!(again["refresh_token"], same["refresh_token"]);
        token = text(&again, "refresh_token").to_owned();
    }
}

/// FT-17, C-06, R-19: killed under fifty families, each client that asks once again is answered; a family that was
/// ended is still ended.
#[tokio::test]
async fn killed_under_load_no_family_is_lost_and_none_comes_back() {
    let (home, mut server) = started().await;
    let (store, codes) = beside(&home).await;
    let mut tokens = Vec::new();
    for _ in 0..50 {
        tokens.push(sign_in(&server, &codes, &store).await);
    }
    let ended = tokens.pop().unwrap();
    let form = [("token", ended.as_str()), ("client_id", "app")];
    let revoked = server.client().post(server.public("/oauth/revoke")).form(&form).send().await.unwrap();
    assert_eq!(revoked.status(), 200);
    let load = join_all(tokens.iter().map(|token| refresh(&server, token)));
    let kill = async {
        tokio::time::sleep(Duration::from_millis(40)).await;
        server.signal("KILL");
    };
    let (answers, ()) = tokio::join!(load, kill);
    server.ended().await;
    let server = home.start().await;
    for (token, answer) in tokens.iter().zip(answers) {
        let (status, again) = refresh(&server, token).await.unwrap();
        assert_eq!(status, 200, "{again}");
        if let Ok((_, first)) = answer {
            assert_eq!(first["refresh_token"], again["refresh_token"], "the same successor");
        }
    }
    let (status, refused) = refresh(&server, &ended).await.unwrap();
    assert_eq!((status, &refused["error"]), (400, &Value::from("invalid_grant")));
}

/// IV-4: what was acknowledged, a registration, its change, a revocation and the mode of registration, is there after
/// the worst moment.
#[tokio::test]
async fn what_was_acknowledged_outlives_a_kill() {
    let (home, mut server) = started().await;
    let (store, codes) = beside(&home).await;
    let token = sign_in(&server, &codes, &store).await;
    let admin = home.api_key("a", "admin");
    let url = |server: &Server, path: &str| server.public(&format!("/oauth/register{path}"));
    let body = json!({"client_name": "Mine", "redirect_uris": ["http://127.0.0.1/cb"]});
    let told: Value = server.client().post(url(&server, "")).json(&body).send().await.unwrap().json().await.unwrap();
    let own = format!("/{}", text(&told, "client_id"));
    let mut changed = body.clone();
    (changed["client_id"], changed["client_name"]) = (told["client_id"].clone(), "Renamed".into());
    let put = server.client().put(url(&server, &own)).bearer_auth(text(&told, "registration_access_token"));
    let put: Value = put.json(&changed).send().await.unwrap().json().await.unwrap();
    let form = [("token", token.as_str()), ("client_id", "app")];
    assert_eq!(server.client().post(server.public("/oauth/revoke")).form(&form).send().await.unwrap().status(), 200);
    let mode = server.client().put(server.admin("/admin/dcr")).bearer_auth(&admin);
    assert_eq!(mode.json(&json!({"mode": "admin_only"})).send().await.unwrap().status(), 200);
    server.signal("KILL");
    server.ended().await;
    let server = home.start().await;
    let get = server.client().get(url(&server, &own)).bearer_auth(text(&put, "registration_access_token"));
    let read: Value = get.send().await.unwrap().json().await.unwrap();
    assert_eq!(read["client_name"], "Renamed", "{read}");
    let (status, refused) = refresh(&server, &token).await.unwrap();
    assert_eq!((status, &refused["error"]), (400, &Value::from("invalid_grant")));
    assert_eq!(server.client().post(url(&server, "")).json(&body).send().await.unwrap().status(), 401);
}
