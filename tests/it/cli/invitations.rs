//! `admin dcr invitation`: who may register although nobody else may.

use reqwest::StatusCode;
use rstest::rstest;
use serde_json::{Value, json};

use super::run;
use crate::support::server::Home;

const INVITATION: [&str; 3] = ["admin", "dcr", "invitation"];

/// S5, O10: made, listed without its token, used at the server that runs, and ended.
#[tokio::test]
async fn an_invitation_opens_a_server_that_is_closed() {
    let mut home = Home::new();
    home.set("HOLDFAST_DCR__MODE", "admin_only");
    let server = home.start().await;
    let ask = |arguments: &[&str]| {
        let output = home.command(&[&INVITATION, arguments, &["--json"]].concat()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let http = reqwest::Client::new();
    let register = async |token: Option<&str>| {
        let body = json!({"redirect_uris": ["https://app.example.com/cb"], "client_name": "Invited"});
        let request = http.post(server.public("/oauth/register")).json(&body);
        let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
        request.send().await.unwrap().status()
    };
    assert_eq!(register(None).await, StatusCode::UNAUTHORIZED);
    let made = ask(&["create", "--uses", "2", "--expires-in", "90m"]);
    let (id, token) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    assert!(id.starts_with("inv_") && !id.contains(token) && token.len() >= 43, "{made}");
    assert_eq!(register(Some(token)).await, StatusCode::CREATED);
    let listed = ask(&["list"]);
    assert_eq!((listed[0]["id"].as_str(), listed[0]["uses_left"].as_str()), (Some(id), Some("1")));
    assert_eq!((&listed[0]["expires"], &listed[0]["by"]), (&made["expires"], &json!("cli")));
    assert!(!listed.to_string().contains(token));
    let other = ask(&["create"]);
    assert_eq!(ask(&["revoke", "--id", id])["revoked"], id);
    assert_eq!(register(Some(token)).await, StatusCode::UNAUTHORIZED, "one use was left");
    assert_eq!(ask(&["list"]).as_array().unwrap().len(), 1);
    assert_eq!(register(other["token"].as_str()).await, StatusCode::CREATED, "another one is not ended with it");
    assert_eq!(ask(&["list"]), json!([]), "one that is used up invites nobody");
    let log = server.log();
    assert!(!log.contains(token) && !log.contains(other["token"].as_str().unwrap()), "{log}");
}

#[rstest]
#[case(&["create", "--uses", "0"], 2, "error: invalid value '0' for '--uses")]
#[case(&["create", "--uses", "10001"], 2, "error: invalid value '10001' for '--uses")]
#[case(&["create", "--expires-in", "59s"], 2, "error: invalid value '59s' for '--expires-in")]
#[case(&["create", "--expires-in", "soon"], 2, "error: invalid value 'soon' for '--expires-in")]
#[case(&["revoke"], 2, "error: the following required arguments")]
#[case(&["revoke", "--id", "inv_0123456789abcdef"], 1, "holdfast: there is no invitation inv_0123456789abcdef")]
#[case(&["revoke", "--id", "inv_é123456789abcde"], 1, "holdfast: there is no invitation")]
fn an_invitation_that_cannot_be_is_refused(#[case] arguments: &[&str], #[case] code: i32, #[case] says: &str) {
    let home = tempfile::tempdir().unwrap();
    let (found, out, err) = run(home.path(), &[&INVITATION, arguments].concat());
    assert_eq!((found, out.as_str()), (code, ""), "{err}");
    assert!(err.starts_with(says), "{err}");
}
