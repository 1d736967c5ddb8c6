//! `holdfast plan`: a server that runs is asked, and a pipeline is told by the exit code.

use std::io::Write;
use std::process::Stdio;

use holdfast::app::system::SystemClock;
use holdfast::domain::Clock;
use rstest::rstest;
use serde_json::{Value, json};

use super::{run, told};
use crate::support::server::{Home, Server};

const POLICY: &str = "\
apiVersion: holdfast.dev/v1alpha1
kind: ResourceServer
metadata: {name: billing-mcp}
spec:
  resourceURI: https://billing.example.com/mcp
  lifecycle: Live
  scopes: [{name: invoices.read}, {name: invoices.write}]
  tools: [{name: pay, access: Scoped, scopes: [invoices.write]}]
---
apiVersion: holdfast.dev/v1alpha1
kind: OAuthClient
metadata: {name: reporter}
spec:
  clientID: reporter
  grantTypes: [client_credentials]
  authentication: {method: ClientSecretBasic, secret: {name: reporter-oauth}}
  resources:
  - {name: billing, resourceServerRef: {name: billing-mcp}, scopes: [invoices.read, invoices.write]}
";

struct House {
    home: Home,
    server: Server,
    key: String,
}

impl House {
    async fn new() -> Self {
        Self::of(POLICY).await
    }

    async fn of(policy: &str) -> Self {
        let home = Home::with_policy(&[("policy.yaml", policy)]);
        let server = home.start().await;
        let ready = |line: &Value| line["kind"] == "OAuthClient" && line["ready"] == true;
        server.event("reconciled", ready).await;
        let key = home.api_key("ci", "viewer");
        Self { home, server, key }
    }

    /// Exit code, standard output, standard error.
    fn plan(&self, text: &str, arguments: &[&str]) -> (i32, String, String) {
        let mut command = self.home.command(&[&["plan", "-f", "-"], arguments].concat());
        command.env("HOLDFAST_SERVER_URL", self.server.admin("")).env("HOLDFAST_API_KEY", &self.key);
        // neither key nor documents go to a proxy
        command.env("HTTP_PROXY", "http://127.0.0.1:9").env("http_proxy", "http://127.0.0.1:9");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        told(&child.wait_with_output().unwrap())
    }

    fn json(&self, text: &str, arguments: &[&str]) -> (i32, Value) {
        let (code, out, err) = self.plan(text, &[arguments, &["--json"]].concat());
        (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}")))
    }
}

/// K7: no change is 0, a change is 2, a fault is 1
#[tokio::test]
async fn the_exit_code_says_whether_anything_would_change() {
    let house = House::new().await;
    let (code, out, err) = house.plan(POLICY, &[]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "plan: 2 unchanged\n", ""));

    let secret = house.home.secret("reporter-oauth", "client_secret");
    house.server.access_token("reporter", &secret).await;
    let edited = POLICY
        .replace(", {name: invoices.write}", "")
        .replace("  tools: [{name: pay, access: Scoped, scopes: [invoices.write]}]\n", "");
    let edited = edited.replace("scopes: [invoices.read, invoices.write]}", "scopes: [invoices.read]}");
    let (code, out, _) = house.plan(&edited, &[]);
    let expected = "\
~ update ResourceServer/default/billing-mcp  (-:1)
    spec.scopes[invoices.write]: {\"description\":\"\",\"name\":\"invoices.write\",\"risk\":\"Low\",\"upstream\":\"\"} → none [security]
    spec.tools[pay]: {\"access\":\"Scoped\",\"match\":\"Any\",\"name\":\"pay\",\"scopes\":[\"invoices.write\"]} → none [security]
    tools that become denied: pay
    client reporter loses scopes invoices.write
    touches 1 live tokens
    calls of the last day: none is recorded, so nobody can say which would be denied
~ update OAuthClient/default/reporter  (-:8)
    spec.resources[billing]: {\"name\":\"billing\",\"resourceServerID\":\"ResourceServer/default/billing-mcp\",\"scopes\":[\"invoices.read\",\"invoices.write\"]} → {\"name\":\"billing\",\"resourceServerID\":\"ResourceServer/default/billing-mcp\",\"scopes\":[\"invoices.read\"]} [security]
    client reporter loses scopes invoices.write
    touches 1 live tokens
    calls of the last day: none is recorded, so nobody can say which would be denied
plan: 2 update
";
    assert_eq!((code, out.as_str()), (2, expected));
    assert_eq!(house.plan(POLICY, &[]).0, 0, "nothing was written");

    let illegal = POLICY.replace("scopes: [invoices.write]}]", "scopes: [nowhere]}]");
    let (code, answer) = house.json(&illegal, &[]);
    let fault = &answer["objects"][0];
    assert_eq!(
        (code, &fault["action"], &fault["line"], &fault["file"]),
        (1, &json!("invalid"), &json!(1), &json!("-"))
    );
    assert!(fault["fields"][0]["field"].as_str().unwrap().starts_with("spec.tools"), "{fault}");
    let moved = POLICY.replace("https://billing.example.com/mcp", "https://other.example.com/mcp");
    let (code, answer) = house.json(&moved, &[]);
    assert_eq!((code, &answer["objects"][0]["fields"][0]["field"]), (1, &json!("spec.resourceURI")));
}

/// K7, D12: calls that were reported to a server that runs are in its log, and the plan says which of them a change would
/// deny, to people, to programs and by HTTP.
#[tokio::test]
async fn a_plan_tells_which_recorded_calls_would_be_denied() {
    let policy =
        POLICY.replace("  lifecycle: Live\n", "  lifecycle: Live\n  runtime: {clientRefs: [{name: reporter}]}\n");
    let house = House::of(&policy).await;
    let secret = house.home.secret("reporter-oauth", "client_secret");
    let (_, planned) = house.json(&policy, &[]);
    let id = planned["objects"][0]["id"].as_str().unwrap().to_owned();
    let now = SystemClock.now();
    let call = |id: &str, tool: &str, subject: &str, ago: i64| {
        let time = (now - jiff::SignedDuration::from_mins(ago)).to_string();
        json!({"id": id, "time": time, "tool": tool, "outcome": "allowed", "client_id": "reporter", "subject": subject,
            "scopes": ["invoices.read", "invoices.write"]})
    };
    let mut last = call("d-3", "pay", "reporter", 1);
    last["duration_ms"] = 20.into();
    let long_ago = call("d-0", "pay", "reporter", 60 * 25);
    let decisions = json!({"decisions": [long_ago, call("d-1", "pay", "reporter", 3), call("d-2", "pay", "usr_1", 2), last,
        {"id": "d-4", "time": now.to_string(), "tool": "pay", "outcome": "denied", "reason": "no_token"}]});
    let url = house.server.public(&format!("/v1/resource-servers/{id}/decisions"));
    let request = house.server.client().post(url).basic_auth("reporter", Some(&secret)).json(&decisions);
    let taken: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(taken, json!({"received": 5, "new": 5, "known": 0, "too_old": 0}));

    let closed = policy.replace("  tools: [{name: pay, access: Scoped, scopes: [invoices.write]}]\n", "");
    let (code, out, _) = house.plan(&closed, &[]);
    let at = last_of(&decisions, "d-3");
    let told = format!(
        "    tools that become denied: pay
    calls of the last day: 3 of 3 recorded would be denied
        pay: 3 calls, 1 clients, 1 users: tool_unlisted at once; last client reporter for reporter at {at}
plan: 1 update, 1 unchanged
"
    );
    assert!(code == 2 && out.ends_with(&told), "{out}");
    let less = policy.replace("scopes: [invoices.read, invoices.write]}", "scopes: [invoices.read]}");
    let (code, answer) = house.json(&less, &[]);
    let calls = &answer["objects"][1]["touches"]["calls"];
    assert_eq!(
        (code, &calls["recorded"], &calls["denied"]),
        (2, &json!(3), &json!(2)),
        "of usr_1 nothing is known: {answer}"
    );
    let tool = &calls["tools"][0];
    assert_eq!(
        (&tool["tool"], &tool["reason"], &tool["when"], &tool["resourceServer"]),
        (
            &json!("pay"),
            &json!("insufficient_scope"),
            &json!("token_over"),
            &json!("ResourceServer/default/billing-mcp")
        )
    );
    let request = house.server.client().post(house.server.admin("/admin/plan")).bearer_auth(&house.key);
    let request = request.header("content-type", "application/yaml").body(less);
    let by_http: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(by_http["objects"][1]["touches"]["calls"]["denied"], 2);

    // the same calls beside the server
    let list = |arguments: &[&str]| {
        let (code, out, err) =
            super::told(&house.home.command(&[&["access-log", "list"], arguments].concat()).output().unwrap());
        (code, serde_json::from_str::<Value>(&out).unwrap_or_else(|_| json!(err)))
    };
    let (code, listed) = list(&["default/billing-mcp", "--user", "reporter", "--limit", "1", "--json"]);
    assert_eq!(
        (code, &listed[0]["id"], &listed[0]["duration_ms"], listed.as_array().unwrap().len()),
        (0, &json!("d-3"), &json!("20"), 1)
    );
    let (_, listed) = list(&[&id, "--outcome", "denied", "--reason", "no_token", "--since", &at, "--json"]);
    assert_eq!(listed[0]["id"], "d-4");
    assert_eq!(list(&[&id, "--tool", "drop", "--client", "x", "--until", &at, "--json"]), (0, json!([])));
    assert_eq!(list(&["default/other", "--json"]).0, 1);
    for wrong in [["--outcome", "maybe"], ["--reason", "because"], ["--since", "x"], ["--limit", "0"]] {
        assert_eq!(list(&[&[id.as_str()], &wrong[..]].concat()).0, 2, "{wrong:?}");
    }
}

/// The time of this decision.
fn last_of(decisions: &Value, id: &str) -> String {
    let found = decisions["decisions"].as_array().unwrap().iter().find(|one| one["id"] == id);
    let time: jiff::Timestamp = found.unwrap()["time"].as_str().unwrap().parse().unwrap();
    jiff::Timestamp::from_microsecond(time.as_microsecond()).unwrap().to_string()
}

/// K7: each fault and each change is told by file and line
#[tokio::test]
async fn a_folder_is_planned_file_by_file() {
    let house = House::new().await;
    let folder = house.home.path().join("change");
    std::fs::create_dir(&folder).unwrap();
    let (server, client) = POLICY.split_once("---\n").unwrap();
    // without a line feed at its end
    std::fs::write(folder.join("a.yaml"), server.trim_end()).unwrap();
    std::fs::write(
        folder.join("b.yaml"),
        format!("# first\n---\n{}", client.replace("scopes: [invoices.read, invoices.write]", "scopes: []")),
    )
    .unwrap();
    std::fs::write(folder.join("c.yaml"), "kind: [\n").unwrap();
    let key = house.home.path().join("key");
    std::fs::write(&key, format!("{}\n", house.key)).unwrap();
    let (folder, key) = (folder.display().to_string(), key.display().to_string());
    let url = house.server.admin("");
    let output =
        house.home.command(&["plan", "-f", &folder, "--server", &url, "--api-key-file", &key, "--json"]).output();
    let (code, out, err) = told(&output.unwrap());
    let answer: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
    let place = |object: &Value| {
        let file = object["file"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        (file, object["line"].as_u64().unwrap(), object["action"].as_str().unwrap().to_owned())
    };
    let places: Vec<_> = answer["objects"].as_array().unwrap().iter().map(place).collect();
    let expected = [("a.yaml", 1, "unchanged"), ("b.yaml", 2, "update"), ("c.yaml", 1, "invalid")];
    assert_eq!(
        (code, places),
        (1, expected.map(|(file, line, action)| (file.to_owned(), line, action.to_owned())).to_vec())
    );
}

/// K7: documents refer to each other before either is there, and what nobody here knows is called unknown
#[tokio::test]
async fn documents_are_planned_together() {
    let house = House::new().await;
    let text = "\
apiVersion: holdfast.dev/v1alpha1
kind: OAuthClient
metadata: {name: new}
spec:
  grantTypes: [client_credentials]
  authentication: {method: ClientSecretBasic, secret: {source: Referenced, name: mine}}
  resources:
  - {name: ledger, resourceServerRef: {name: ledger, namespace: books}, scopes: [read]}
  - {name: none, resourceServerRef: {name: none}}
---
apiVersion: holdfast.dev/v1alpha1
kind: ResourceServer
metadata: {name: ledger, namespace: books}
spec:
  resourceURI: https://ledger.example.com/mcp
  scopes: [{name: read}]
  allowedNamespaces: {from: All}
";
    let (code, answer) = house.json(text, &["-n", "web"]);
    assert_eq!((code, &answer["summary"]), (2, &json!({"create": 2})));
    let client = &answer["objects"][0];
    assert_eq!(client["owner"], json!({"kind": "OAuthClient", "namespace": "web", "name": "new"}));
    let attached = client["changes"].as_array().unwrap().iter().find(|c| c["field"] == "spec.resources[ledger]");
    let expected = json!({"name": "ledger", "resourceServerID": "ResourceServer/books/ledger", "scopes": ["read"]});
    assert_eq!(attached.unwrap()["after"], expected);
    let missing = json!([{"field": "spec.resources[none].resourceServerRef",
        "message": "ResourceServer web/none was not found or is not ready"}]);
    assert_eq!(client["unresolved"], missing);
    let unknown = json!([{"field": "spec.authentication.secret.name",
        "message": "what Secret mine, key client_secret holds is not known here"}]);
    assert_eq!(client["unknown"], unknown);
    let shape: Vec<&String> = client.as_object().unwrap().keys().collect();
    let expected =
        ["action", "changes", "drift", "file", "id", "line", "owner", "secrets", "touches", "unknown", "unresolved"];
    assert_eq!(shape, expected);
    let touches: Vec<&String> = client["touches"].as_object().unwrap().keys().collect();
    assert_eq!(touches, ["clients", "families", "groups", "tokens", "tools", "users"]);

    let (code, answer) = house.json(text, &["--prune", "default,books"]);
    assert_eq!((code, &answer["summary"]), (2, &json!({"create": 2, "delete": 2})));
    let gone = &answer["objects"][3];
    assert_eq!((&gone["owner"]["name"], &gone["touches"]["tools"]["denied"]), (&json!("billing-mcp"), &json!(["pay"])));
    assert_eq!(answer["objects"][2]["touches"]["clients"], json!([{"id": "reporter", "loses": "service"}]));
}

#[rstest]
#[case::usage(&["plan"], "error: the following required arguments")]
#[case::unknown(&["--config", "x", "plan", "--frob"], "error: unexpected argument '--frob'")]
#[case::file(&["plan", "-f", "nowhere.yaml"], "holdfast: failed to read nowhere.yaml: ")]
#[case::key(&["plan", "-f", "."], "holdfast: an API key is needed: --api-key-file, or HOLDFAST_API_KEY")]
#[case::http(&["plan", "-f", ".", "--api-key-file", "key", "--server", "http://holdfast.example"], "holdfast: --server: a key would travel over http")]
#[case::scheme(&["plan", "-f", ".", "--api-key-file", "key", "--server", "ftp://127.0.0.1"], "holdfast: --server: must be http or https")]
#[case::nobody(&["plan", "-f", ".", "--api-key-file", "key", "--server", "http://127.0.0.1:9"], "holdfast: failed to ask the server: ")]
fn a_plan_that_cannot_be_asked_for_is_no_change_and_no_success(#[case] arguments: &[&str], #[case] says: &str) {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("key"), "hfk_secret\n").unwrap();
    std::fs::write(home.path().join("a.yaml"), "{}").unwrap();
    let (code, out, err) = run(home.path(), arguments);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.starts_with(says) && !err.contains("hfk_secret"), "{err}");
}

#[tokio::test]
async fn only_who_has_a_key_may_ask() {
    let house = House::new().await;
    let stranger = House { key: "hfk_stranger".into(), ..house };
    let (code, _, err) = stranger.plan(POLICY, &[]);
    assert!(code == 1 && err.starts_with("holdfast: the server answers 401: "), "{code} {err}");
    let (code, _, err) =
        House { key: stranger.home.api_key("again", "viewer"), ..stranger }.plan(POLICY, &["-n", "No"]);
    assert_eq!((code, err.as_str()), (1, "holdfast: the server answers 400: namespace: must be a namespace\n"));
}
