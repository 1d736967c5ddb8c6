//! Exit codes, forms of output, and what needs no database.

use rstest::rstest;
use serde_json::Value;

use super::{holdfast, run, told};

#[test]
fn version_tells_what_was_built() {
    let home = tempfile::tempdir().unwrap();
    let (code, out, _) = run(home.path(), &["version", "--json"]);
    let version: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, version["version"].as_str()), (0, Some(env!("CARGO_PKG_VERSION"))));
    assert!(version["rustc"].as_str().unwrap().starts_with("rustc "), "{version}");
    assert!(version.get("commit").is_some() && version.get("built").is_some());
    let (_, lines, _) = run(home.path(), &["version", "--output", "kv"]);
    assert!(lines.starts_with("version="), "{lines}");
}

#[test]
fn a_good_configuration_is_summed_up_without_its_secrets() {
    let home = tempfile::tempdir().unwrap();
    let output = holdfast(home.path())
        .args(["config", "check", "--output", "kv"])
        .env("HOLDFAST_DATABASE__URL", "postgres://me:s3cret@db/holdfast")
        .output()
        .unwrap();
    let (code, out, err) = told(&output);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("configuration=valid\n") && out.contains("database=postgres\n"), "{out}");
    assert!(!out.contains("s3cret"));
}

#[rstest]
#[case(&["config", "check"], Some("server: {prot: 1}"), "holdfast: unknown key server.prot in the file ")]
#[case(&["config", "check"], Some("issuer: '${NOWHERE}'"), "holdfast: issuer uses ${NOWHERE}, which is not set")]
#[case(&["config", "check"], Some("database: {url: 'http://x'}"), "holdfast: database.url: expected sqlite://")]
#[case(&["config", "check", "--config", "nowhere.yaml"], None, "holdfast: failed to read the configuration file nowhere.yaml: ")]
#[case(&["crds", "--colour"], None, "error: unexpected argument '--colour'")]
#[case(&["frobnicate"], None, "error: unrecognized subcommand 'frobnicate'")]
#[case(&["version", "--json", "--output", "kv"], None, "error: the argument '--json' cannot be used with '--output")]
fn wrong_usage_and_configuration_is_exit_2(#[case] arguments: &[&str], #[case] file: Option<&str>, #[case] says: &str) {
    let home = tempfile::tempdir().unwrap();
    let mut command = holdfast(home.path());
    command.args(arguments);
    if let Some(yaml) = file {
        std::fs::write(home.path().join("c.yaml"), yaml).unwrap();
        command.env("HOLDFAST_CONFIG", "c.yaml");
    }
    let (code, out, err) = told(&command.output().unwrap());
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.starts_with(says), "{err}");
    if says.starts_with("holdfast") {
        assert_eq!(err.lines().count(), 1, "{err}");
    }
}

#[test]
fn the_definitions_are_printed_or_written() {
    let home = tempfile::tempdir().unwrap();
    let (code, out, _) = run(home.path(), &["crds"]);
    assert_eq!((code, out.matches("kind: CustomResourceDefinition").count()), (0, 3));
    let (code, out, _) = run(home.path(), &["crds", "--output-dir", "made/crds"]);
    assert_eq!((code, out.as_str()), (0, ""));
    assert_eq!(std::fs::read_dir(home.path().join("made/crds")).unwrap().count(), 3);
    std::fs::write(home.path().join("file"), "").unwrap();
    let (code, _, err) = run(home.path(), &["crds", "--output-dir", "file"]);
    assert_eq!(code, 1);
    assert!(err.starts_with("holdfast: failed to write file/") && err.lines().count() == 1, "{err}");
}
