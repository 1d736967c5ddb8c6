//! A server with a public and an admin port on loopback, some policy, and a clock that only a test moves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use holdfast::activity::{self, Activity};
use holdfast::domain::clock::EntropyUnavailable;
use holdfast::domain::credential::CredentialState;
use holdfast::domain::outcome::{ObjectStatus, StatusBoard};
use holdfast::domain::purge::{Keep, PurgeTarget};
use holdfast::domain::reviewer::Reviewer;
use holdfast::domain::{Actor, Clock, Credential, Entropy, Epoch, Kind, OwnerKey, SecretText, Spec};
use holdfast::http::{Health, MetricsPage, Sources, admin, public, serve};
use holdfast::identity::{self, Identity, Rules};
use holdfast::metrics::Metrics;
use holdfast::oauth::{
    AuthorizationServer, ClientLimits, DeviceOptions, DpopOptions, DynamicParts, KeySettings, Parts, PushedRules,
};
use holdfast::provision::{self, Provisioner};
use holdfast::seal::{MasterKey, Sealer};
use holdfast::store::{ApiKey, ApiRole, Options, Store};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

pub const ISSUER: &str = "https://auth.example.com";
pub const BILLING: &str = "https://billing.example.com/mcp";

pub struct Random;

impl Entropy for Random {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
        SystemRandom::new().fill(bytes).map_err(|_| EntropyUnavailable)
    }
}

pub struct HandClock(Mutex<Timestamp>);

impl HandClock {
    pub fn at(now: Timestamp) -> Self {
        Self(Mutex::new(now))
    }

    pub fn advance(&self, seconds: i64) {
        *self.0.lock().unwrap() += SignedDuration::from_secs(seconds);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

struct Empty;

impl StatusBoard for Empty {
    fn statuses(&self) -> Vec<ObjectStatus> {
        Vec::new()
    }
}

pub struct Server {
    pub server: AuthorizationServer,
    pub store: Store,
    pub identity: Identity,
    pub activity: Activity,
    pub clock: Arc<HandClock>,
    pub metrics: Arc<Metrics>,
    pub health: Health,
    /// `http://127.0.0.1:port`
    pub public: String,
    pub admin: String,
    pub http: reqwest::Client,
    pub directory: Option<TempDir>,
    _stop: DropGuard,
}

/// What differs between servers.
pub struct Setup {
    pub url: Option<String>,
    pub issuer: String,
    pub failures_per_minute: u32,
    pub metrics: bool,
    pub rules: Rules,
    pub pushed: PushedRules,
    /// The database is another server's, who has put the policy there.
    pub second: bool,
    pub keys: KeySettings,
    pub limits: ClientLimits,
    pub sources: Sources,
    /// Of another server on the same database, which has put the policy there already.
    pub clock: Option<Arc<HandClock>>,
    pub dynamic: DynamicParts,
    pub nonce_required: bool,
    pub reviewer: Option<Arc<dyn Reviewer>>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            url: None,
            issuer: ISSUER.to_owned(),
            failures_per_minute: 10_000,
            metrics: true,
            rules: Rules::default(),
            pushed: PushedRules::default(),
            second: false,
            keys: KeySettings::default(),
            limits: ClientLimits::default(),
            sources: Sources::default(),
            clock: None,
            dynamic: DynamicParts::default(),
            nonce_required: false,
            reviewer: None,
        }
    }
}

pub async fn server() -> Server {
    Setup::default().start().await
}

pub fn sealer() -> Sealer {
    let key = MasterKey::parse(&SecretText::new("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), "test").unwrap();
    Sealer::new(&key, Arc::new(Random)).unwrap()
}

impl Setup {
    pub async fn start(self) -> Server {
        let metrics = Metrics::new().unwrap();
        let (directory, url) = match self.url {
            Some(url) => (None, url),
            None => {
                let directory = tempfile::tempdir().unwrap();
                let url = format!("sqlite://{}", directory.path().join("holdfast.db").display());
                (Some(directory), url)
            }
        };
        let store = Store::open(&Options::new(url), metrics.clone()).await.unwrap();
        store.migrate().await.unwrap();
        // a second server on one database finds its policy there
        let new = self.clock.is_none() && !self.second;
        if new && store.read().await.unwrap().entity(Kind::OAuthClient, "reporter").await.unwrap().is_none() {
            seed(&store).await;
        }
        store.refresh().await.unwrap();
        let clock = self.clock.unwrap_or_else(|| Arc::new(HandClock(Mutex::new(now()))));
        let stop = CancellationToken::new();
        tokio::spawn({
            let (store, stop) = (store.clone(), stop.clone());
            async move { store.follow(stop).await }
        });
        let server = AuthorizationServer::new(Parts {
            store: store.clone(),
            sealer: sealer(),
            keys: self.keys,
            issuer: self.issuer.clone(),
            clock: clock.clone(),
            entropy: Arc::new(Random),
            failures_per_minute: self.failures_per_minute,
            limits: self.limits,
            max_waiting: 64,
            max_exchanges: 4,
            device: DeviceOptions { lifetime: SignedDuration::from_secs(600), interval: 5 },
            dpop: DpopOptions { nonce_required: self.nonce_required, window: SignedDuration::from_secs(60) },
            refresh_grace: Duration::from_secs(30),
            pushed_requests: self.pushed,
            dynamic: DynamicParts { observer: metrics.clone(), ..self.dynamic },
            reviewer: self.reviewer,
        })
        .await
        .unwrap();
        tokio::spawn({
            let (server, metrics, stop) = (server.clone(), metrics.clone(), stop.clone());
            async move { server.follow_keys(&*metrics, stop).await }
        });
        let (leads, leadership) = tokio::sync::watch::channel(Some(Epoch(0)));
        let provisioner = Provisioner::new(provision::Parts {
            store: store.clone(),
            clock: clock.clone(),
            entropy: Arc::new(Random),
            observer: metrics.clone(),
            leadership: leadership.clone(),
            actor: Actor::controller(),
            brake: holdfast::domain::brake::Limits::NONE,
        });
        tokio::spawn({
            let (server, stop) = (server.clone(), stop.clone());
            async move { server.follow_settings(stop).await }
        });
        let health = Health::new(
            server.clone(),
            metrics.clone(),
            Some((leadership, Arc::new(holdfast::directory::Board::default()))),
        );
        let page = MetricsPage { metrics: metrics.clone(), path: self.metrics.then(|| "/metrics".to_owned()) };
        let identity = Identity::new(identity::Parts {
            store: store.clone(),
            clock: clock.clone(),
            entropy: Arc::new(Random),
            observer: Some(metrics.clone()),
            rules: self.rules,
        })
        .unwrap();
        let activity = Activity::new(activity::Parts {
            store: store.clone(),
            clock: clock.clone(),
            observer: metrics.clone(),
            issuer: self.issuer,
            rules: activity::Rules::default(),
        });
        tokio::spawn({
            let (activity, stop) = (activity.clone(), stop.clone());
            async move { activity.follow(stop).await }
        });
        let public = public::Parts {
            server: server.clone(),
            identity: identity.clone(),
            activity: activity.clone(),
            metrics: metrics.clone(),
            health: health.clone(),
            sources: self.sources.clone(),
        };
        let public = public::router(public).unwrap();
        let parts = admin::Parts {
            server: server.clone(),
            provisioner,
            policy: Arc::default(),
            identity: identity.clone(),
            activity: activity.clone(),
            board: Arc::new(Empty),
            metrics: page,
            health: health.clone(),
            sources: self.sources,
        };
        let public = listen(public, &stop).await;
        let admin = listen(admin::router(parts).unwrap(), &stop).await;
        let kept = activity;
        tokio::spawn(async move { leads.closed().await });
        let (http, stop) = (reqwest::Client::new(), stop.drop_guard());
        Server {
            server,
            store,
            identity,
            activity: kept,
            clock,
            metrics,
            health,
            public,
            admin,
            http,
            directory,
            _stop: stop,
        }
    }
}

async fn listen(router: axum::Router, stop: &CancellationToken) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, router, stop.clone()));
    format!("http://{address}")
}

/// A moment that a UUIDv7 and every row can hold.
pub fn now() -> Timestamp {
    Timestamp::from_second(1_900_000_000).unwrap()
}

/// The secret of a principal.
pub fn secret(id: &str) -> String {
    format!("{id}.secret-0123456789_0123456789~0123456789")
}

pub fn resource_server(uri: &str, change: Value) -> Spec {
    let mut value = json!({
        "resourceURI": uri, "displayName": "Billing MCP", "lifecycle": "Live", "tokenSource": {"type": "Mint"},
        "scopes": [
            {"name": "invoices.read", "description": "Read", "risk": "Low", "upstream": ""},
            {"name": "invoices.write", "description": "Write", "risk": "High", "upstream": ""},
            {"name": "invoices.void", "description": "Void", "risk": "High", "upstream": ""}],
        "tools": [], "defaultRole": null,
        "roles": [{"name": "all", "scopes": ["invoices.read", "invoices.write", "invoices.void"]}],
        "roleBindings": [{"name": "u", "role": "all", "subjects": [{"kind": "User", "name": super::person::USER}]}],
        "accessToken": {"format": "JWT", "signingAlgorithm": "ES256", "lifetimeSeconds": 900, "senderConstraint": "None"},
        "allowedNamespaces": {"from": "Same"}, "dynamicClients": "Denied", "consent": "Required",
        "exchange": {"mode": "Listed"}, "runtimeClients": [], "runtimeServiceAccounts": [], "connect": {}, "fronting": []
    });
    merge(&mut value, change);
    Spec::ResourceServer(serde_json::from_value(value).unwrap())
}

pub fn client(change: Value) -> Spec {
    let mut value = json!({
        "displayName": "A client", "state": "Active", "grantTypes": ["client_credentials"], "redirectURIs": [],
        "authenticationMethod": "ClientSecretBasic", "jwks": null, "jwksURI": null, "workloadIdentity": null,
        "agent": null, "consent": "Required", "resources": [attached("rs_billing")],
        "tokens": {"refreshLifetimeSeconds": 10, "refreshIdleSeconds": 5, "senderConstraint": "None"}
    });
    merge(&mut value, change);
    Spec::Client(serde_json::from_value(value).unwrap())
}

fn attached(id: &str) -> Value {
    json!({"name": id, "resourceServerID": id, "scopes": ["invoices.read", "invoices.write", "invoices.gone"]})
}

fn merge(target: &mut Value, change: Value) {
    match (target, change) {
        (Value::Object(target), Value::Object(change)) => {
            change.into_iter().for_each(|(name, value)| merge(target.entry(name).or_insert(Value::Null), value));
        }
        (target, change) => *target = change,
    }
}

pub fn credential(id: &str, secret: &str) -> Credential {
    Credential {
        id: id.to_owned(),
        hash: SecretText::new(secret).hash(),
        state: CredentialState::Current,
        issued_at: now(),
        retire_at: None,
        last_used_at: None,
    }
}

/// A client that people use.
fn person(method: &str, resources: Value) -> Spec {
    client(json!({
        "authenticationMethod": method, "grantTypes": ["authorization_code", "refresh_token"],
        "redirectURIs": ["https://app.example.com/callback"], "resources": resources,
        "tokens": {"refreshLifetimeSeconds": 86_400, "refreshIdleSeconds": 7200, "senderConstraint": "None"}
    }))
}

/// The policy of every test.
fn policy() -> BTreeMap<&'static str, Spec> {
    let resource = |name: &str, change| resource_server(&format!("https://{name}.example.com/mcp"), change);
    let all = json!(["rs_billing", "rs_draft", "rs_eddsa", "rs_rsa", "rs_opaque", "rs_dpop"].map(attached));
    BTreeMap::from([
        ("rs_billing", resource_server(BILLING, json!({"runtimeClients": ["gateway"]}))),
        ("rs_draft", resource("draft", json!({"lifecycle": "Draft"}))),
        (
            "rs_eddsa",
            resource_server("https://eddsa.example.com", json!({"accessToken": {"signingAlgorithm": "EdDSA"}})),
        ),
        ("rs_rsa", resource("rsa", json!({"accessToken": {"signingAlgorithm": "RS256", "lifetimeSeconds": 60}}))),
        ("rs_opaque", resource("opaque", json!({"accessToken": {"format": "Opaque"}}))),
        ("rs_dpop", resource("dpop", json!({"accessToken": {"senderConstraint": "DPoPRequired"}}))),
        ("reporter", client(json!({}))),
        ("another", client(json!({}))),
        ("multi", client(json!({"resources": all}))),
        ("poster", client(json!({"authenticationMethod": "ClientSecretPost"}))),
        ("suspended", client(json!({"state": "Suspended"}))),
        ("browser", client(json!({"grantTypes": ["authorization_code"]}))),
        ("gateway", client(json!({"resources": []}))),
        ("keyed", client(json!({"authenticationMethod": "PrivateKeyJWT"}))),
        ("public", client(json!({"authenticationMethod": "None", "grantTypes": ["authorization_code"]}))),
        ("odd+id", client(json!({}))),
        ("app", person("None", json!(["rs_billing"].map(attached)))),
        ("app2", person("None", json!(["rs_billing"].map(attached)))),
        ("portal", person("ClientSecretBasic", json!(["rs_billing", "rs_opaque", "rs_eddsa"].map(attached)))),
    ])
}

pub async fn seed(store: &Store) {
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    let with_secret = |id: &str| !["public", "keyed", "app", "app2"].contains(&id) && !id.starts_with("rs_");
    for (id, spec) in policy() {
        let owner = match spec.kind() {
            Kind::ResourceServer => OwnerKey::new(Kind::ResourceServer, "billing", id.replace("rs_", "")),
            kind => OwnerKey::new(kind, "web", id),
        };
        tx.put(id, &spec, Some(&owner), now()).await.unwrap();
        if with_secret(id) || id == "rs_billing" || id == "rs_eddsa" {
            tx.put_credential(id, &credential(&format!("cred-{id}"), &secret(id))).await.unwrap();
        }
    }
    for (name, role) in [("anna", ApiRole::Admin), ("olga", ApiRole::Operator), ("vera", ApiRole::Viewer)] {
        let key = ApiKey { name: name.to_owned(), role, created_at: now(), revoked_at: None };
        tx.put_api_key(&key, &SecretText::new(secret(name)).hash()).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// One batch of the purge target `unused-clients`, as the leader runs it.
pub async fn purge(server: &Server) -> u64 {
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    let keep = Keep {
        issuance: days(90),
        audit: None,
        never_used: days(1),
        last_used: days(90),
        change_log: days(30),
        access_log: days(30),
        access_log_rows: 1_000_000,
    };
    server.store.purge(PurgeTarget::UnusedClients, (&keep, server.clock.now()), None).await.unwrap()
}

/// An answer, taken apart.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}

impl Server {
    /// `POST` of a form by a client that authenticates with Basic.
    pub async fn post_as(&self, id: &str, path: &str, form: &[(&str, &str)]) -> Answer {
        let request = self.http.post(format!("{}{path}", self.public)).basic_auth(id, Some(secret(id)));
        answer(request.form(form)).await
    }

    /// `POST` of a body as it is.
    pub async fn post(&self, path: &str, authorization: Option<&str>, body: &str) -> Answer {
        let request = self.http.post(format!("{}{path}", self.public));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body.to_owned());
        let request = match authorization {
            Some(value) => request.header("authorization", value),
            None => request,
        };
        answer(request).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        answer(self.http.get(format!("{}{path}", self.public))).await
    }

    /// A token for a client's only resource, or for the one that is named.
    pub async fn token(&self, id: &str, resource: &str) -> String {
        let form = [("grant_type", "client_credentials"), ("resource", resource)];
        let answer = self.post_as(id, "/oauth/token", &form).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// What introspection tells `id` about a token.
    pub async fn introspect(&self, id: &str, token: &str) -> Value {
        let answer = self.post_as(id, "/oauth/introspect", &[("token", token)]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Rows of issued tokens.
    pub async fn tokens(&self) -> i64 {
        let text = self.metrics.render().unwrap();
        let line =
            text.lines().find(|l| l.starts_with("holdfast_tokens_issued_total{grant_type=\"client_credentials\"}"));
        line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Changes policy as somebody else would, and waits for nothing.
    pub async fn put(&self, id: &str, spec: &Spec) {
        let mut tx = self.store.write(&Actor::controller()).await.unwrap();
        tx.put(id, spec, None, now()).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub fn metric(&self, line: &str) -> bool {
        self.metrics.render().unwrap().contains(line)
    }
}
