//! The real program is killed right after somebody's change is committed: every change is in the log once all the same.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::policy::soon;
use crate::support::lossy::{Lossy, Meanwhile};
use crate::support::postgres;
use crate::support::server::{Home, Server};

const POLICY: &str = "
apiVersion: holdfast.dev/v1alpha1
kind: ResourceServer
metadata: {name: billing, namespace: default}
spec:
  resourceURI: https://billing.example.com/mcp
  displayName: Billing
  lifecycle: Live
  scopes: [{name: invoices.read}, {name: invoices.write}]
  tools:
  - {name: list, access: Scoped, scopes: [invoices.read]}
  - {name: pay, access: Scoped, scopes: [invoices.write]}
";

/// Kills the process at the commit that is due, before it hears of it.
#[derive(Default)]
struct Killer {
    /// Commits until then; 0 = none is due.
    due: AtomicUsize,
    process: AtomicU32,
}

impl Killer {
    fn arm(&self, due: usize) {
        self.due.store(due, Ordering::SeqCst);
    }

    fn is_over(&self) -> bool {
        self.due.load(Ordering::SeqCst) == 0
    }

    fn at_commit(self: &Arc<Self>) -> Option<Meanwhile> {
        let counted = self.due.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |due| due.checked_sub(1));
        let own = Arc::clone(self);
        (counted == Ok(1)).then(|| -> Meanwhile {
            Box::new(move || {
                let process = own.process.load(Ordering::SeqCst).to_string();
                assert!(Command::new("kill").args(["-KILL", &process]).status().unwrap().success());
            })
        })
    }
}

/// A program on PostgreSQL, which dies at the commits of one actor.
struct Stage {
    home: Home,
    server: Server,
    killer: Arc<Killer>,
    /// Past the proxy.
    database: String,
    /// What is in the log, and was looked at.
    seen: i64,
}

impl Stage {
    async fn begin(actor: &str) -> Self {
        let database = postgres::fresh().await.url;
        let killer = Arc::new(Killer::default());
        let own = Arc::clone(&killer);
        let url = Lossy::at_commits_of(actor, &database, move || own.at_commit()).await;
        let mut home = Home::with_policy(&[("billing.yaml", POLICY)]);
        home.set("HOLDFAST_DATABASE__URL", &url);
        let server = home.start().await;
        killer.process.store(server.id(), Ordering::SeqCst);
        let mut stage = Self { home, server, killer, database, seen: 0 };
        stage.told(&["launched directory"]).await;
        stage
    }

    async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.database).await.unwrap()
    }

    async fn sql(&self, sql: &str) {
        self.connection().await.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
    }

    async fn restart(&mut self) {
        self.server.ended().await;
        self.server = self.home.start().await;
        self.killer.process.store(self.server.id(), Ordering::SeqCst);
    }

    /// The types that are new in the log, each with who did it and whether it was told afterwards, and nothing that is yet
    /// to be derived.
    async fn fresh(&self) -> Option<Vec<String>> {
        let mut connection = self.connection().await;
        let told = "SELECT event_type || ' ' || split_part(occurred_by, ':', 1) || CASE outside WHEN 1 THEN ' outside' ELSE '' END
            FROM activity WHERE id > $1 ORDER BY 1";
        let told = sqlx::query_scalar(told).bind(self.seen).fetch_all(&mut connection).await.unwrap();
        let open = sqlx::query_scalar("SELECT count(*) FROM change WHERE derived = 0");
        let open: i64 = open.fetch_one(&mut connection).await.unwrap();
        (open == 0).then_some(told)
    }

    /// Waits until this is what is new, and nothing else.
    async fn told(&mut self, expected: &[&str]) {
        soon(&format!("{expected:?}"), async || {
            let told = self.fresh().await?;
            assert!(told.len() <= expected.len(), "{told:?}");
            (told == expected).then_some(())
        })
        .await;
        let mut connection = self.connection().await;
        self.seen = sqlx::query_scalar("SELECT max(id) FROM activity").fetch_one(&mut connection).await.unwrap();
    }
}

/// D1: killed after the commit of a change by the admin API, whose answer nobody heard: it is told, and so is what puts
/// it right, once each.
#[tokio::test(flavor = "multi_thread")]
async fn killed_after_a_change_by_the_api_it_is_in_the_log_once() {
    let mut stage = Stage::begin("apikey:olga").await;
    let key = stage.home.api_key("olga", "operator");
    let mut connection = stage.connection().await;
    let id: String = sqlx::query_scalar("SELECT id FROM resource_server").fetch_one(&mut connection).await.unwrap();
    stage.killer.arm(1);
    let url = stage.server.admin(&format!("/admin/resource-servers/{id}?force=true"));
    let patch = stage.server.client().patch(url).bearer_auth(key);
    let patch = patch.header("content-type", "application/merge-patch+json");
    let patch = patch.body(
        json!({"scopes": [{"name": "invoices.read", "description": "", "risk": "Low", "upstream": ""}]}).to_string(),
    );
    assert!(patch.send().await.is_err(), "nobody hears that it was done");
    assert!(stage.killer.is_over());
    stage.restart().await;
    let expected = ["scope_added directory", "scope_deleted apikey", "tool_mapped directory", "tool_unmapped apikey"];
    stage.told(&expected).await;
}

/// D1: killed when a change by SQL is committed and nobody has looked at it yet: whoever comes next tells it, once.
#[tokio::test(flavor = "multi_thread")]
async fn killed_after_a_change_by_sql_it_is_in_the_log_once() {
    let mut stage = Stage::begin("nobody").await;
    stage.server.signal("STOP");
    stage.sql("UPDATE resource_server SET display_name = 'Sql'").await;
    stage.server.signal("KILL");
    stage.restart().await;
    stage.told(&["display_name_changed directory", "display_name_changed sql outside"]).await;
}

/// D1: killed after any of the commits by which a change by SQL is told.
#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_tells_of_a_change_by_sql_it_tells_it_once() {
    let mut stage = Stage::begin("server").await;
    let mut due = 0;
    let killed = loop {
        due += 1;
        stage.killer.arm(due);
        stage.sql(&format!("UPDATE resource_server SET display_name = 'Sql {due}'")).await;
        let told = soon("it to be told, or to be killed", async || {
            let told = stage.fresh().await.is_some_and(|told| told.len() == 2);
            (told || stage.killer.is_over()).then_some(told)
        })
        .await;
        if stage.killer.is_over() {
            stage.restart().await;
        }
        stage.told(&["display_name_changed directory", "display_name_changed sql outside"]).await;
        // told in full, and there was no commit left to die at
        if told && !stage.killer.is_over() {
            break due - 1;
        }
    };
    assert!(killed > 0, "it never died");
}
