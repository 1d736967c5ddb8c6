//! Opening, migrating, binding, and a database that is away.

use std::sync::Arc;
use std::time::Duration;

use holdfast::domain::observer::Unobserved;
use holdfast::domain::{Actor, Kind};
use holdfast::store::{Error, Options, Store};
use rstest::rstest;
use sqlx::Executor;

use super::engine::Engine::{self, Postgres, Sqlite};
use super::samples::put_all;

async fn open(options: &Options) -> Result<Store, Error> {
    Store::open(options, Arc::new(Unobserved)).await
}

#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn migrating_again_applies_nothing(#[case] engine: Engine) {
    let fresh = engine.fresh().await;
    let (one, two) = (fresh.open().await, fresh.open().await);
    let (first, second) = tokio::join!(one.migrate(), two.migrate());
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(first.min(second) == 0 && first.max(second) > 3, "one of them applies all: {first}, {second}");
    assert_eq!(one.migrate().await.unwrap(), 0);
}

/// mechanics §20: an older program runs on a newer schema.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn a_newer_migration_is_left_alone(#[case] engine: Engine) {
    let (store, fresh) = engine.store().await;
    put_all(&store).await;
    let newer = match engine {
        Sqlite => "INSERT INTO _sqlx_migrations VALUES (9000, 'newer', '2030-01-01', 1, x'00', 1)",
        Postgres => "INSERT INTO _sqlx_migrations VALUES (9000, 'newer', now(), true, '\\x00', 1)",
    };
    fresh.sql(newer).await;
    fresh.sql("ALTER TABLE client ADD COLUMN newer TEXT").await;
    fresh.sql("ALTER TABLE scope ADD COLUMN newer TEXT").await;
    assert_eq!(store.migrate().await.unwrap(), 0);
    store.refresh().await.unwrap();
    assert_eq!(store.snapshot().count(Kind::OAuthClient), 1);
}

#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn a_database_belongs_to_one_installation(#[case] engine: Engine) {
    let (store, _fresh) = engine.store().await;
    store.bind("default", "uid-1").await.unwrap();
    store.bind("default", "uid-1").await.unwrap();
    for (installation, cluster) in [("default", "uid-2"), ("other", "uid-1")] {
        let refused = store.bind(installation, cluster).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "failed to bind the database: it belongs to installation default in cluster uid-1; see holdfast adopt --cluster"
        );
    }
}

/// mechanics §4: one `serve` a SQLite file; other commands may open it meanwhile.
#[tokio::test]
async fn a_second_serve_on_a_sqlite_file_is_refused() {
    let fresh = Sqlite.fresh().await;
    let exclusive = Options { exclusive: true, ..fresh.options() };
    let first = open(&exclusive).await.unwrap();
    assert!(matches!(open(&exclusive).await, Err(Error::AlreadyServed { .. })));
    open(&fresh.options()).await.unwrap().migrate().await.unwrap();
    drop(first);
    let mut tries = 0;
    while open(&exclusive).await.is_err() {
        tries += 1;
        assert!(tries < 50, "the lock outlives its holder");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One clear line each.
#[rstest]
#[case("sqlite:///proc/nowhere/holdfast.db", "/proc/nowhere")]
#[case("sqlite:///dev/null/holdfast.db", "/dev/null/holdfast.db")]
#[case("sqlite:///", "/")]
#[case("sqlite://", "URL")]
#[case("mysql://x/y", "neither sqlite:///path nor postgres://")]
#[case("postgres://[", "URL")]
#[tokio::test]
async fn what_cannot_be_opened_is_named(#[case] url: &str, #[case] named: &str) {
    let error = open(&Options { wait: Duration::ZERO, ..Options::new(url) }).await.err().unwrap();
    assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
    let line = error.to_string();
    assert!(line.contains(named) && !line.contains('\n'), "{line}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named() {
    let fresh = Sqlite.fresh().await;
    let path = fresh.directory.path().join("holdfast.db");
    std::fs::write(&path, "not a database, but long enough to look like one to somebody who only counts ".repeat(9))
        .unwrap();
    let error = open(&fresh.options()).await.err().unwrap().to_string();
    assert!(error.contains("holdfast.db") && error.contains("not a database"), "{error}");
}

#[tokio::test]
async fn a_new_database_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let (store, fresh) = Sqlite.store().await;
    put_all(&store).await;
    for name in ["holdfast.db", "holdfast.db-wal"] {
        let mode = std::fs::metadata(fresh.directory.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn an_unknown_database_of_postgres_is_refused_at_once() {
    let fresh = Postgres.fresh().await;
    let error = open(&Options::new(format!("{}_not", fresh.url))).await.err().unwrap();
    assert!(matches!(error, Error::Invalid { .. }) && error.to_string().contains("does not exist"), "{error}");
}

/// Nobody listens: unavailable, after the patience that was asked for.
#[tokio::test]
async fn a_server_that_does_not_answer_is_unavailable() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("postgres://holdfast@127.0.0.1:{port}/holdfast");
    let error = open(&Options { wait: Duration::ZERO, ..Options::new(url) }).await.err().unwrap();
    assert!(error.is_unavailable(), "{error:?}");
}

#[tokio::test]
async fn connections_that_were_cut_are_replaced() {
    let (store, fresh) = Postgres.store().await;
    put_all(&store).await;
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'holdfast'";
    fresh.sql(kill).await;
    let cut = tx.delete(Kind::OAuthClient, "portal").await.unwrap_err();
    assert!(cut.is_unavailable(), "{cut:?}");
    drop(tx);
    store.ping().await.unwrap();
    assert!(store.read().await.unwrap().entity(Kind::OAuthClient, "portal").await.unwrap().is_some());
}

/// A writer elsewhere that does not end: unavailable after the patience, and readers never wait.
#[tokio::test]
async fn a_busy_file_is_unavailable_and_recovers() {
    let (store, fresh) = Sqlite.store().await;
    put_all(&store).await;
    let mut outsider = fresh.sqlite().await;
    outsider.execute("BEGIN IMMEDIATE; UPDATE client SET display_name = 'theirs'").await.unwrap();
    let refused = store.write(&Actor::controller()).await.err().unwrap();
    assert!(refused.is_unavailable(), "{refused:?}");
    assert!(store.read().await.unwrap().entity(Kind::OAuthClient, "portal").await.unwrap().is_some());
    outsider.execute("ROLLBACK").await.unwrap();
    store.write(&Actor::controller()).await.unwrap().commit().await.unwrap();
}

/// A restored copy counts its transactions anew: rows of before must not hide rows of now.
#[tokio::test]
async fn a_restored_database_begins_a_new_incarnation() {
    let (store, fresh) = Postgres.store().await;
    put_all(&store).await;
    fresh.sql("UPDATE change SET xid = xid + 1000000000").await;
    fresh.sql("UPDATE installation SET incarnation = incarnation").await;
    assert_eq!(fresh.number("SELECT count(DISTINCT incarnation) FROM change").await, 1);
    store.migrate().await.unwrap();
    let _feed = super::engine::Feed::start(&store).await;
    let mut receiver = store.subscribe();
    fresh.sql("UPDATE client SET display_name = 'after'").await;
    let changed = tokio::time::timeout(Duration::from_secs(10), receiver.recv()).await.unwrap().unwrap();
    assert_eq!(changed.id, "portal");
    assert_eq!(fresh.number("SELECT count(DISTINCT incarnation) FROM change").await, 2);
}
