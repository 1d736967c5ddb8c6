//! `admin user` and `admin session` on the database itself, beside a server that runs.

use std::io::Write;
use std::process::Stdio;

use rstest::rstest;
use serde_json::Value;

use super::{holdfast, run, told};
use crate::support::browser::Browser;
use crate::support::server::Home;

const PASSWORD: &str = "correct horse battery";

fn create<'a>(email: &'a str, role: &'a str) -> Vec<&'a str> {
    vec!["admin", "user", "create", "--email", email, "--name", "Ada", "--role", role, "--password", PASSWORD]
}

/// O10: the first administrator is made here, and everything else that administrators do with people.
#[test]
fn the_life_of_an_account() {
    let home = tempfile::tempdir().unwrap();
    let json = |arguments: &[&str]| {
        let (code, out, err) = run(home.path(), &[arguments, &["--json"]].concat());
        assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}");
        assert!(!out.contains(PASSWORD));
        serde_json::from_str::<Value>(&out).unwrap()
    };
    assert_eq!(json(&["admin", "user", "list"]), serde_json::json!([]));
    let made = json(&create("Ada@Example.com", "admin"));
    assert_eq!((made["email"].as_str(), made["role"].as_str()), (Some("ada@example.com"), Some("admin")));
    let id = made["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("usr_"), "{made}");
    let who = ["--email", "ada@example.com"];
    let ask = |verb: &str| json(&[&["admin", "user", verb], &who[..]].concat());
    assert_eq!(ask("get")["id"], made["id"]);
    assert_eq!(json(&["admin", "user", "get", "--id", &id])["email"], "ada@example.com");
    let changed = json(&[&["admin", "user", "update", "--name", "Countess", "--role", "viewer"], &who[..]].concat());
    assert_eq!((changed["name"].as_str(), changed["role"].as_str()), (Some("Countess"), Some("viewer")));
    json(&[&["admin", "user", "password", "--password", "a whole new sentence"], &who[..]].concat());
    assert_eq!(ask("disable")["status"], "disabled");
    assert_eq!(ask("enable")["status"], "active");
    assert_eq!(ask("force-logout")["sessions_ended"], "0");
    assert_eq!(ask("delete")["deleted"], "ada@example.com");
    assert_eq!(json(&["admin", "user", "list"]), serde_json::json!([]));
}

#[test]
fn a_password_comes_from_standard_input() {
    let home = tempfile::tempdir().unwrap();
    let arguments = ["admin", "user", "create", "--email", "a@example.com", "--name", "A", "--password-stdin"];
    let mut command = holdfast(home.path());
    let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"correct horse battery\nignored\n").unwrap();
    let (code, out, err) = told(&child.wait_with_output().unwrap());
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("a@example.com") && !out.contains("battery"), "{out}");
}

#[rstest]
#[case(&["admin", "user", "create", "--email", "ada@example.com", "--name", "A", "--password", PASSWORD], 1, "holdfast: another account has this")]
#[case(&["admin", "user", "create", "--email", "b@example.com", "--name", "B", "--password", "short"], 1, "holdfast: a password has at least 12 characters")]
#[case(&["admin", "user", "create", "--email", "b", "--name", "B", "--password", PASSWORD], 2, "error: invalid value 'b' for")]
#[case(&["admin", "user", "create", "--email", "b@example.com", "--name", "B"], 1, "holdfast: failed to read the password: there is no terminal")]
#[case(&["admin", "user", "get"], 2, "error: the following required arguments")]
#[case(&["admin", "user", "get", "--email", "b@example.com"], 1, "holdfast: there is no such account")]
#[case(&["admin", "user", "disable", "--id", "usr_x"], 1, "holdfast: there is no such account")]
#[case(&["admin", "session", "revoke", "--id", "x"], 1, "holdfast: no session x lives")]
fn what_cannot_be_done_is_said(#[case] arguments: &[&str], #[case] code: i32, #[case] says: &str) {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(run(home.path(), &create("ada@example.com", "user")).0, 0);
    let (found, out, err) = run(home.path(), arguments);
    assert_eq!((found, out.as_str()), (code, ""), "{err}");
    assert!(err.starts_with(says) && !err.contains(PASSWORD), "{err}");
}

/// S17, Y-05: the whole program: a person signs in at the server, a command ends the session, the server counts it, and
/// neither the password nor a cookie is in the log.
#[tokio::test]
async fn a_command_ends_a_session_of_a_server_that_runs() {
    let mut home = Home::new();
    home.set("HOLDFAST_SESSIONS__IDLE_TIMEOUT", "1h");
    let server = home.start().await;
    let ask = |arguments: &[&str]| {
        let output = home.command(&[arguments, &["--json"]].concat()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    ask(&create("ada@example.com", "user"));
    let ada = Browser::at(&server.public(""));
    assert_eq!(ada.log_in("ada@example.com", "canary-password").await.status, 403);
    assert_eq!(ada.log_in("ada@example.com", PASSWORD).await.to(), "/account");
    let sessions = ask(&["admin", "session", "list", "--user", "ada@example.com"]);
    let id = sessions[0]["id"].as_str().unwrap();
    assert_eq!(ask(&["admin", "session", "revoke", "--id", id])["revoked"], id);
    assert_eq!(ada.fetch("/account").await.status, 303);
    server
        .event("login", |line| line["outcome"] == "success" && line["who"].as_str().unwrap().starts_with("usr_"))
        .await;
    server.event("login", |line| line["outcome"] == "denied" && line.get("who").is_none()).await;
    let log = server.log();
    for hidden in ["canary-password", PASSWORD, "ada@example.com", "hfls_", "hfbb_"] {
        assert!(!log.contains(hidden), "{hidden} in {log}");
    }
}
