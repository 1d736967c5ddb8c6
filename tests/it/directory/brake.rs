//! The brake at the real program: files that vanish all at once, the command line, the admin port.

use reqwest::StatusCode;
use serde_json::Value;

use crate::support::server::{Home, Server};

fn resource(name: &str) -> String {
    format!(
        "apiVersion: holdfast.dev/v1alpha1
kind: ResourceServer
metadata: {{name: {name}, namespace: default}}
spec:
  resourceURI: https://{name}.example.com/mcp
  lifecycle: Live
  scopes: [{{name: read, risk: Low}}]
"
    )
}

const NAMES: [&str; 5] = ["one", "two", "three", "four", "five"];

async fn home() -> (Home, Server) {
    let files: Vec<(String, String)> = NAMES.map(|name| (format!("{name}.yaml"), resource(name))).into();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let mut home = Home::with_policy(&files);
    home.set("HOLDFAST_OPERATOR__BRAKE__PER_NAMESPACE", "1");
    let server = home.start().await;
    for name in NAMES {
        server.event("reconciled", |line| line["name"] == name && line["ready"] == true).await;
    }
    (home, server)
}

fn brakes(home: &Home) -> Vec<Value> {
    let output = home.command(&["brake", "list", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn removed(server: &Server) -> usize {
    server.events("deleted").len()
}

/// mechanics §6: of many files that vanish few take their rows along; the others wait, through a restart, for an administrator.
#[tokio::test]
async fn files_that_vanish_together_wait_for_an_administrator() {
    let (home, mut server) = home().await;
    for name in &NAMES[..4] {
        std::fs::remove_file(home.policy().join(format!("{name}.yaml"))).unwrap();
    }
    server.event("mass_change_brake", |_| true).await;
    while brakes(&home).len() < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(removed(&server), 1);
    // one of them was a mistake
    let object = brakes(&home)[0]["object"].as_str().unwrap().to_owned();
    let name = object.rsplit('/').next().unwrap();
    home.write(&format!("{name}.yaml"), &resource(name));
    while brakes(&home).len() > 2 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    server.signal("TERM");
    server.ended().await;

    let server = home.start().await;
    let id = brakes(&home)[0]["id"].as_str().unwrap().to_owned();
    let wrong = home.command(&["brake", "confirm", "brake-0"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("no brake brake-0 is open"));
    let post = async |role: &str, id: &str| {
        let key = home.api_key(&format!("{role}-{id}"), role);
        let url = server.admin(&format!("/admin/brake/{id}/confirm"));
        server.client().post(url).bearer_auth(key).send().await.unwrap()
    };
    assert_eq!(post("operator", &id).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(post("admin", "brake-0").await.status(), StatusCode::NOT_FOUND);
    let key = home.api_key("reader", "viewer");
    let listed = server.client().get(server.admin("/admin/brake")).bearer_auth(key).send().await.unwrap();
    let listed: Value = listed.json().await.unwrap();
    assert_eq!(
        (listed["items"][0]["id"].as_str(), listed["items"][0]["namespace"].as_str()),
        (Some(&*id), Some("default"))
    );
    assert_eq!(listed["items"][0]["held"].as_array().unwrap().len(), 2, "{listed}");
    let confirmed: Value = post("admin", &id).await.json().await.unwrap();
    assert_eq!(confirmed["released"].as_array().unwrap().len(), 2, "{confirmed}");
    while removed(&server) < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(brakes(&home), Vec::<Value>::new());
    server.event("brake_confirmed", |line| line["who"] == "apikey:admin-".to_owned() + &id).await;
}

/// mechanics §6: the configuration confirms, too; an id that is not open changes nothing.
#[tokio::test]
async fn the_configuration_confirms_an_id_that_is_open() {
    let (mut home, mut server) = home().await;
    for name in &NAMES[..3] {
        std::fs::remove_file(home.policy().join(format!("{name}.yaml"))).unwrap();
    }
    while brakes(&home).len() < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let id = brakes(&home)[0]["id"].as_str().unwrap().to_owned();
    server.signal("TERM");
    server.ended().await;
    home.set("HOLDFAST_OPERATOR__BRAKE__CONFIRM", "brake-0");
    let mut server = home.start().await;
    server.event("brake_unknown", |line| line["who"] == "configuration").await;
    assert_eq!(brakes(&home).len(), 2);
    server.signal("TERM");
    server.ended().await;
    home.set("HOLDFAST_OPERATOR__BRAKE__CONFIRM", &id);
    let server = home.start().await;
    server.event("brake_confirmed", |line| line["who"] == "configuration").await;
    while removed(&server) < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
