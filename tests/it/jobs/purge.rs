//! `holdfast purge`, and the leader's own.

use serde_json::Value;

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
    for target in ["machine-tokens", "jti", "change-log", "tombstones", "audit"] {
        assert!(targets.contains(&target), "{targets:?}");
    }
    let (code, answer, _) = purge(&home, &["--only", "jti,audit", "--timeout", "0"]);
    assert_eq!((code, answer.as_array().unwrap().len()), (0, 2));
    for wrong in [["--only", "everything"], ["--timeout", "soon"]] {
        let (code, _, says) = purge(&home, &wrong);
        assert_eq!(code, 2, "{says}");
    }
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
