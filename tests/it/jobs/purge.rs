//! `holdfast purge`, and the leader's own.

use serde_json::Value;

use crate::directory::{database, sql};
use crate::support::server::Home;

fn purge(home: &Home, arguments: &[&str]) -> (i32, Value, String) {
    let output = home.command(&[&["purge", "--json"], arguments].concat()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let answer = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code().unwrap(), answer, text(output.stderr))
}

#[tokio::test]
async fn targets_are_named_and_unknown_ones_are_refused() {
    let home = Home::new();
    let (code, answer, _) = purge(&home, &[]);
    assert_eq!(code, 0);
    let targets: Vec<&str> = answer.as_array().unwrap().iter().map(|row| row["target"].as_str().unwrap()).collect();
    for target in ["machine-tokens", "jti", "access-log", "change-log", "tombstones", "audit"] {
        assert!(targets.contains(&target), "{targets:?}");
    }
    let (code, answer, _) = purge(&home, &["--only", "jti,audit", "--timeout", "0"]);
    assert_eq!((code, answer.as_array().unwrap().len()), (0, 2));
    for wrong in [["--only", "everything"], ["--timeout", "soon"]] {
        let (code, _, says) = purge(&home, &wrong);
        assert_eq!(code, 2, "{says}");
    }
}

/// D12: the leader keeps the newest calls of each resource server, and so does the command, each leaving a record.
#[tokio::test]
async fn calls_are_cleared_away_by_number() {
    let mut home = Home::new();
    home.set("HOLDFAST_PURGE__INTERVAL", "1s");
    home.set("HOLDFAST_ACCESS_LOG__MAX_ROWS", "1000");
    let mut server = home.start().await;
    let add = async |from: u64, count: u64| {
        let statement = format!(
            "INSERT INTO access_log (resource_server_id, id, at, received_at, tool, outcome, scopes, reported_by)
            WITH RECURSIVE n(i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {from} + {count})
            SELECT 'rs_1', 'd-' || i, CAST(strftime('%s', 'now') AS INTEGER) * 1000000 + i, 0, 'pay', 'allowed', '', 'x' FROM n"
        );
        assert_eq!(sql(home.path(), &statement).await, count);
    };
    add(0, 1250).await;
    let purged = |line: &serde_json::Value| line["target"] == "access-log";
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let counted = "holdfast_purge_rows_total{target=\"access-log\"} 250\n";
    while !server.get(&server.admin("/metrics")).await.text().await.unwrap().contains(counted) {
        assert!(std::time::Instant::now() < deadline, "{}", server.log());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(!server.events("purge_failed").iter().any(purged));
    server.signal("TERM");
    server.ended().await;
    add(2000, 30).await;
    let (code, answer, _) = purge(&home, &["--only", "access-log"]);
    assert_eq!((code, &answer[0]["rows"]), (0, &serde_json::json!("30")));
    let (_, answer, _) = purge(&home, &["--only", "access-log"]);
    assert_eq!(answer[0]["rows"], "0");
    let oldest = "SELECT count(*) FROM access_log WHERE id IN ('d-279', 'd-280')";
    let mut connection = database(home.path()).await;
    let left: i64 = sqlx::query_scalar(oldest).fetch_one(&mut connection).await.unwrap();
    assert_eq!(left, 1, "the oldest went");
}

/// The leader purges on its interval, counts it, and leaves a record of what went.
#[tokio::test]
async fn the_leader_purges_on_its_interval() {
    let mut home = Home::new();
    home.set("HOLDFAST_PURGE__INTERVAL", "1s");
    let server = home.start().await;
    let stale = |metrics: &str| metrics.contains("holdfast_purge_last_success_timestamp_seconds{target=\"audit\"} 0\n");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while stale(&server.get(&server.admin("/metrics")).await.text().await.unwrap()) {
        assert!(std::time::Instant::now() < deadline, "{}", server.log());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(server.events("purge_failed").is_empty());
}
