//! The chart, by the real helm, kubectl and promtool.
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_yaml::Value;

mod alerts;
mod cluster;
mod render;
mod values;

/// What every rendering needs; the rest has defaults.
const ISSUER: &str = "issuer=https://auth.example.com";
const POSTGRESQL: &[&str] = &["database.type=postgresql", "database.postgresql.existingSecret=database", "replicas=3"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn chart() -> PathBuf {
    root().join("charts/holdfast")
}

fn given(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run through `make test`"))
}

fn tool(name: &str) -> Command {
    Command::new(Path::new(&given("HOLDFAST_TEST_BIN")).join(name))
}

/// Standard output, or standard error when the command failed.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn template(namespace: &str, settings: &[&str]) -> Result<String, String> {
    let mut helm = tool("helm");
    helm.args(["template", "holdfast"]).arg(chart()).args(["--namespace", namespace, "--set", ISSUER]);
    settings.iter().for_each(|setting| _ = helm.args(["--set", setting]));
    run(&mut helm)
}

fn documents(yaml: &str) -> Vec<Value> {
    let all = yaml.split("\n---\n").map(|text| serde_yaml::from_str::<Value>(text).unwrap());
    all.filter(|value| !value.is_null()).collect()
}

/// The chart's objects.
fn rendered(settings: &[&str]) -> Vec<Value> {
    documents(&template("auth", settings).unwrap())
}

fn kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == *kind).collect()
}

fn only<'a>(objects: &'a [Value], wanted: &str) -> &'a Value {
    let found = kind(objects, wanted);
    assert_eq!(found.len(), 1, "{wanted}: {found:?}");
    found[0]
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
