//! FT-06: the real program is killed right after each of its side effects, before it hears of it, and started again.
//!
//! No hook in the program is needed: a write to the API server and a commit are what anybody else can see of it, and
//! both pass through a proxy.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use holdfast::domain::SecretText;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::invariants::is_careful;
use super::proxy::{Fault, Proxy};
use super::site::{named_client, now};
use crate::controller::harness::{World, eventually, resource_server};
use crate::support::cluster;
use crate::support::lossy::{Lossy, Meanwhile};
use crate::support::postgres;
use crate::support::server::{Home, Server};

/// Programs that are killed at the same time, each with a namespace and a database of its own.
const PROGRAMS: usize = 3;

/// What may be told or not, as it happens: a credential that was made and never published ends, and a client may be seen
/// before its resource server is.
const PASSING: [&str; 3] = ["SecretRetired", "RefNotFound", "RefsResolved"];

/// Counts side effects, and kills after the one that is due.
#[derive(Default)]
struct Effects {
    count: AtomicUsize,
    /// 0 = none.
    due: AtomicUsize,
    process: AtomicU32,
    killed: Notify,
}

impl Effects {
    fn arm(&self, due: usize) {
        self.count.store(0, Ordering::SeqCst);
        self.due.store(due, Ordering::SeqCst);
    }

    /// Another one; whether it is the last that the program lives to see.
    fn is_last(&self) -> bool {
        self.count.fetch_add(1, Ordering::SeqCst) + 1 == self.due.load(Ordering::SeqCst)
    }

    fn has_come(&self) -> bool {
        self.count.load(Ordering::SeqCst) >= self.due.load(Ordering::SeqCst)
    }

    fn kill(&self) {
        let process = self.process.load(Ordering::SeqCst).to_string();
        assert!(Command::new("kill").args(["-KILL", &process]).status().unwrap().success());
        self.killed.notify_one();
    }
}

/// A program, what it stands between, and where it can be seen from outside.
struct Stage {
    world: World,
    server: Arc<Mutex<Server>>,
    proxy: Proxy,
    effects: Arc<Effects>,
    /// Past the proxy.
    database: String,
    revives: JoinHandle<()>,
}

impl Stage {
    async fn begin() -> Self {
        let world = World::new().await;
        let effects = Arc::new(Effects::default());
        let proxy = Proxy::before(cluster::client().await).await;
        let (counts, kills) = (Arc::clone(&effects), Arc::clone(&effects));
        let crash = Fault::Crash(Arc::new(move || kills.kill()));
        proxy.fault(crash, move |ask| ask.has_effect() && counts.is_last());
        let database = postgres::fresh().await.url;
        let counts = Arc::clone(&effects);
        let url = Lossy::at_commits_of("controller", &database, move || {
            let kills = Arc::clone(&counts);
            counts.is_last().then(|| -> Meanwhile { Box::new(move || kills.kill()) })
        })
        .await;
        let mut home = Home::new();
        let kubeconfig = home.path().join("kubeconfig");
        std::fs::write(&kubeconfig, kubeconfig_of(&proxy.url, world.namespace())).unwrap();
        home.set("KUBECONFIG", kubeconfig.to_str().unwrap());
        home.set("HOLDFAST_OPERATOR__ENABLED", "true");
        home.set("HOLDFAST_OPERATOR__NAMESPACES", &format!("[\"{}\"]", world.namespace()));
        home.set("HOLDFAST_DATABASE__URL", &url);
        // many lives end here in a minute
        home.set("HOLDFAST_OPERATOR__BRAKE__PER_NAMESPACE", "0");
        home.set("HOLDFAST_OPERATOR__BRAKE__OVERALL", "0");
        let server = home.start().await;
        effects.process.store(server.id(), Ordering::SeqCst);
        let server = Arc::new(Mutex::new(server));
        let leases: Api<Lease> = Api::namespaced(world.client.clone(), world.namespace());
        let revives = tokio::spawn(revive(home, Arc::clone(&server), Arc::clone(&effects), leases));
        Self { world, server, proxy, effects, database, revives }
    }

    async fn number(&self, sql: &str) -> i64 {
        let mut connection = PgConnection::connect(&self.database).await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await.unwrap()
    }

    async fn sql(&self, sql: &str) {
        let mut connection = PgConnection::connect(&self.database).await.unwrap();
        connection.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
    }

    /// A client's life, with a kill after this many side effects; what was told of it, and whether it came to the kill.
    async fn play(&self, due: usize) -> (BTreeSet<String>, bool) {
        self.effects.arm(due);
        let (mcp, portal) = (format!("mcp-{due}"), format!("portal-{due}"));
        let stop = CancellationToken::new();
        let secret = format!("{portal}-oauth");
        let guard = guard(self.world.secrets(), secret.clone(), self.database.clone(), stop.clone());
        let guard = tokio::spawn(guard);
        self.live(&mcp, &portal, &secret).await;
        stop.cancel();
        guard.await.unwrap();
        self.die(&mcp, &portal, &secret).await;
        eventually("everything to be told", async || {
            (self.number("SELECT COUNT(*) FROM report WHERE reported_at IS NULL").await == 0).then_some(())
        })
        .await;
        let came = self.effects.has_come();
        self.effects.arm(0);
        let mut told = BTreeSet::new();
        for name in [&mcp, &portal] {
            let events = self.world.events(name).await;
            let distinct: BTreeSet<_> = events.iter().map(|event| (&event.1, &event.3)).collect();
            assert_eq!(distinct.len(), events.len(), "after effect {due}: told twice: {events:?}");
            let kind = name.split('-').next().unwrap();
            let reasons = events.iter().map(|event| event.1.as_str()).filter(|reason| !PASSING.contains(reason));
            told.extend(reasons.map(|reason| format!("{kind} {reason}")));
        }
        (told, came)
    }

    /// It comes, is edited, rotates its secret, is changed behind the operator's back, and is suspended.
    async fn live(&self, mcp: &str, portal: &str, secret: &str) {
        let world = &self.world;
        let uri = format!("https://{}.example.com/{mcp}", world.namespace());
        world.apply("ResourceServer", mcp, resource_server(&uri)).await;
        world.ready("ResourceServer", mcp).await;
        let mut spec = named_client(portal);
        spec["resources"][0]["resourceServerRef"]["name"] = mcp.into();
        world.apply("OAuthClient", portal, spec.clone()).await;
        world.ready("OAuthClient", portal).await;
        let (id, first) = (world.secret(secret, "client_id").await, world.secret(secret, "client_secret").await);

        spec["displayName"] = "Edited".into();
        world.apply("OAuthClient", portal, spec.clone()).await;
        world.ready("OAuthClient", portal).await;

        spec["authentication"]["secret"]["rotation"] = json!({"rotateIssuedBefore": now().to_string()});
        world.apply("OAuthClient", portal, spec.clone()).await;
        let second = eventually("another secret", async || {
            let value = world.secret(secret, "client_secret").await;
            (value != first).then_some(value)
        })
        .await;
        world.ready("OAuthClient", portal).await;

        self.sql(&format!("UPDATE client SET display_name = 'Drifted' WHERE id = '{id}'")).await;
        world.until("OAuthClient", portal, "Drifted", "False", "DriftCorrected").await;

        let of = |what: &str| format!("SELECT COUNT(*) FROM {what}");
        let credentials = of(&format!("credential WHERE principal = '{id}' AND state = 'current'"));
        assert_eq!(self.number(&credentials).await, 1);
        let named = of(&format!("client WHERE id = '{id}' AND display_name = 'Edited' AND state = 'Active'"));
        assert_eq!(self.number(&named).await, 1);
        for value in [&first, &second] {
            let token = async || self.server.lock().await.try_token(&id, value).await;
            eventually("a token", async || (token().await == Some(200)).then_some(())).await;
        }
        let log = self.server.lock().await.log();
        assert!(!log.contains(&first) && !log.contains(&second), "OV-10");

        spec["state"] = "Suspended".into();
        world.apply("OAuthClient", portal, spec).await;
        world.until("OAuthClient", portal, "Ready", "True", "Suspended").await;
        assert_eq!(self.number(&of(&format!("client WHERE id = '{id}' AND state = 'Suspended'"))).await, 1);
    }

    /// It goes, with everything that was made for it.
    async fn die(&self, mcp: &str, portal: &str, secret: &str) {
        for (kind, name) in [("OAuthClient", portal), ("ResourceServer", mcp)] {
            self.world.delete(kind, name).await;
            self.world.until_gone(kind, name).await;
        }
        eventually("the Secret to be collected", async || {
            self.world.secrets().get_opt(secret).await.unwrap().is_none().then_some(())
        })
        .await;
        for table in ["client", "resource_server", "managed WHERE deleted_at IS NULL", "credential"] {
            assert_eq!(self.number(&format!("SELECT COUNT(*) FROM {table}")).await, 0, "{table}");
        }
    }
}

/// Starts the program again whenever it was killed.
async fn revive(home: Home, server: Arc<Mutex<Server>>, effects: Arc<Effects>, leases: Api<Lease>) {
    loop {
        effects.killed.notified().await;
        let mut server = server.lock().await;
        server.ended().await;
        // as whoever knows that it is dead may do; else the Lease is waited for
        let _ = leases.delete("holdfast", &DeleteParams::default()).await;
        *server = home.launch();
        effects.process.store(server.id(), Ordering::SeqCst);
    }
}

/// K5: at every moment the credential in the Secret opens its client.
async fn guard(secrets: Api<Secret>, name: String, database: String, stop: CancellationToken) {
    let mut connection = PgConnection::connect(&database).await.unwrap();
    let mut looked = 0;
    while stop.run_until_cancelled(tokio::time::sleep(Duration::from_millis(25))).await.is_some() {
        let Some(secret) = secrets.get_opt(&name).await.unwrap() else { continue };
        let value = String::from_utf8(secret.data.unwrap()["client_secret"].0.clone()).unwrap();
        let live: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM credential WHERE hash = $1")
            .bind(SecretText::new(value).hash().as_bytes().as_slice())
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(live, 1, "K5: the credential in {name} opens nothing");
        looked += 1;
    }
    assert!(looked > 5, "nobody looked");
}

fn kubeconfig_of(url: &str, namespace: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
        "clusters": [{"name": "proxy", "cluster": {"server": url}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "nobody", "namespace": namespace}}],
    })
    .to_string()
}

/// FT-06: killed after side effect k, for all k of a client's life, and started again, it comes to the same end; and at
/// every moment the credential that is published works. OV-5, OV-8, OV-10, K5
#[tokio::test(flavor = "multi_thread")]
async fn killed_after_any_side_effect_it_comes_to_the_same_end() {
    let mut stages = Vec::new();
    for first in 1..=PROGRAMS {
        // one after the other: each makes keys, which takes a processor of its own
        stages.push((first, Stage::begin().await));
    }
    let plays = stages.into_iter().map(async |(first, stage)| {
        let (undisturbed, came) = stage.play(usize::MAX - first).await;
        assert!(!came);
        let mut due = first;
        loop {
            let (told, came) = stage.play(due).await;
            assert_eq!(told, undisturbed, "OV-8: after effect {due}");
            if !came {
                break;
            }
            due += PROGRAMS;
        }
        is_careful(&stage.proxy.calls());
        stage.revives.abort();
        due
    });
    let effects = futures::future::join_all(plays).await.into_iter().min().unwrap() - 1;
    assert!(effects > 25, "a client's life has only {effects} side effects");
}
