//! What the log says of requests, and what it never says.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::oauth::harness::{Setup, answer, secret, server};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// Everything that this thread logs from now on.
    fn follow(&self) -> tracing::subscriber::DefaultGuard {
        let lines = self.clone();
        let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || lines.clone());
        tracing::subscriber::set_default(subscriber.with_max_level(tracing::Level::TRACE).finish())
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn events(&self, event: &str) -> Vec<Value> {
        let lines = self.text();
        let values = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        values.filter(|line| line["event"] == event).collect()
    }
}

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// One line for a token, with the fields that operators search by.
#[tokio::test]
async fn an_issued_token_is_one_line() {
    let server = server().await;
    let lines = Lines::default();
    let _guard = lines.follow();
    let request = server.http.post(format!("{}/oauth/token", server.public));
    let request = request.basic_auth("reporter", Some(secret("reporter"))).header("traceparent", TRACE);
    let got = answer(request.header("x-request-id", "my-request").form(&[("grant_type", "client_credentials")])).await;
    assert_eq!(got.status, 200);
    let events = lines.events("token_issued");
    assert_eq!(events.len(), 1);
    let mut line = events[0].as_object().unwrap().clone();
    assert!(uuid::Uuid::parse_str(line.remove("jti").unwrap().as_str().unwrap()).is_ok());
    ["timestamp", "target"].iter().for_each(|name| drop(line.remove(*name)));
    let expected = json!({
        "level": "INFO", "event": "token_issued", "grant_type": "client_credentials", "client_id": "reporter",
        "sub": "reporter", "resource": "https://billing.example.com/mcp", "scope": "invoices.read invoices.write",
        "request_id": "my-request", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7",
    });
    assert_eq!(Value::Object(line), expected);
}

/// O6: a grant is told at its beginning, and by its id in every line after that.
#[tokio::test]
async fn a_grant_is_told_when_it_begins() {
    let server = server().await;
    let lines = Lines::default();
    let _guard = lines.follow();
    let issued = server.sign_in("portal").await;
    let token = issued["refresh_token"].as_str().unwrap();
    assert_eq!(server.refresh("portal", token).await.status, 200);
    let created = lines.events("grant_created");
    let [line] = created.as_slice() else { panic!("{created:?}") };
    assert_eq!((&line["client_id"], &line["principal_id"]), (&json!("portal"), &json!(crate::oauth::person::USER)));
    assert_eq!(line["scopes"], "invoices.read invoices.write");
    let refreshed = lines.events("token_refreshed");
    assert_eq!((refreshed.len(), &refreshed[0]["grant_id"]), (1, &line["grant_id"]));
    assert_eq!(lines.events("token_issued").len(), 1);

    let revoked = server.post_as("portal", "/oauth/revoke", &[("token", token)]).await;
    assert_eq!(revoked.status, 200);
    let told = lines.events("grant_revoked");
    let [end] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(end["grant_id"], line["grant_id"]);
    assert_eq!((&end["grants"], &end["cascade_count"]), (&json!(1), &json!(2)));
}

/// Y-05, Y-06: no secret, token, header or anything else that a stranger wrote.
#[tokio::test]
async fn the_log_keeps_secrets_to_itself() {
    let server = Setup { failures_per_minute: 4, ..Setup::default() }.start().await;
    let lines = Lines::default();
    let _guard = lines.follow();
    let token = server.token("reporter", "").await;
    server.introspect("reporter", &token).await;
    server.post_as("reporter", "/oauth/revoke", &[("token", &token)]).await;
    server
        .post_as("reporter", "/oauth/token", &[("grant_type", "client_credentials"), ("scope", "canary\u{1b}[31m")])
        .await;
    server.post_as("reporter", "/oauth/token", &[("grant_type", "client_credentials"), ("scope", "canary")]).await;
    for _ in 0..5 {
        server.post("/oauth/token", None, "grant_type=x&client_id=canary&client_secret=canary").await;
    }
    let admin = server.http.get(format!("{}/admin/resources", server.admin)).bearer_auth("canary");
    answer(admin).await;
    let text = lines.text();
    for hidden in [secret("reporter").as_str(), &token, "canary", "\\u001b"] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
    }
    assert_eq!(lines.events("token_revoked").len(), 1);
    let denied = lines.events("authorization_denied");
    assert!(denied.iter().any(|line| line["client_id"] == "reporter" && line["reason"] == "invalid_scope"));
    assert!(lines.events("rate_limited").iter().all(|line| line["ip"] == "127.0.0.1" && line["retry_after"].is_u64()));
    assert!(!lines.events("rate_limited").is_empty());
}
