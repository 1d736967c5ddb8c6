//! `holdfast lint`: what is wrong with policy files, told by nobody else.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use super::{holdfast, run, told};

fn repository(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).display().to_string()
}

#[test]
fn the_samples_are_clean_and_the_illegal_one_is_named() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(
        run(home.path(), &["lint", "-f", &repository("config/samples"), "--json"]),
        (0, "[]\n".into(), "".into())
    );
    let (code, out, err) = run(home.path(), &["lint", "-f", &repository("config/illegal"), "--json"]);
    let faults: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, err.as_str(), faults.as_array().unwrap().len()), (1, "", 1), "{out}");
    assert_eq!(faults[0]["object"], "OAuthClient/default/no-way-back");
    assert_eq!(faults[0]["field"], "spec.redirectURIs");
    assert_eq!(faults[0]["message"], "authorization_code requires redirectURIs");
    assert!(faults[0]["file"].as_str().unwrap().ends_with("config/illegal/oauthclient.yaml"));
}

const STREAM: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: other}
---
apiVersion: holdfast.dev/v1alpha1
kind: ResourceServer
metadata: {name: mcp}
spec:
  resourceURI: https://one.example.com/mcp
  scopes: [{name: a}, {name: a}]
---
apiVersion: holdfast.dev/v2
kind: ResourceServer
metadata: {name: new}
---
kind: [
---
apiVersion: holdfast.dev/v1alpha1
kind: ResourceServer
metadata: {name: twice}
spec: {resourceURI: https://two.example.com/mcp}
---
apiVersion: holdfast.dev/v1alpha1
kind: ResourceServer
metadata: {name: twice}
spec: {resourceURI: https://two.example.com/mcp}
";

#[test]
fn a_stream_is_read_document_by_document() {
    let home = tempfile::tempdir().unwrap();
    let mut command = holdfast(home.path());
    command.args(["lint", "-f", "-", "--json"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(STREAM.as_bytes()).unwrap();
    let (code, out, _) = told(&child.wait_with_output().unwrap());
    let faults: Vec<Value> = serde_json::from_str(&out).unwrap();
    let at = |fault: &Value| format!("{} {} {}", fault["line"], fault["object"], fault["field"]).replace('"', "");
    let seen: Vec<String> = faults.iter().map(at).collect();
    let expected = [
        "4 ResourceServer/default/mcp spec.scopes[1]",
        "11 ResourceServer/default/new kind",
        "15  ",
        "22 ResourceServer/default/twice ",
    ];
    assert_eq!((code, seen.as_slice()), (1, expected.map(str::to_owned).as_slice()), "{out}");
    assert_eq!(faults[3]["message"], "is in -:17 already");
}

#[test]
fn what_cannot_be_read_is_no_policy() {
    let home = tempfile::tempdir().unwrap();
    let (code, out, err) = run(home.path(), &["lint", "-f", "nowhere.yaml"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.starts_with("holdfast: failed to read nowhere.yaml: "), "{err}");
    let (code, _, err) = run(home.path(), &["lint"]);
    assert!(code == 2 && err.contains("--filename"), "{err}");
}
