//! `holdfast export`: a database becomes files that lint takes and that the same database adopts without a change.

use reqwest::StatusCode;
use rstest::rstest;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor};

use super::{run, told};
use crate::support::server::Home;

const POLICY: &str = "\
apiVersion: holdfast.dev/v1alpha1
kind: ResourceServer
metadata: {name: billing-mcp}
spec:
  resourceURI: https://billing.example.com/mcp
  lifecycle: Live
  scopes: [{name: invoices.read, description: 'Read: everything', risk: High}]
---
apiVersion: holdfast.dev/v1alpha1
kind: OAuthClient
metadata: {name: reporter}
spec:
  clientID: reporter
  grantTypes: [client_credentials]
  authentication: {method: ClientSecretBasic, secret: {name: reporter-oauth}}
  resources:
  - {name: billing, resourceServerRef: {name: billing-mcp}, scopes: [invoices.read]}
";

fn ask(home: &Home, arguments: &[&str]) -> (i32, String, String) {
    told(&home.command(arguments).output().unwrap())
}

async fn sql(home: &Home, text: &'static str) {
    let options = SqliteConnectOptions::new().filename(home.data().join("holdfast.db"));
    let mut connection = options.connect().await.unwrap();
    connection.execute(text).await.unwrap();
    connection.close().await.unwrap();
}

/// K8: the whole walk, with a secret and a token that live on
#[tokio::test]
async fn an_exported_database_is_adopted_without_a_change() {
    let mut home = Home::with_policy(&[("policy.yaml", POLICY)]);
    let server = home.start().await;
    server.event("reconciled", |line| line["kind"] == "OAuthClient" && line["ready"] == true).await;
    let secret = home.secret("reporter-oauth", "client_secret");
    let token = server.access_token("reporter", &secret).await;
    let (code, owned, _) = ask(&home, &["export"]);
    assert_eq!(code, 0);
    assert!(owned.contains("name: reporter\n") && owned.contains("namespace: default\n"), "{owned}");
    assert!(!owned.contains(&secret) && !owned.contains("sec_"), "{owned}");
    drop(server);

    // a database as it is without any object: rows that nobody owns
    sql(
        &home,
        "DELETE FROM managed; UPDATE client SET owner_namespace = NULL, owner_name = NULL;
        UPDATE resource_server SET owner_namespace = NULL, owner_name = NULL",
    )
    .await;
    std::fs::remove_dir_all(home.data().join("secrets")).unwrap();
    std::fs::remove_dir_all(home.policy()).unwrap();
    let folder = home.policy().display().to_string();
    let (code, files, err) = ask(&home, &["export", "--unowned", "-n", "apps", "--output-dir", &folder]);
    assert_eq!((code, files.lines().count(), err.as_str()), (0, 2, ""), "{files}");
    assert_eq!(ask(&home, &["lint", "-f", &folder, "--json"]), (0, "[]\n".into(), "".into()));
    let (code, one, _) = ask(&home, &["export", "--id", "reporter", "--kind", "OAuthClient"]);
    assert!(code == 0 && one.matches("kind: ").count() == 1, "{one}");
    assert!(one.contains("# nobody owns OAuthClient reporter"), "{one}");

    home.set("HOLDFAST_LOGGING__LEVEL", "info");
    let server = home.start().await;
    let adopted = |line: &Value| line["kind"] == "OAuthClient" && line["ready"] == true;
    let line = server.event("reconciled", adopted).await;
    assert_eq!((line["namespace"].as_str(), line["name"].as_str()), (Some("apps"), Some("reporter")));
    assert_eq!(server.events("reconciled").iter().filter(|line| line["ready"] == false).count(), 0, "{}", server.log());
    for event in ["drift_detected", "drift_corrected"] {
        assert_eq!(server.events(event), Vec::<Value>::new());
    }
    assert!(!server.log().contains("DriftDetected"), "{}", server.log());
    assert_eq!(server.token("reporter", &secret).await.status(), StatusCode::OK, "the secret of before lives on");
    let made = home.data().join("secrets/apps/reporter-oauth/client_secret");
    let made = std::fs::read_to_string(made).unwrap();
    assert_ne!(made, secret);
    assert_eq!(server.token("reporter", &made).await.status(), StatusCode::OK, "and so does the new one");
    let told = server.introspect(("reporter", &secret), &token).await;
    assert_eq!(told["active"], true, "nothing that was issued ended");
}

/// Also by HTTP: for who may change policy, and with a record.
#[tokio::test]
async fn a_server_exports_what_it_serves() {
    let home = Home::with_policy(&[("policy.yaml", POLICY)]);
    let server = home.start().await;
    server.event("reconciled", |line| line["kind"] == "OAuthClient" && line["ready"] == true).await;
    let (viewer, operator) = (home.api_key("vera", "viewer"), home.api_key("olga", "operator"));
    let get = async |key: &str, query: &str| {
        let url = server.admin(&format!("/admin/export{query}"));
        let answer = server.client().get(url).bearer_auth(key).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    assert_eq!(get(&viewer, "").await.0, StatusCode::FORBIDDEN);
    assert_eq!(get(&operator, "?kind=Thing").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(get(&operator, "?unowned=maybe").await.0, StatusCode::BAD_REQUEST);
    let (status, text) = get(&operator, "?kind=OAuthClient&id=reporter").await;
    assert_eq!(status, StatusCode::OK);
    let (_, printed, _) = ask(&home, &["export", "--kind", "OAuthClient", "--id", "reporter"]);
    assert_eq!(text, printed);
    let options = SqliteConnectOptions::new().filename(home.data().join("holdfast.db"));
    let mut connection = options.connect().await.unwrap();
    let who: Vec<String> = sqlx::query_scalar("SELECT who FROM audit WHERE kind = 'export' ORDER BY id")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(who, ["apikey:olga", "cli"]);
}

#[rstest]
#[case(&["--kind", "Thing"], 2, "error: invalid value 'Thing' for '--kind")]
#[case(&["-n", "No"], 2, "error: invalid value 'No' for '--namespace")]
#[case(&["--id", "nobody"], 1, "holdfast: there is no such row")]
#[case(&["--unowned"], 0, "holdfast: there is nothing to export")]
fn an_export_of_nothing_says_so(#[case] arguments: &[&str], #[case] code: i32, #[case] says: &str) {
    let home = tempfile::tempdir().unwrap();
    let (found, out, err) = run(home.path(), &[&["export"], arguments].concat());
    assert_eq!((found, out.as_str()), (code, ""), "{err}");
    assert!(err.starts_with(says), "{err}");
}
