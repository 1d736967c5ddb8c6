//! Nothing changes unseen.

use std::time::{Duration, Instant};

use holdfast::domain::policy::{Changed, Policy};
use holdfast::domain::{Actor, Kind, OwnerKey};
use holdfast::store::Store;
use rstest::rstest;
use sqlx::{Connection, Executor, PgConnection};
use tokio::sync::broadcast::Receiver;

use super::engine::Engine::{self, Postgres, Sqlite};
use super::engine::{Feed, Fresh, eventually};
use super::samples::{all, at, credential, put_all};

async fn heard(receiver: &mut Receiver<Changed>, kind: Kind, id: &str) -> Changed {
    let search = async {
        loop {
            let changed = receiver.recv().await.unwrap();
            if changed.kind == kind && changed.id == id {
                return changed;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), search).await.expect("word of the change")
}

/// A store with the samples in it, whose feed is caught up.
async fn followed(engine: Engine) -> (Store, Fresh, Feed, Receiver<Changed>) {
    let (store, fresh) = engine.store().await;
    put_all(&store).await;
    let feed = Feed::start(&store).await;
    eventually(|| store.snapshot().client("portal").is_some()).await;
    let receiver = store.subscribe();
    (store, fresh, feed, receiver)
}

/// K3, D5
#[rstest]
#[case(Sqlite, "sql")]
#[case(Postgres, "sql:postgres")]
#[tokio::test]
async fn a_change_by_sql_is_seen_within_a_second(#[case] engine: Engine, #[case] actor: &str) {
    let (store, fresh, _feed, mut receiver) = followed(engine).await;
    let before = store.snapshot().client("portal").unwrap().revision;
    let from = store.read().await.unwrap().last_sequence().await.unwrap();
    fresh.sql("UPDATE client SET redirect_uris = '[\"https://evil.example\"]' WHERE id = 'portal'").await;
    let committed = Instant::now();
    let changed = heard(&mut receiver, Kind::OAuthClient, "portal").await;
    assert!(committed.elapsed() < Duration::from_secs(1), "{:?}", committed.elapsed());
    assert_eq!(changed.owner, Some(OwnerKey::new(Kind::OAuthClient, "web", "portal")));
    let entry = store.snapshot().client("portal").unwrap().clone();
    assert_eq!(entry.client.redirect_uris, ["https://evil.example"]);
    assert!(entry.revision > before);
    let traces = store.read().await.unwrap().traces(Kind::OAuthClient, "portal", from).await.unwrap();
    assert_eq!(traces.len(), 1);
    assert_eq!((traces[0].actor.as_str(), traces[0].table.as_str()), (actor, "client"));
}

/// K3
#[tokio::test]
async fn a_change_by_another_process_is_seen_within_a_second() {
    let (store, fresh, _feed, mut receiver) = followed(Sqlite).await;
    fresh.sql_of_another_process("UPDATE scope SET risk = 'Low' WHERE name = 'invoices.write'");
    let committed = Instant::now();
    heard(&mut receiver, Kind::ResourceServer, "rs_1").await;
    assert!(committed.elapsed() < Duration::from_secs(1), "{:?}", committed.elapsed());
    let entry = store.snapshot().resource_server("rs_1").unwrap().clone();
    assert!(entry.resource_server.scopes.iter().all(|scope| scope.risk == "Low"));
}

/// Every table that makes up an entity: a statement, and the entity that it touches.
#[rstest]
#[case("UPDATE client_resource SET scopes = '[]'", Kind::OAuthClient, "portal")]
#[case("DELETE FROM client_resource WHERE name = 'ledger'", Kind::OAuthClient, "portal")]
#[case("DELETE FROM client", Kind::OAuthClient, "portal")]
#[case("UPDATE resource_server SET lifetime_seconds = 86400", Kind::ResourceServer, "rs_1")]
#[case("UPDATE resource_server SET owner_name = NULL", Kind::ResourceServer, "rs_1")]
#[case("UPDATE scope SET name = 'admin' WHERE name = 'invoices.read'", Kind::ResourceServer, "rs_1")]
#[case("DELETE FROM scope", Kind::ResourceServer, "rs_1")]
#[case("UPDATE tool SET access = 'Public', scopes = '[]'", Kind::ResourceServer, "rs_1")]
#[case("INSERT INTO tool VALUES ('x', 'rs_1', 'rm', 'Public', '[]', 'Any')", Kind::ResourceServer, "rs_1")]
#[case("UPDATE role SET scopes = '[\"invoices.write\"]'", Kind::ResourceServer, "rs_1")]
#[case("UPDATE role_binding SET members = '{}'", Kind::ResourceServer, "rs_1")]
#[case("UPDATE provider SET settings = '{}'", Kind::Provider, "prv_1")]
#[case("UPDATE credential SET state = 'retiring'", Kind::OAuthClient, "portal")]
#[case("DELETE FROM credential", Kind::OAuthClient, "portal")]
#[tokio::test]
async fn every_table_counts(
    #[case] sql: &str,
    #[case] kind: Kind,
    #[case] id: &str,
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let (store, fresh, _feed, mut receiver) = followed(engine).await;
    let before = store.read().await.unwrap().entity(kind, id).await.unwrap().unwrap();
    assert!(fresh.sql(sql).await > 0, "the statement touched a row");
    let changed = heard(&mut receiver, kind, id).await;
    assert_eq!(changed.owner, before.owner);
    let after = store.read().await.unwrap().entity(kind, id).await.unwrap();
    assert_ne!(after.as_ref(), Some(&before));
    assert!(after.is_none_or(|after| after.revision > before.revision));
}

#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn our_own_changes_carry_our_name(#[case] engine: Engine) {
    let (store, fresh, _feed, mut receiver) = followed(engine).await;
    let (id, spec, owner) = all().remove(0);
    let mut took = Vec::new();
    for round in 0..5 {
        let mut tx = store.write(&Actor::api_key("ci")).await.unwrap();
        tx.put(id, &spec, Some(&owner).filter(|_| round % 2 == 1), at(2)).await.unwrap();
        tx.commit().await.unwrap();
        let committed = Instant::now();
        heard(&mut receiver, Kind::ResourceServer, id).await;
        took.push(committed.elapsed());
    }
    // by polling alone it would be 50 ms on average
    assert!(took.iter().min() < Some(&Duration::from_millis(20)), "our own commit wakes the feed: {took:?}");
    fresh.sql("UPDATE resource_server SET display_name = 'theirs'").await;
    let traces = store.read().await.unwrap().traces(Kind::ResourceServer, id, 0).await.unwrap();
    let last: Vec<&str> = traces.iter().rev().take(2).map(|trace| trace.actor.as_str()).collect();
    assert!(last[0].starts_with("sql"), "{last:?}");
    assert_eq!(last[1], "apikey:ci");
    assert_eq!(traces[0].actor, Actor::controller());
}

/// A name that somebody left in `tx_actor` ends with our next transaction, and never becomes ours.
#[tokio::test]
async fn a_name_that_was_left_behind_is_cleared() {
    let (store, fresh) = Sqlite.store().await;
    fresh.sql("INSERT INTO tx_actor (id, actor) VALUES (1, 'controller')").await;
    let mut tx = store.write(&Actor::directory()).await.unwrap();
    let (id, spec, owner) = all().remove(1);
    tx.put(id, &spec, Some(&owner), at(1)).await.unwrap();
    tx.commit().await.unwrap();
    fresh.sql("UPDATE client SET display_name = 'theirs'").await;
    let traces = store.read().await.unwrap().traces(Kind::OAuthClient, id, 0).await.unwrap();
    let actors: Vec<&str> = traces.iter().map(|trace| trace.actor.as_str()).collect();
    assert_eq!(actors, ["directory", "directory", "directory", "sql"]);
}

#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn what_is_rolled_back_was_never_there(#[case] engine: Engine) {
    let (store, fresh) = engine.store().await;
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    for (id, spec, owner) in all() {
        tx.put(id, &spec, Some(&owner), at(1)).await.unwrap();
    }
    drop(tx);
    assert_eq!(fresh.number("SELECT count(*) FROM change").await, 0);
    assert!(store.read().await.unwrap().entities(Kind::OAuthClient).await.unwrap().is_empty());
    if engine == Sqlite {
        assert_eq!(fresh.number("SELECT count(*) FROM tx_actor").await, 0);
    }
}

/// No secret and no hash of one in the log of changes.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn change_rows_hold_no_hash(#[case] engine: Engine) {
    let (store, fresh) = engine.store().await;
    put_all(&store).await;
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    tx.put_credential("portal", &credential("c1", "second")).await.unwrap();
    tx.commit().await.unwrap();
    let told = "SELECT count(*) FROM change WHERE table_name = 'credential' AND new LIKE '%hash_changed%'";
    assert_eq!(fresh.number(told).await, 1);
    let hashes = "SELECT count(*) FROM change WHERE old LIKE '%\"hash\"%' OR new LIKE '%\"hash\"%'";
    assert_eq!(fresh.number(hashes).await, 0);
}

/// mechanics §1: reading on from the highest sequence would lose it.
#[tokio::test]
async fn a_slow_transaction_that_commits_late_is_not_lost() {
    let (store, fresh, _feed, mut receiver) = followed(Postgres).await;
    let mut slow = PgConnection::connect(&fresh.url).await.unwrap();
    slow.execute("BEGIN; UPDATE provider SET display_name = 'slow'").await.unwrap();
    fresh.sql("UPDATE resource_server SET display_name = 'fast'").await;
    heard(&mut receiver, Kind::ResourceServer, "rs_1").await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    slow.execute("COMMIT").await.unwrap();
    heard(&mut receiver, Kind::Provider, "prv_1").await;
    let spec = store.snapshot().provider("prv_1").unwrap().spec.fields();
    assert_eq!(spec["displayName"], "slow");
}

/// A transaction that stays open holds back the ordered log, and nothing else.
#[tokio::test]
async fn nothing_waits_for_a_foreign_open_transaction() {
    let (_store, fresh, _feed, mut receiver) = followed(Postgres).await;
    let mut foreign = PgConnection::connect(&fresh.url).await.unwrap();
    foreign.execute("BEGIN; CREATE TEMPORARY TABLE theirs (x INT)").await.unwrap();
    for name in ["one", "two"] {
        fresh.sql(&format!("UPDATE client SET display_name = '{name}'")).await;
        heard(&mut receiver, Kind::OAuthClient, "portal").await;
    }
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert!(receiver.try_recv().is_err(), "and the poll says nothing twice");
}

#[tokio::test]
async fn truncate_is_seen() {
    let (store, fresh, _feed, mut receiver) = followed(Postgres).await;
    fresh.sql("TRUNCATE client").await;
    heard(&mut receiver, Kind::OAuthClient, "portal").await;
    assert!(store.snapshot().client("portal").is_none());
}

/// Whoever claims our name without being our role is named by who it is.
#[tokio::test]
async fn a_claim_of_another_role_is_not_believed() {
    let (store, fresh, _feed, mut receiver) = followed(Postgres).await;
    let role = format!("outsider_{}", std::process::id());
    fresh.sql(&format!("CREATE ROLE {role} LOGIN; GRANT SELECT, UPDATE ON client TO {role}")).await;
    let mut url = url::Url::parse(&fresh.url).unwrap();
    url.set_username(&role).unwrap();
    let mut outsider = PgConnection::connect(url.as_str()).await.unwrap();
    outsider.execute("SET holdfast.actor = 'controller'; UPDATE client SET state = 'Suspended'").await.unwrap();
    heard(&mut receiver, Kind::OAuthClient, "portal").await;
    let traces = store.read().await.unwrap().traces(Kind::OAuthClient, "portal", 0).await.unwrap();
    assert_eq!(traces.last().unwrap().actor.as_str(), format!("sql:{role}"));
}

#[tokio::test]
async fn the_feed_survives_the_loss_of_its_connections() {
    let (store, fresh, _feed, mut receiver) = followed(Postgres).await;
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'holdfast'";
    fresh.sql(kill).await;
    fresh.sql("UPDATE client SET display_name = 'meanwhile'").await;
    eventually(|| store.snapshot().client("portal").is_some_and(|c| c.client.display_name == "meanwhile")).await;
    eventually(|| store.feed_healthy()).await;
    while receiver.try_recv().is_ok() {}
    fresh.sql("UPDATE client SET display_name = 'afterwards'").await;
    heard(&mut receiver, Kind::OAuthClient, "portal").await;
}

/// What is no policy is not served; the rest is, and `put` puts it right.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn a_row_that_cannot_be_read_is_not_served(#[case] engine: Engine) {
    let (store, fresh, _feed, mut receiver) = followed(engine).await;
    fresh.sql("UPDATE client SET grant_types = 'everything'").await;
    heard(&mut receiver, Kind::OAuthClient, "portal").await;
    assert!(store.snapshot().client("portal").is_none());
    store.refresh().await.unwrap();
    assert!(store.snapshot().resource_server("rs_1").is_some());
    let unreadable = store.read().await.unwrap().entity(Kind::OAuthClient, "portal").await;
    assert!(matches!(unreadable, Err(holdfast::store::Error::Corrupt { table: "client", .. })));
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    let (id, spec, owner) = all().remove(1);
    tx.put(id, &spec, Some(&owner), at(3)).await.unwrap();
    tx.commit().await.unwrap();
    heard(&mut receiver, Kind::OAuthClient, "portal").await;
    assert!(store.snapshot().client("portal").is_some());
}

#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn one_entity_is_read_again_on_demand(#[case] engine: Engine) {
    let (store, fresh) = engine.store().await;
    put_all(&store).await;
    store.refresh().await.unwrap();
    assert!(store.is_loaded() && !store.feed_healthy());
    fresh.sql("UPDATE client SET display_name = 'new'; UPDATE resource_server SET display_name = 'new'").await;
    let many = (0..20).map(|_| store.reread(Kind::OAuthClient, "portal"));
    for result in futures::future::join_all(many).await {
        result.unwrap();
    }
    let snapshot = store.snapshot();
    assert_eq!(snapshot.client("portal").unwrap().client.display_name, "new");
    assert_eq!(snapshot.resource_server("rs_1").unwrap().resource_server.display_name, "Billing");
    store.reread(Kind::OAuthClient, "nobody").await.unwrap();
    assert!(store.snapshot().client("nobody").is_none());
}
