//! What a token costs: a floor (the least axum, signature and durable row one can write) and the product beside it, each
//! in its own process under the same load. CPU is the process's own accounting. Run by `bench/run`; prints one table.

mod floor;
mod flows;
mod load;
mod process;

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flows::Flow;
use load::{Load, Measured};
use process::Server;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Rounds alternate, so that a noisy neighbour hits both.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(4);
const WARM: Duration = Duration::from_secs(1);
const CONNECTIONS: usize = 32;
const SECRET: &str = "bench-secret-0123456789-0123456789-0123456789";

const POLICY: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: bench, labels: {holdfast.dev/referenced: "true"}}
stringData: {client_secret: bench-secret-0123456789-0123456789-0123456789}
---
apiVersion: holdfast.dev/v1alpha1
kind: ResourceServer
metadata: {name: bench}
spec:
  resourceURI: https://bench.example.com/mcp
  lifecycle: Live
  scopes: [{name: invoices.read, description: Read invoices}, {name: invoices.write, description: Change invoices}]
  roles: [{name: reader, scopes: [invoices.read]}]
  accessPolicy: {defaultRole: reader}
  accessToken: {senderConstraint: DPoPOptional}
  consent: ImplicitAllowed
---
apiVersion: holdfast.dev/v1alpha1
kind: OAuthClient
metadata: {name: workload}
spec:
  clientID: workload
  grantTypes: [client_credentials]
  authentication: {method: PrivateKeyJWT, jwks: JWKS}
  resources: [{name: bench, resourceServerRef: {name: bench}, scopes: [invoices.read]}]
---
apiVersion: holdfast.dev/v1alpha1
kind: OAuthClient
metadata: {name: person}
spec:
  clientID: person
  grantTypes: [authorization_code, refresh_token]
  redirectURIs: ["http://127.0.0.1/callback"]
  authentication: {method: None}
  consent: Implicit
  resources: [{name: bench, resourceServerRef: {name: bench}, scopes: [invoices.read]}]
---
apiVersion: holdfast.dev/v1alpha1
kind: OAuthClient
metadata: {name: bench}
spec:
  clientID: bench
  grantTypes: [client_credentials]
  authentication:
    method: ClientSecretBasic
    secret: {source: Referenced, name: bench, keys: {clientSecret: client_secret}}
  resources: [{name: bench, resourceServerRef: {name: bench}, scopes: [invoices.read, invoices.write]}]
"#;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match std::env::args().nth(1).as_deref() {
        Some("floor") => runtime.block_on(floor::serve()),
        Some(program) => runtime.block_on(compare(program)),
        None => Err("usage: token PROGRAM".into()),
    }
}

async fn compare(program: &str) -> Result<()> {
    let own = std::env::current_exe()?;
    let floor = Server::start(&own, &["floor"], "/token").await?;
    let directory = tempfile::tempdir()?;
    let key = Arc::new(flows::Key::generate()?);
    let jwks = serde_json::json!({"keys": [key.jwk()]}).to_string();
    std::fs::write(directory.path().join("policy.yaml"), POLICY.replace("JWKS", &jwks))?;
    let policy = directory.path().display().to_string();
    let product = Server::start(Path::new(program), &["serve", "--policy-dir", &policy], "/oauth/token").await?;
    let idle = product.resident()?;

    let (mut floors, mut products) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floors.push(measure(&floor).await?);
        products.push(measure(&product).await?);
    }
    println!("| client_credentials, ES256, SQLite (synchronous=FULL), {CONNECTIONS} connections | floor | product |");
    println!("|---|---|---|");
    let row = |name: &str, of: fn(&Measured) -> f64| {
        println!("| {name} | {:.1} | {:.1} |", median(&floors, of), median(&products, of));
    };
    row("CPU a request, µs", |m| m.cpu);
    row("requests a second", |m| m.rate);
    row("p50, ms", |m| m.p50);
    row("p99, ms", |m| m.p99);
    println!("| floor's CPU / product's | | {:.2} |", median(&floors, |m| m.cpu) / median(&products, |m| m.cpu));
    println!(
        "| start → ready, ms | {:.0} | {:.0} |",
        floor.start.as_secs_f64() * 1e3,
        product.start.as_secs_f64() * 1e3
    );
    println!("| resident memory idle, MiB | | {idle:.1} |");
    println!("| resident memory after the load, MiB | {:.1} | {:.1} |", floor.resident()?, product.resident()?);
    rest(&product, median(&floors, |m| m.cpu), &key).await
}

/// The other flows of the product, each beside what one token costs the floor.
async fn rest(product: &Server, floor: f64, key: &Arc<flows::Key>) -> Result<()> {
    let made = ["admin", "user", "create", "--name", "Bench", "--role", "user"];
    product.run(&[&made[..], &["--email", flows::EMAIL, "--password", flows::PASSWORD]].concat())?;
    let cookie = flows::sign_in(product).await?;
    println!("\n| flow | CPU of the product, µs | floors |\n|---|---|---|");
    for (flow, name) in Flow::ALL {
        let mut rounds = Vec::new();
        for _ in 0..3 {
            rounds.push(flows::measure(product, flow, &cookie, key).await?);
        }
        rounds.sort_by(f64::total_cmp);
        println!("| {name} | {:.1} | {:.2} |", rounds[1], rounds[1] / floor);
    }
    Ok(())
}

async fn measure(server: &Server) -> Result<Measured> {
    let load = Load { address: server.address, path: server.path, connections: CONNECTIONS };
    load.run(WARM).await?;
    let before = server.cpu()?;
    let mut measured = load.run(ROUND).await?;
    measured.cpu = (server.cpu()? - before).as_secs_f64() * 1e6 / measured.requests as f64;
    Ok(measured)
}

fn median(all: &[Measured], of: impl Fn(&Measured) -> f64) -> f64 {
    let mut values: Vec<f64> = all.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
