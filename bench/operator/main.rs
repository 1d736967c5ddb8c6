//! How much the operator costs, on a real API server: start, memory, writes for a client and at rest, change → Ready,
//! SQL change → corrected, with as many clients as the command line says. Run by `bench/run`; prints one table.

mod process;
mod readiness;

use std::collections::HashMap;
use std::error::Error;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use sqlx::Row;

use process::{Home, Operator};
use readiness::{Readiness, ready_for};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const DRIFTS: usize = 100;
/// Of them, while a new start looks at all.
const MEANWHILE: usize = 20;
const EDITS: usize = 200;
/// For one change to show, where that is not what is measured.
const PATIENCE: Duration = Duration::from_secs(30);
const REST: Duration = Duration::from_secs(20);
/// Between two creations or edits.
const PACE: Duration = Duration::from_millis(25);

/// One column of the table.
#[derive(Default)]
struct Column {
    clients: usize,
    rows: Vec<String>,
}

struct Bench {
    client: Client,
    clients: Api<DynamicObject>,
    readiness: Readiness,
    home: Home,
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

impl Bench {
    /// Creates clients at a steady pace; how long each took to become Ready.
    async fn create(&self, numbers: std::ops::Range<usize>) -> Result<Vec<Duration>> {
        let mut asked = HashMap::new();
        for number in numbers {
            let name = format!("client-{number}");
            let spec = json!({
                "grantTypes": ["client_credentials"],
                "authentication": {"method": "ClientSecretBasic", "secret": {"name": format!("{name}-oauth")}},
                "resources": [{"name": "bench", "resourceServerRef": {"name": "bench"}, "scopes": ["read"]}]
            });
            let began = Instant::now();
            let made = self.clients.create(&PostParams::default(), &object(&name, "OAuthClient", spec)?).await?;
            asked.insert((name, made.metadata.generation.unwrap_or(1)), began);
            tokio::time::sleep(PACE.saturating_sub(began.elapsed())).await;
        }
        self.readiness.of(&asked).await
    }

    /// Edits clients at a steady pace; how long each took to be Ready in its new generation.
    async fn edit(&self, of: usize) -> Result<Vec<Duration>> {
        let mut asked = HashMap::new();
        for edit in 0..EDITS {
            let name = format!("client-{}", edit * of / EDITS);
            let patch = Patch::Merge(json!({"spec": {"displayName": format!("Edit {edit} of {of}")}}));
            let began = Instant::now();
            let made = self.clients.patch(&name, &PatchParams::default(), &patch).await?;
            asked.insert((name, made.metadata.generation.unwrap_or_default()), began);
            tokio::time::sleep(PACE.saturating_sub(began.elapsed())).await;
        }
        self.readiness.of(&asked).await
    }

    /// Changes clients behind the operator's back: how long until each was corrected, by the times that the database's
    /// triggers wrote, and how long until the log of activity had it.
    async fn drift(&self, clients: usize) -> Result<(Vec<Duration>, Vec<Duration>)> {
        let mut connection = self.home.connect().await?;
        let (first, mut logged) = (self.home.changes().await?, Vec::new());
        let ids = sqlx::query("SELECT id FROM client ORDER BY id LIMIT $1").bind(clients as i64);
        for row in ids.fetch_all(&mut connection).await? {
            let id: String = row.try_get(0)?;
            let change = "UPDATE client SET grant_types = '[\"client_credentials\",\"device_code\"]' WHERE id = $1";
            let (before, began) = (self.home.logged().await?, Instant::now());
            sqlx::query(change).bind(&id).execute(&mut connection).await?;
            while self.home.logged().await? == before {
                if began.elapsed() > PATIENCE {
                    return Err("a change is in no log of activity".into());
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            logged.push(began.elapsed());
            tokio::time::sleep(Duration::from_millis(100).saturating_sub(began.elapsed())).await;
        }
        let began = Instant::now();
        loop {
            let times = self.corrected(first).await?;
            if times.len() == clients {
                return Ok((times, logged));
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("{} of {clients} changes were corrected", times.len()).into());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// How long each change by SQL after that row of the change log stood.
    async fn corrected(&self, first: i64) -> Result<Vec<Duration>> {
        let pairs = "SELECT mine.at - theirs.at FROM change theirs
            JOIN change mine ON mine.sequence = (SELECT min(sequence) FROM change WHERE entity_kind = theirs.entity_kind
                AND entity_id = theirs.entity_id AND actor = 'controller' AND table_name = 'client'
                AND sequence > theirs.sequence)
            WHERE theirs.sequence > $1 AND theirs.actor LIKE 'sql%' AND theirs.table_name = 'client'";
        let rows = sqlx::query(pairs).bind(first).fetch_all(&mut self.home.connect().await?).await?;
        let took = |row: &sqlx::sqlite::SqliteRow| -> Result<Duration> {
            Ok(Duration::from_micros(u64::try_from(row.try_get::<i64, _>(0)?)?))
        };
        rows.iter().map(took).collect()
    }

    /// Writes to the API server and change rows from now on.
    async fn written(&self) -> Result<(u64, i64)> {
        Ok((api_writes(&self.client).await?, self.home.changes().await?))
    }

    /// All that is measured once the number of clients has grown to `to`; the operator is started anew meanwhile.
    async fn column(&self, operator: Operator, from: usize, to: usize) -> Result<(Operator, Column)> {
        let new = (to - from) as f64;
        let (before, processor) = (self.written().await?, operator.processor()?);
        let to_ready = self.create(from..to).await?;
        tokio::time::sleep(Duration::from_secs(5)).await; // Events follow
        let after = self.written().await?;
        let mut rows = vec![
            format!("{:.1}", (after.0 - before.0) as f64 / new - 1.0), // less our own creation
            format!("{:.1}", (after.1 - before.1) as f64 / new),
            format!("{:.1} ms", (operator.processor()? - processor) * 1000.0 / new),
            quantiles(to_ready),
            quantiles(self.edit(to).await?),
        ];
        tokio::time::sleep(Duration::from_secs(5)).await;
        let (corrected, logged) = self.drift(DRIFTS).await?;
        rows.extend([quantiles(corrected), quantiles(logged)]);
        tokio::time::sleep(Duration::from_secs(3)).await; // Events follow
        let (before, processor) = (self.written().await?, operator.processor()?);
        tokio::time::sleep(REST).await;
        let after = self.written().await?;
        rows.push(format!("{} / {}", after.0 - before.0, after.1 - before.1));
        rows.push(format!("{:.2} %", (operator.processor()? - processor) / REST.as_secs_f64() * 100.0));
        rows.push(format!("{:.1} MiB", operator.resident()?));
        operator.stop()?;
        let before = self.written().await?;
        let (operator, looked) = self.restart(to).await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let after = self.written().await?;
        rows.push(format!("{:.0} ms", operator.start.as_secs_f64() * 1000.0));
        rows.push(format!("{:.1} s", looked.as_secs_f64()));
        rows.push(format!("{} / {}", after.0 - before.0, after.1 - before.1));
        rows.push(format!("{:.1} MiB", operator.resident()?));
        operator.stop()?;
        let operator = self.home.start().await?;
        while operator.waiting().await? == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        rows.push(quantiles(self.drift(MEANWHILE).await?.0));
        Ok((operator, Column { clients: to, rows }))
    }

    /// Starts the operator; how long until it has looked at every object.
    async fn restart(&self, clients: usize) -> Result<(Operator, Duration)> {
        let began = Instant::now();
        let operator = self.home.start().await?;
        while operator.managed().await? <= clients {
            if began.elapsed() > Duration::from_secs(300) {
                return Err("not every object was looked at in five minutes".into());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok((operator, began.elapsed()))
    }
}

const ROWS: [&str; 15] = [
    "writes to the API server a new client",
    "change rows a new client",
    "processor time a new client",
    "creation → Ready",
    "edit → Ready",
    "SQL change → corrected",
    "SQL change → in the log of activity",
    "writes at rest in 20 s, API server / rows",
    "processor at rest",
    "resident memory",
    "started again → ready",
    "started again → all looked at",
    "writes of the new start, API server / rows",
    "resident memory after it",
    "SQL change while a new start looks at all → corrected",
];

fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |q: f64| times[((times.len() - 1) as f64 * q) as usize].as_secs_f64() * 1000.0;
    format!("p50 {:.0}, p99 {:.0} ms ({})", at(0.5), at(0.99), times.len())
}

fn print(start: Duration, idle: f64, columns: &[Column]) {
    let cells =
        |cell: &dyn Fn(&Column) -> String| columns.iter().map(|c| format!(" {} |", cell(c))).collect::<String>();
    println!("| operator, SQLite |{}", cells(&|column| format!("{} clients", column.clients)));
    println!("|---|{}", "---|".repeat(columns.len()));
    println!(
        "| first start → ready, {:.0} ms; resident memory idle, {idle:.1} MiB |{}",
        start.as_secs_f64() * 1000.0,
        cells(&|_| String::new())
    );
    for (index, row) in ROWS.iter().enumerate() {
        println!("| {row} |{}", cells(&|column| column.rows[index].clone()));
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let usage = "usage: operator PROGRAM [CLIENTS…], each more than the one before";
    let mut arguments = std::env::args().skip(1);
    let program = arguments.next().ok_or(usage)?;
    let mut sizes = arguments.map(|size| size.parse()).collect::<std::result::Result<Vec<usize>, _>>()?;
    if sizes.is_empty() {
        sizes.push(200);
    }
    if sizes[0] < DRIFTS || sizes.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err(usage.into());
    }
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

    let home = Home::new(&program, &name)?;
    let mut operator = home.start().await?;
    let start = operator.start;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let idle = operator.resident()?;
    let servers = api(&client, &name, "ResourceServer", "resourceservers");
    let spec = json!({"resourceURI": format!("https://{name}.example.com/mcp"), "lifecycle": "Live",
        "scopes": [{"name": "read", "description": "Read"}]});
    servers.create(&PostParams::default(), &object("bench", "ResourceServer", spec)?).await?;
    while ready_for(&servers.get("bench").await?).is_none() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;

    let clients = api(&client, &name, "OAuthClient", "oauthclients");
    let bench = Bench { client, readiness: Readiness::follow(clients.clone()), clients, home };
    let (mut columns, mut from) = (Vec::new(), 0);
    for size in sizes {
        let column;
        (operator, column) = bench.column(operator, from, size).await?;
        columns.push(column);
        from = size;
    }
    print(start, idle, &columns);
    operator.stop()?;
    namespaces.delete(&name, &Default::default()).await?;
    Ok(())
}
