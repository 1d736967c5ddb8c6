//! The log through the front door: the real program, its admin port, its command line, and SQL behind its back.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::directory::{samples, sql};
use crate::support::server::{Home, Server};

const SOON: Duration = Duration::from_secs(20);

/// An administrator of some role.
struct Admin<'a> {
    server: &'a Server,
    key: String,
}

impl<'a> Admin<'a> {
    fn new(home: &Home, server: &'a Server, role: &str) -> Self {
        Self { server, key: home.api_key(role, role) }
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let request = self.server.client().get(self.server.admin(path)).bearer_auth(&self.key);
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn post(&self, path: &str) -> (StatusCode, Value) {
        let request = self.server.client().post(self.server.admin(path)).bearer_auth(&self.key);
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn patch(&self, path: &str, body: Value) -> StatusCode {
        let request = self.server.client().patch(self.server.admin(path)).bearer_auth(&self.key);
        request
            .header("content-type", "application/merge-patch+json")
            .body(body.to_string())
            .send()
            .await
            .unwrap()
            .status()
    }

    /// The id of the object of this name.
    async fn id(&self, kind: &str, name: &str) -> String {
        let (_, listed) = self.get("/admin/resources").await;
        let items = listed["items"].as_array().unwrap();
        let found = items.iter().find(|item| item["kind"] == kind && item["owner"]["name"] == name);
        found.unwrap_or_else(|| panic!("no {name}: {listed}"))["id"].as_str().unwrap().to_owned()
    }

    /// The newest event of this type.
    async fn event(&self, id: &str, event: &str) -> Value {
        let deadline = Instant::now() + SOON;
        loop {
            let (_, page) = self.get(&format!("/admin/resource-servers/{id}/drift-events?type={event}")).await;
            if let Some(found) = page["items"].get(0) {
                return found.clone();
            }
            assert!(Instant::now() < deadline, "no {event}: {page}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// D1, D4, D5: seen, dismissed and kept, whoever made the change.
#[tokio::test]
async fn what_happened_is_read_and_dismissed_at_the_admin_port() {
    let mut home = samples();
    home.set("HOLDFAST_OPERATOR__DRIFT__MODE", "Warn");
    let server = home.start().await;
    server.event("reconciled", |line| line["kind"] == "ResourceServer").await;
    let (olga, vera) = (Admin::new(&home, &server, "operator"), Admin::new(&home, &server, "viewer"));
    let id = olga.id("ResourceServer", "billing-mcp").await;
    let log = format!("/admin/resource-servers/{id}/drift-events");
    olga.event(&id, "launched").await;

    // by the admin API: the scope goes, and a tool that had no other is closed
    let (_, listed) = olga.get("/admin/resources").await;
    let spec =
        listed["items"].as_array().unwrap().iter().find(|item| item["id"] == id.as_str()).unwrap()["spec"].clone();
    let tools = spec["tools"].as_array().unwrap();
    let tool = tools.iter().find(|tool| tool["scopes"].as_array().unwrap().len() == 1).unwrap();
    let scope = tool["scopes"][0].clone();
    let kept: Vec<&Value> = spec["scopes"].as_array().unwrap().iter().filter(|s| s["name"] != scope).collect();
    let path = format!("/admin/resource-servers/{id}?force=true");
    assert_eq!(olga.patch(&path, json!({"scopes": kept})).await, StatusCode::OK);
    let deleted = olga.event(&id, "scope_deleted").await;
    assert_eq!((&deleted["occurred_by"], &deleted["outside"]), (&json!("apikey:operator"), &json!(false)));
    assert_eq!(deleted["event_payload"]["prior_scope_name"], scope);
    let unmapped = olga.event(&id, "tool_unmapped").await;
    assert_eq!(unmapped["event_payload"]["prior_scopes"], json!([scope]));
    assert_eq!(unmapped["event_payload"]["prior_scope_id"], deleted["event_payload"]["prior_scope_id"]);

    // by SQL: in the name of who did it
    sql(home.path(), &format!("UPDATE resource_server SET default_role = NULL WHERE id = '{id}'")).await;
    sql(home.path(), &format!("UPDATE resource_server SET dynamic_clients = 'All' WHERE id = '{id}'")).await;
    let changed = olga.event(&id, "dynamic_clients_changed").await;
    assert_eq!((&changed["occurred_by"], &changed["outside"]), (&json!("sql"), &json!(true)));

    // who may do what
    let (status, page) = vera.get(&format!("{log}?limit=2")).await;
    assert_eq!(
        (status, page["launched"].as_bool(), page["items"].as_array().unwrap().len()),
        (StatusCode::OK, Some(true), 2)
    );
    let next = page["next_cursor"].as_str().unwrap();
    let (_, older) = vera.get(&format!("{log}?limit=2&cursor={next}")).await;
    assert_ne!(older["items"][0]["id"], page["items"][1]["id"]);
    let dismiss = format!("{log}/{}/dismiss", unmapped["id"].as_str().unwrap());
    assert_eq!(vera.post(&dismiss).await.0, StatusCode::FORBIDDEN);
    let elsewhere = dismiss.replace(&id, "rs_other");
    assert_eq!(olga.post(&elsewhere).await.0, StatusCode::NOT_FOUND);
    let (status, dismissed) = olga.post(&dismiss).await;
    assert_eq!((status, &dismissed["dismissed_by"]), (StatusCode::OK, &json!("apikey:operator")));
    assert_eq!(olga.post(&dismiss).await.1, dismissed, "again changes nothing");
    let (_, open) = vera.get(&format!("{log}?dismissed=false&type=tool_unmapped,scope_deleted")).await;
    assert!(open["items"].as_array().unwrap().iter().all(|item| item["id"] != unmapped["id"]), "{open}");
    for (query, named) in [
        ("froce=1", "froce"),
        ("type=nothing", "nothing"),
        ("limit=201", "limit"),
        ("since=x", "since"),
        ("cursor=x", "cursor"),
        ("dismissed=x", "dismissed"),
    ] {
        let (status, refused) = vera.get(&format!("{log}?{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        assert!(refused["error_description"].as_str().unwrap().contains(named), "{refused}");
    }
    assert_eq!(vera.get("/admin/resource-servers/rs_never/drift-events").await.0, StatusCode::NOT_FOUND);
    let nobody = server.client().get(server.admin(&log)).basic_auth(&id, Some("x")).send().await.unwrap();
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED, "the introspection credential opens nothing here");

    // beside the server
    let run = |arguments: &[&str]| {
        let (code, answer, _) = drift(&home, arguments);
        (code, answer)
    };
    let (code, listed) = run(&["list", "default/billing-mcp", "--type", "tool_unmapped"]);
    assert_eq!(
        (code, &listed[0]["id"], &listed[0]["dismissed_by"]),
        (Some(0), &unmapped["id"], &json!("apikey:operator"))
    );
    let event = deleted["id"].as_str().unwrap();
    assert_eq!(run(&["show", &id, event]).1["event_type"], "scope_deleted");
    assert_eq!(run(&["dismiss", "default/billing-mcp", event]).1["dismissed_by"], "cli");
    assert_eq!(run(&["show", "rs_other", event]).0, Some(1));

    // the object goes, its log stays
    std::fs::remove_file(home.policy().join("resourceserver.yaml")).unwrap();
    olga.event(&id, "resource_deleted").await;
    let (status, page) = vera.get(&format!("{log}?type=tool_unmapped")).await;
    assert_eq!((status, &page["items"][0]["id"]), (StatusCode::OK, &unmapped["id"]));
    let metrics = server.get(&server.admin("/metrics")).await.text().await.unwrap();
    for counted in ["scope_deleted", "tool_unmapped", "dynamic_clients_changed", "resource_deleted"] {
        let line = format!("holdfast_drift_events_total{{type=\"{counted}\"}} ");
        assert!(metrics.lines().any(|l| l.starts_with(&line) && !l.ends_with(" 0")), "{counted}");
    }
}

fn drift(home: &Home, arguments: &[&str]) -> (Option<i32>, Value, String) {
    let output = home.command(&[&["drift"], arguments, &["--json"]].concat()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let noted = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), serde_json::from_str::<Value>(&text).unwrap_or_default(), noted)
}

/// D3: what was never live has an empty log that says so, over HTTP and beside the server; what is unknown has none.
#[tokio::test]
async fn before_the_launch_the_log_is_empty_and_says_why() {
    let draft = "
apiVersion: holdfast.dev/v1alpha1
kind: ResourceServer
metadata: {name: ledger, namespace: default}
spec: {resourceURI: https://ledger.example.com/mcp, lifecycle: Draft}
";
    let home = Home::with_policy(&[("ledger.yaml", draft)]);
    let server = home.start().await;
    server.event("reconciled", |line| line["name"] == "ledger").await;
    let vera = Admin::new(&home, &server, "viewer");
    let id = vera.id("ResourceServer", "ledger").await;
    let (status, page) = vera.get(&format!("/admin/resource-servers/{id}/drift-events")).await;
    assert_eq!((status, &page["launched"], &page["items"]), (StatusCode::OK, &json!(false), &json!([])));
    let (code, listed, noted) = drift(&home, &["list", "default/ledger"]);
    assert_eq!((code, listed), (Some(0), json!([])), "{noted}");
    assert!(noted.contains("default/ledger was not launched yet"), "{noted}");
    let (code, _, noted) = drift(&home, &["list", "rs_never"]);
    assert_eq!(code, Some(1));
    assert!(noted.contains("there never was"), "{noted}");
}

/// D3: what an earlier version launched, which kept no log, has one from the first start of this version on.
#[tokio::test]
async fn what_was_live_before_there_was_a_log_has_one_from_the_next_start_on() {
    let live = "
apiVersion: holdfast.dev/v1alpha1
kind: ResourceServer
metadata: {name: ledger, namespace: default}
spec: {resourceURI: https://ledger.example.com/mcp, lifecycle: Live, scopes: [{name: read}]}
";
    let home = Home::with_policy(&[("ledger.yaml", live)]);
    let mut server = home.start().await;
    server.event("reconciled", |line| line["name"] == "ledger" && line["ready"] == true).await;
    server.signal("TERM");
    assert!(server.ended().await.success());
    for table in ["activity", "launch"] {
        sql(home.path(), &format!("DELETE FROM {table}")).await;
    }
    let server = home.start().await;
    server.event("reconciled", |line| line["name"] == "ledger").await;
    let vera = Admin::new(&home, &server, "viewer");
    let id = vera.id("ResourceServer", "ledger").await;
    let launched = vera.event(&id, "launched").await;
    assert_eq!((&launched["occurred_by"], &launched["event_payload"]["scopes"]), (&json!("server"), &json!(["read"])));
}
