//! A change behind the program's back, by another process on the SQLite file.

use std::time::{Duration, Instant};

use sqlx::{Connection, Executor, PgConnection};

use super::{database, samples, sql};
use crate::support::postgres;

/// K3, D5
#[tokio::test]
async fn a_change_by_sql_is_found_named_and_corrected_within_a_second() {
    let home = samples();
    let server = home.start().await;
    server.event("secret_generated", |line| line["name"] == "portal").await;
    let started = Instant::now();
    assert_eq!(sql(home.path(), "UPDATE client SET display_name = 'Theirs' WHERE id = 'portal'").await, 1);
    let found = server.event("drift_detected", |line| line["name"] == "portal").await;
    server.event("drift_corrected", |line| line["name"] == "portal").await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!((found["field"].as_str(), found["level"].as_str()), (Some("spec.displayName"), Some("WARN")));
    assert!(found["note"].as_str().unwrap().contains("changed by sql"), "{found}");
    assert_eq!(sql(home.path(), "DELETE FROM client WHERE id = 'portal' AND display_name = 'Theirs'").await, 0);

    sql(home.path(), "DELETE FROM client WHERE id = 'portal'").await;
    server.event("drift_corrected", |line| line["note"].as_str().is_some_and(|note| note.contains("row"))).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (id, secret) = (home.secret("portal-oauth", "client_id"), home.secret("portal-oauth", "client_secret"));
    assert!(server.token(&id, &secret).await.status().is_success(), "the deleted row came back with its secret");
}

#[tokio::test]
async fn in_warn_the_change_is_kept_and_said_once() {
    let mut home = samples();
    home.set("HOLDFAST_OPERATOR__DRIFT__MODE", "Warn");
    let server = home.start().await;
    server.event("secret_generated", |line| line["name"] == "portal").await;
    sql(home.path(), "UPDATE client SET display_name = 'Theirs' WHERE id = 'portal'").await;
    server.event("drift_detected", |line| line["name"] == "portal").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((server.events("drift_detected").len(), server.events("drift_corrected").len()), (1, 0));
    let metrics = server.get(&server.admin("/metrics")).await.text().await.unwrap();
    let gauge = r#"holdfast_drift_active{class="Cosmetic",kind="OAuthClient",mode="Warn"} 1"#;
    assert!(metrics.to_lowercase().contains(&gauge.to_lowercase()), "{metrics}");
    assert_eq!(sql(home.path(), "UPDATE client SET display_name = 'Mine' WHERE display_name = 'Theirs'").await, 1);
}

/// K3: what goes round the triggers is found by the full scan; the triggers are put back, and who did it has no name.
#[tokio::test]
async fn a_change_round_the_triggers_is_found_by_the_full_scan() {
    let mut home = samples();
    home.set("HOLDFAST_OPERATOR__DRIFT__SCAN_INTERVAL", "10s");
    let server = home.start().await;
    server.event("secret_generated", |line| line["name"] == "portal").await;
    let round = "DROP TRIGGER client_updated; UPDATE client SET display_name = 'Theirs' WHERE id = 'portal'";
    sql(home.path(), round).await;
    server.event("triggers_restored", |line| line["triggers"] == "client_updated").await;
    let found = server.event("drift_detected", |line| line["name"] == "portal").await;
    assert!(found["note"].as_str().unwrap().contains("changed by unknown"), "{found}");
    server.event("drift_corrected", |line| line["name"] == "portal").await;
    for kind in ["OAuthClient", "ResourceServer", "Provider"] {
        let scanned = format!("holdfast_drift_scan_last_success_timestamp_seconds{{kind=\"{kind}\"}} 1");
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let metrics = server.get(&server.admin("/metrics")).await.text().await.unwrap();
            if metrics.contains(&scanned) {
                break;
            }
            assert!(Instant::now() < deadline, "no {scanned}: {metrics}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// K3: the same where the function behind the triggers is replaced by one that sees nothing (PostgreSQL).
#[tokio::test]
async fn a_change_that_a_replaced_function_did_not_see_is_found_by_the_full_scan() {
    let mut home = samples();
    let url = postgres::fresh().await.url;
    home.set("HOLDFAST_DATABASE__URL", &url);
    home.set("HOLDFAST_OPERATOR__DRIFT__SCAN_INTERVAL", "10s");
    let server = home.start().await;
    server.event("secret_generated", |line| line["name"] == "portal").await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let blind = "CREATE OR REPLACE FUNCTION holdfast_changed() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN RETURN NULL; END'";
    for statement in [blind, "UPDATE client SET display_name = 'Theirs' WHERE id = 'portal'"] {
        connection.execute(statement).await.unwrap();
    }
    server.event("triggers_restored", |line| line["triggers"] == "holdfast_changed").await;
    let found = server.event("drift_detected", |line| line["name"] == "portal").await;
    assert!(found["note"].as_str().unwrap().contains("changed by unknown"), "{found}");
    server.event("drift_corrected", |line| line["name"] == "portal").await;
    connection.execute("UPDATE client SET display_name = 'Seen' WHERE id = 'portal'").await.unwrap();
    server.event("drift_detected", |line| line["note"].as_str().is_some_and(|note| note.contains("by sql:"))).await;
}

/// At rest nothing is written, counted by SQLite itself.
#[tokio::test]
async fn at_rest_nothing_is_written() {
    let home = samples();
    let server = home.start().await;
    server.event("secret_generated", |_| true).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut connection = database(home.path()).await;
    let mut versions = Vec::new();
    for _ in 0..2 {
        let version = sqlx::query_scalar::<_, i64>("PRAGMA data_version").fetch_one(&mut connection).await;
        versions.push(version.unwrap());
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    assert_eq!(versions[0], versions[1]);
    connection.close().await.unwrap();
}

/// K3, on PostgreSQL, where the change is heard of by LISTEN.
#[tokio::test]
async fn on_postgresql_a_change_by_sql_is_corrected_and_a_restart_finds_everything() {
    let mut home = samples();
    let database = postgres::fresh().await;
    home.set("HOLDFAST_DATABASE__URL", &database.url);
    let mut server = home.start().await;
    server.event("secret_generated", |line| line["name"] == "portal").await;
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    connection.execute("UPDATE client SET display_name = 'Theirs' WHERE id = 'portal'").await.unwrap();
    let found = server.event("drift_detected", |line| line["name"] == "portal").await;
    assert!(found["note"].as_str().unwrap().contains("changed by sql"), "{found}");
    server.event("drift_corrected", |line| line["name"] == "portal").await;
    let (id, secret) = (home.secret("portal-oauth", "client_id"), home.secret("portal-oauth", "client_secret"));
    let token = server.access_token(&id, &secret).await;
    server.signal("KILL");
    server.ended().await;
    let server = home.start().await;
    assert_eq!(server.introspect((&id, &secret), &token).await["active"], true);
    server.event("reconciled", |line| line["name"] == "portal" && line["outcome"] == "unchanged").await;
}
