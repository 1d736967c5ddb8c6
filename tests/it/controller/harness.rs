//! An operator of the test's own: it watches the test's namespaces only, so that tests do not meet.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use holdfast::activity::{self, Activity};
use holdfast::app::system::{SystemClock, SystemEntropy};
use holdfast::controller::{self, Board, Settings};
use holdfast::crd::condition::find;
use holdfast::domain::brake::Limits;
use holdfast::domain::observer::Unobserved;
use holdfast::domain::{Actor, Clock, Epoch};
use holdfast::manifest::{Policy, Trusted};
use holdfast::metrics::Metrics;
use holdfast::provision::{self, Provisioner};
use holdfast::store::{Options, Store};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, SqliteConnection};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::cluster;

pub const ISSUER: &str = "https://auth.example.com";

/// What is shared by an operator and its successor after a restart.
pub struct World {
    pub client: Client,
    /// The first is trusted.
    pub namespaces: Vec<String>,
    pub url: String,
    pub rescan: Duration,
    /// The operator's own way to the API server, where it is not the test's.
    pub door: Option<Client>,
    /// How many deletions pass.
    pub brake: Limits,
    pub clock: Arc<Later>,
    /// Whose a host is, whoever was first.
    pub hosts: BTreeMap<String, String>,
    watch_all: bool,
    _dir: tempfile::TempDir,
}

/// The system's clock, and as much later as a test says.
#[derive(Default)]
pub struct Later(AtomicI64);

impl Later {
    pub fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for Later {
    fn now(&self) -> jiff::Timestamp {
        SystemClock.now() + jiff::SignedDuration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

pub struct Operator {
    pub store: Store,
    pub board: Board,
    pub activity: Activity,
    pub metrics: Arc<Metrics>,
    pub leadership: watch::Receiver<Option<Epoch>>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl World {
    /// One namespace, trusted.
    pub async fn new() -> Self {
        Self::with(1).await
    }

    pub async fn with(namespaces: usize) -> Self {
        let client = cluster::client().await;
        cluster::install_crds(&client).await;
        Self::on(client, namespaces).await
    }

    /// Everything of this cluster is watched, so nobody else may use it.
    pub async fn alone(cluster: &cluster::Private, namespaces: usize) -> Self {
        let client = cluster::client_of(&cluster.kubeconfig).await;
        cluster::apply_crds(&client).await;
        Self { watch_all: true, ..Self::on(client, namespaces).await }
    }

    async fn on(client: Client, namespaces: usize) -> Self {
        let mut names = Vec::new();
        for _ in 0..namespaces {
            names.push(cluster::namespace(&client).await);
        }
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/holdfast.db", dir.path().display());
        Self {
            client,
            namespaces: names,
            url,
            rescan: Duration::from_secs(300),
            brake: Limits::NONE,
            clock: Arc::default(),
            hosts: BTreeMap::new(),
            door: None,
            watch_all: false,
            _dir: dir,
        }
    }

    pub fn namespace(&self) -> &str {
        &self.namespaces[0]
    }

    pub async fn operator(&self) -> Operator {
        self.operator_named("pod-0").await
    }

    pub async fn operator_named(&self, identity: &str) -> Operator {
        // RUST_LOG=holdfast=debug shows what the operator did
        let _ = tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).try_init();
        let store = Store::open(&Options::new(&self.url), Arc::new(Unobserved)).await.unwrap();
        store.migrate().await.unwrap();
        store.refresh().await.unwrap();
        let (leadership, follower) = watch::channel(None);
        let provisioner = Provisioner::new(provision::Parts {
            store: store.clone(),
            clock: self.clock.clone(),
            entropy: Arc::new(SystemEntropy),
            observer: Arc::new(Unobserved),
            leadership: follower.clone(),
            actor: Actor::controller(),
            brake: self.brake,
        });
        let activity = Activity::new(activity::Parts {
            store: store.clone(),
            clock: Arc::new(SystemClock),
            observer: Arc::new(Unobserved),
            issuer: ISSUER.to_owned(),
            rules: activity::Rules::default(),
        });
        let (stop, board, metrics) = (CancellationToken::new(), Board::default(), Metrics::new().unwrap());
        let parts = controller::Parts {
            client: self.door.as_ref().unwrap_or(&self.client).clone(),
            provisioner,
            metrics: metrics.clone(),
            clock: self.clock.clone(),
            settings: Settings {
                policy: Policy {
                    trusted: Trusted::Only(BTreeSet::from([self.namespace().to_owned()])),
                    resource_hosts: self.hosts.clone(),
                    ..Policy::default()
                },
                issuer: ISSUER.to_owned(),
                namespaces: if self.watch_all { Vec::new() } else { self.namespaces.clone() },
                lease: (self.namespace().to_owned(), "holdfast".to_owned()),
                identity: identity.to_owned(),
                rescan: self.rescan,
                confirm: None,
            },
            leadership,
            board: board.clone(),
            enforcement: Arc::new(activity.clone()),
        };
        let feed = tokio::spawn({
            let (store, stop) = (store.clone(), stop.clone());
            async move { store.follow(stop).await }
        });
        let points = tokio::spawn({
            let (activity, stop) = (activity.clone(), stop.clone());
            async move { activity.follow(stop).await }
        });
        let run = tokio::spawn(controller::run(parts, stop.clone()));
        Operator { store, board, activity, metrics, leadership: follower, stop, tasks: vec![run, feed, points] }
    }

    fn resource(kind: &str) -> ApiResource {
        let plural = match kind {
            "Provider" => "oauthproviders".to_owned(),
            other => format!("{}s", other.to_lowercase()),
        };
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("holdfast.dev", "v1alpha1", kind), &plural)
    }

    pub fn api(&self, kind: &str, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &Self::resource(kind))
    }

    /// Applies `spec` to the object in the first namespace.
    pub async fn apply(&self, kind: &str, name: &str, spec: Value) -> DynamicObject {
        self.apply_in(self.namespace(), kind, name, spec).await
    }

    pub async fn apply_in(&self, namespace: &str, kind: &str, name: &str, spec: Value) -> DynamicObject {
        let object = json!({
            "apiVersion": "holdfast.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
        });
        let parameters = PatchParams::apply("kubectl").force();
        self.api(kind, namespace).patch(name, &parameters, &Patch::Apply(object)).await.unwrap()
    }

    pub async fn get(&self, kind: &str, name: &str) -> DynamicObject {
        self.api(kind, self.namespace()).get(name).await.unwrap()
    }

    pub async fn delete(&self, kind: &str, name: &str) {
        self.api(kind, self.namespace()).delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Waits until the object is gone from the API server.
    pub async fn until_gone(&self, kind: &str, name: &str) {
        let api = self.api(kind, self.namespace());
        eventually(&format!("{kind} {name} to be gone"), async || {
            api.get_opt(name).await.unwrap().is_none().then_some(())
        })
        .await;
    }

    /// Waits until a condition has this status and reason for the object's present generation.
    pub async fn until(&self, kind: &str, name: &str, condition: &str, status: &str, reason: &str) -> DynamicObject {
        self.until_in(self.namespace(), kind, name, (condition, status, reason)).await
    }

    pub async fn until_in(
        &self,
        namespace: &str,
        kind: &str,
        name: &str,
        (condition, status, reason): (&str, &str, &str),
    ) -> DynamicObject {
        let api = self.api(kind, namespace);
        let last = std::cell::RefCell::new(String::new());
        let found = async || {
            let object = api.get(name).await.unwrap();
            *last.borrow_mut() = object.data["status"].to_string();
            let conditions = conditions(&object);
            let met = find(&conditions, condition).is_some_and(|c| {
                c.status == status && c.reason == reason && c.observed_generation == object.metadata.generation
            });
            met.then_some(object)
        };
        let what = format!("{kind} {name} {condition}={status} {reason}");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(object) = found().await {
                return object;
            }
            assert!(Instant::now() < deadline, "{what}: {}", last.borrow());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn ready(&self, kind: &str, name: &str) -> DynamicObject {
        self.until(kind, name, "Ready", "True", "Ready").await
    }

    pub fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), self.namespace())
    }

    /// The value of a key of a Secret.
    pub async fn secret(&self, name: &str, key: &str) -> String {
        let secret = self.secrets().get(name).await.unwrap();
        String::from_utf8(secret.data.unwrap()[key].0.clone()).unwrap()
    }

    /// The Events that regard an object: type, reason, field path, note.
    pub async fn events(&self, name: &str) -> Vec<(String, String, String, String)> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), self.namespace());
        let all = api.list(&ListParams::default()).await.unwrap().items;
        let mut found: Vec<_> = all
            .into_iter()
            .filter(|event| event.regarding.as_ref().and_then(|r| r.name.as_deref()) == Some(name))
            .collect();
        found.sort_by_key(|event| event.event_time.as_ref().map(|time| time.0));
        found
            .into_iter()
            .map(|event| {
                let path = event.regarding.and_then(|r| r.field_path).unwrap_or_default();
                let text = |text: Option<String>| text.unwrap_or_default();
                (text(event.type_), text(event.reason), path, text(event.note))
            })
            .collect()
    }

    /// Waits for an Event with this reason; its field path and note.
    pub async fn event(&self, name: &str, reason: &str) -> (String, String) {
        eventually(&format!("Event {reason} of {name}"), async || {
            let events = self.events(name).await;
            events.into_iter().rev().find(|event| event.1 == reason).map(|event| (event.2, event.3))
        })
        .await
    }

    /// Takes the writer's place in the database, until it is dropped.
    pub async fn hold_writer(&self) -> SqliteConnection {
        let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
        connection.execute("BEGIN IMMEDIATE").await.unwrap();
        connection
    }

    /// Changes the database as another process does, in a transaction of its own.
    pub async fn sql(&self, statement: &str) -> u64 {
        let options = sqlx::sqlite::SqliteConnectOptions::from_str(&self.url).unwrap();
        let mut connection =
            SqliteConnection::connect_with(&options.busy_timeout(Duration::from_secs(5))).await.unwrap();
        connection.execute(AssertSqlSafe(statement.to_owned())).await.unwrap().rows_affected()
    }

    /// One number from the database.
    pub async fn count(&self, query: &str) -> i64 {
        let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(&mut connection).await.unwrap()
    }

    /// One column of text from the database.
    pub async fn texts(&self, query: &str) -> Vec<String> {
        let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_all(&mut connection).await.unwrap()
    }

    /// resourceVersions of everything of ours in the first namespace but the Lease.
    pub async fn versions(&self) -> Vec<String> {
        let mut all = Vec::new();
        for kind in ["ResourceServer", "OAuthClient", "Provider"] {
            let list = self.api(kind, self.namespace()).list(&ListParams::default()).await.unwrap();
            all.extend(list.items.iter().map(|o| format!("{kind} {} {}", o.name_any(), o.resource_version().unwrap())));
        }
        let secrets = self.secrets().list(&ListParams::default()).await.unwrap();
        all.extend(secrets.items.iter().map(|s| format!("Secret {} {}", s.name_any(), s.resource_version().unwrap())));
        let events: Api<Event> = Api::namespaced(self.client.clone(), self.namespace());
        let events = events.list(&ListParams::default()).await.unwrap();
        all.extend(events.items.iter().map(|e| format!("Event {} {}", e.name_any(), e.resource_version().unwrap())));
        all.sort();
        all
    }
}

impl Operator {
    /// As on SIGTERM.
    pub async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
    }

    /// As on SIGKILL: nothing is given back.
    pub fn kill(self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

pub const PATIENCE: Duration = Duration::from_secs(90);

/// Asks again until there is an answer.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn conditions(object: &DynamicObject) -> Vec<Condition> {
    serde_json::from_value(object.data["status"]["conditions"].clone()).unwrap_or_default()
}

pub fn condition(object: &DynamicObject, kind: &str) -> Condition {
    find(&conditions(object), kind).cloned().unwrap_or_else(|| panic!("no {kind}: {}", object.data["status"]))
}

/// A live resource server with one scope.
pub fn resource_server(uri: &str) -> Value {
    json!({
        "resourceURI": uri,
        "lifecycle": "Live",
        "scopes": [{"name": "invoices.read", "risk": "Low"}, {"name": "invoices.write", "risk": "High"}],
    })
}

/// A confidential client of the resource server `mcp`.
pub fn client() -> Value {
    json!({
        "grantTypes": ["client_credentials"],
        "authentication": {"method": "ClientSecretBasic", "secret": {"name": "portal-oauth"}},
        "resources": [{"name": "mcp", "resourceServerRef": {"name": "mcp"}, "scopes": ["invoices.read"]}],
    })
}
