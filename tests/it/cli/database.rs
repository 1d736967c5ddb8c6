//! What works on the database itself: `migrate` and `admin apikey`, on SQLite.

use rstest::rstest;
use serde_json::Value;

use super::{holdfast, run, told};

#[test]
fn migrate_applies_once_and_in_a_private_folder() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let (code, out, err) = run(home.path(), &["migrate", "--output", "kv"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("applied=") && out != "applied=0\n", "{out}");
    assert_eq!(run(home.path(), &["migrate", "--output", "kv"]).1, "applied=0\n");
    let mode = |path: &str| std::fs::metadata(home.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(".local/share/holdfast"), mode(".local/share/holdfast/holdfast.db")), (0o700, 0o600));
}

#[test]
fn an_api_key_is_shown_once_listed_without_its_value_and_revoked() {
    let home = tempfile::tempdir().unwrap();
    let json = |arguments: &[&str]| {
        let (code, out, err) = run(home.path(), &[arguments, &["--json"]].concat());
        assert_eq!((code, err.as_str()), (0, ""));
        serde_json::from_str::<Value>(&out).unwrap()
    };
    assert_eq!(json(&["admin", "apikey", "list"]), serde_json::json!([]));
    let made = json(&["admin", "apikey", "create", "--name", "ci", "--role", "operator"]);
    let key = made["key"].as_str().unwrap().to_owned();
    assert!(key.starts_with("hfk_") && key.len() == 47, "{made}");
    let list = json(&["admin", "apikey", "list"]);
    assert_eq!((list[0]["name"].as_str(), list[0]["role"].as_str()), (Some("ci"), Some("operator")));
    assert!(!list.to_string().contains(&key));
    json(&["admin", "apikey", "revoke", "--name", "ci"]);
    assert_ne!(json(&["admin", "apikey", "list"])[0]["revoked"], "");
}

#[rstest]
#[case(&["admin", "apikey", "revoke", "--name", "nobody"], 1, "holdfast: no API key called nobody is in force\n")]
#[case(&["admin", "apikey", "create", "--name", "Big One", "--role", "admin"], 2, "error: invalid value 'Big One'")]
#[case(&["admin", "apikey", "create", "--name", "a", "--role", "king"], 2, "error: invalid value 'king'")]
#[case(&["admin", "apikey", "create", "--name", "twice", "--role", "viewer"], 1, "holdfast: an API key called twice exists")]
fn what_cannot_be_done_is_said(#[case] arguments: &[&str], #[case] code: i32, #[case] says: &str) {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(run(home.path(), &["admin", "apikey", "create", "--name", "twice", "--role", "admin"]).0, 0);
    let (found, out, err) = run(home.path(), arguments);
    assert_eq!((found, out.as_str()), (code, ""), "{err}");
    assert!(err.starts_with(says), "{err}");
}

#[rstest]
#[case("sqlite:///proc/nowhere/holdfast.db", "holdfast: failed to open the database /proc/nowhere/holdfast.db: ")]
#[case("sqlite:///", "holdfast: failed to open the database /: ")]
#[case("postgres://nobody@127.0.0.1:x/d", "holdfast: failed to read the database URL: not a PostgreSQL URL")]
fn a_database_that_cannot_be_is_one_line_and_exit_2(#[case] url: &str, #[case] says: &str) {
    let home = tempfile::tempdir().unwrap();
    let (code, _, err) =
        told(&holdfast(home.path()).arg("migrate").env("HOLDFAST_DATABASE__URL", url).output().unwrap());
    assert_eq!((code, err.lines().count()), (2, 1), "{err}");
    assert!(err.starts_with(says), "{err}");
}
