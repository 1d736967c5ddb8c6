//! How much the operator costs, on a real API server: start, memory, writes for a client and at rest, change → Ready,
//! SQL change → corrected. Run by `bench/run`; prints one table.

use std::collections::HashMap;
use std::error::Error;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row, SqliteConnection};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const CLIENTS: usize = 200;
const DRIFTS: usize = 100;
const REST: Duration = Duration::from_secs(20);

/// The operator under measurement; stopped when dropped.
struct Operator {
    process: Child,
    database: PathBuf,
    _folder: tempfile::TempDir,
    start: Duration,
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Operator {
    async fn start(program: &str, namespace: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (public, admin, database) = (free_port()?, free_port()?, folder.path().join("holdfast.db"));
        let began = Instant::now();
        let process = Command::new(program)
            .arg("serve")
            .env("KUBECONFIG", std::env::var("HOLDFAST_TEST_KUBECONFIG")?)
            .env("HOLDFAST_OPERATOR__ENABLED", "true")
            .env("HOLDFAST_OPERATOR__NAMESPACE", namespace)
            .env("HOLDFAST_DATABASE__URL", format!("sqlite://{}", database.display()))
            .env("HOLDFAST_KEYS__MASTER_KEY_FILE", folder.path().join("master.key"))
            .env("HOLDFAST_SERVER__PUBLIC__LISTEN", format!("127.0.0.1:{public}"))
            .env("HOLDFAST_SERVER__ADMIN__LISTEN", format!("127.0.0.1:{admin}"))
            .env("HOLDFAST_LOGGING__LEVEL", "error")
            .stdout(Stdio::null())
            .spawn()?;
        let mut operator = Self { process, database, _folder: folder, start: Duration::ZERO };
        let ready = format!("http://127.0.0.1:{public}/ready");
        while !reqwest::get(&ready).await.is_ok_and(|answer| answer.status().is_success()) {
            if began.elapsed() > Duration::from_secs(60) {
                return Err("the operator did not become ready in a minute".into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        operator.start = began.elapsed();
        Ok(operator)
    }

    /// Resident memory, KiB.
    fn resident(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    async fn connect(&self) -> Result<SqliteConnection> {
        let options = SqliteConnectOptions::new().filename(&self.database).busy_timeout(Duration::from_secs(5));
        Ok(options.connect().await?)
    }

    async fn changes(&self) -> Result<i64> {
        let mut connection = self.connect().await?;
        Ok(sqlx::query("SELECT count(*) FROM change").fetch_one(&mut connection).await?.try_get(0)?)
    }
}

/// Writes that the API server served, without leases: the sum over verbs that write.
async fn api_writes(client: &Client) -> Result<u64> {
    let request = axum::http::Request::get("/metrics").body(Vec::new())?;
    let text = client.request_text(request).await?;
    let writes = text.lines().filter(|line| line.starts_with("apiserver_request_total{")).filter(|line| {
        let verb = ["POST", "PUT", "PATCH", "APPLY", "DELETE"].iter().any(|v| line.contains(&format!("verb=\"{v}\"")));
        verb && !line.contains("resource=\"leases\"")
    });
    Ok(writes.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64)
}

fn api(client: &Client, namespace: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("holdfast.dev", "v1alpha1", kind);
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk_with_plural(&kind, plural))
}

async fn install(client: &Client) -> Result<()> {
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let crds: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::from_gvk(&kind));
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/crds"))? {
        let crd: DynamicObject = serde_yaml::from_str(&std::fs::read_to_string(entry?.path())?)?;
        crds.patch(&crd.name_any(), &PatchParams::apply("holdfast-bench").force(), &Patch::Apply(&crd)).await?;
    }
    tokio::time::sleep(Duration::from_secs(2)).await; // served a moment after it is established
    Ok(())
}

fn object(name: &str, kind: &str, spec: Value) -> Result<DynamicObject> {
    let metadata = json!({"name": name});
    let object = json!({"apiVersion": "holdfast.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec});
    Ok(serde_json::from_value(object)?)
}

fn is_ready(object: &DynamicObject) -> bool {
    let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array);
    let ready = |c: &&Value| c["type"] == "Ready" && c["status"] == "True";
    conditions.is_some_and(|all| all.iter().any(|c| ready(&c)))
}

/// Creates the clients and answers with the time each took to become Ready.
async fn create_clients(clients: &Api<DynamicObject>) -> Result<Vec<Duration>> {
    let mut events = watcher(clients.clone(), watcher::Config::default()).default_backoff().applied_objects().boxed();
    let creating = clients.clone();
    let creation = tokio::spawn(async move {
        let mut created = HashMap::new();
        for number in 0..CLIENTS {
            let name = format!("client-{number}");
            let spec = json!({
                "grantTypes": ["client_credentials"],
                "authentication": {"method": "ClientSecretBasic", "secret": {"name": format!("{name}-oauth")}},
                "resources": [{"name": "bench", "resourceServerRef": {"name": "bench"}, "scopes": ["read"]}]
            });
            let object = object(&name, "OAuthClient", spec).map_err(|e| e.to_string())?;
            created.insert(name, Instant::now());
            creating.create(&PostParams::default(), &object).await.map_err(|e| e.to_string())?;
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        Ok::<_, String>(created)
    });
    let mut ready: HashMap<String, Instant> = HashMap::new();
    while ready.len() < CLIENTS {
        let next = tokio::time::timeout(Duration::from_secs(60), events.try_next()).await?;
        let object = next?.ok_or("the watch ended")?;
        if is_ready(&object) {
            ready.entry(object.name_any()).or_insert_with(Instant::now);
        }
    }
    let created = creation.await??;
    Ok(ready.into_iter().filter_map(|(name, at)| Some(at - *created.get(&name)?)).collect())
}

/// Changes clients behind the operator's back; the times are those that the database's triggers wrote.
async fn drift(operator: &Operator) -> Result<Vec<Duration>> {
    let mut connection = operator.connect().await?;
    let first: i64 = sqlx::query("SELECT max(sequence) FROM change").fetch_one(&mut connection).await?.try_get(0)?;
    let ids = sqlx::query("SELECT id FROM client ORDER BY id LIMIT $1").bind(DRIFTS as i64);
    for row in ids.fetch_all(&mut connection).await? {
        let id: String = row.try_get(0)?;
        let change = "UPDATE client SET grant_types = '[\"client_credentials\",\"device_code\"]' WHERE id = $1";
        sqlx::query(change).bind(&id).execute(&mut connection).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let pairs = "SELECT mine.at - theirs.at FROM change theirs
        JOIN change mine ON mine.entity_id = theirs.entity_id AND mine.actor = 'controller' AND mine.table_name = 'client'
            AND mine.sequence = (SELECT min(sequence) FROM change WHERE entity_id = theirs.entity_id
                AND actor = 'controller' AND table_name = 'client' AND sequence > theirs.sequence)
        WHERE theirs.sequence > $1 AND theirs.actor LIKE 'sql%' AND theirs.table_name = 'client'";
    let rows = sqlx::query(pairs).bind(first).fetch_all(&mut connection).await?;
    let took = |row: &sqlx::sqlite::SqliteRow| -> Result<Duration> {
        Ok(Duration::from_micros(u64::try_from(row.try_get::<i64, _>(0)?)?))
    };
    let times = rows.iter().map(took).collect::<Result<Vec<_>>>()?;
    if times.len() != DRIFTS {
        return Err(format!("{} of {DRIFTS} changes were corrected", times.len()).into());
    }
    Ok(times)
}

fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |q: f64| times[((times.len() - 1) as f64 * q) as usize].as_secs_f64() * 1000.0;
    format!("p50 {:.0} ms, p99 {:.0} ms ({} samples)", at(0.5), at(0.99), times.len())
}

#[tokio::main]
async fn main() -> Result<()> {
    let program = std::env::args().nth(1).ok_or("usage: operator PROGRAM")?;
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let kubeconfig = kube::config::Kubeconfig::read_from(std::env::var("HOLDFAST_TEST_KUBECONFIG")?)?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await?;
    let client = Client::try_from(config)?;
    install(&client).await?;
    let name = format!("bench-{}", std::process::id());
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(name.clone());
    namespaces.create(&PostParams::default(), &namespace).await?;

    let operator = Operator::start(&program, &name).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let idle = operator.resident()?;
    let servers = api(&client, &name, "ResourceServer", "resourceservers");
    let spec = json!({"resourceURI": format!("https://{name}.example.com/mcp"), "lifecycle": "Live",
        "scopes": [{"name": "read", "description": "Read"}]});
    servers.create(&PostParams::default(), &object("bench", "ResourceServer", spec)?).await?;
    while !is_ready(&servers.get("bench").await?) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    tokio::time::sleep(Duration::from_secs(2)).await;
    let clients = api(&client, &name, "OAuthClient", "oauthclients");
    let (writes, changes) = (api_writes(&client).await?, operator.changes().await?);
    let to_ready = create_clients(&clients).await?;
    tokio::time::sleep(Duration::from_secs(5)).await; // Events follow
    let each = |before: u64, after: u64| (after - before) as f64 / CLIENTS as f64;
    let api_each = each(writes, api_writes(&client).await?) - 1.0; // less our own creation
    let rows_each = (operator.changes().await? - changes) as f64 / CLIENTS as f64;

    let (writes, changes) = (api_writes(&client).await?, operator.changes().await?);
    tokio::time::sleep(REST).await;
    let (api_rest, rows_rest) = (api_writes(&client).await? - writes, operator.changes().await? - changes);
    let corrected = drift(&operator).await?;

    println!("| operator, {CLIENTS} clients, SQLite | |\n|---|---|");
    println!("| start → ready | {:.0} ms |", operator.start.as_secs_f64() * 1000.0);
    println!("| resident memory, idle | {:.1} MiB |", idle as f64 / 1024.0);
    println!("| resident memory, with the clients | {:.1} MiB |", operator.resident()? as f64 / 1024.0);
    println!("| writes to the API server a new client | {api_each:.1} |");
    println!("| change rows a new client | {rows_each:.1} |");
    println!("| writes at rest in {} s | {api_rest} to the API server, {rows_rest} rows |", REST.as_secs());
    println!("| creation → Ready | {} |", quantiles(to_ready));
    println!("| SQL change → corrected | {} |", quantiles(corrected));
    namespaces.delete(&name, &Default::default()).await?;
    Ok(())
}
