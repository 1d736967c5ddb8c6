//! Who leads no more writes no more.

use std::time::Duration;

use holdfast::domain::Actor;
use holdfast::store::Error;
use rstest::rstest;

use super::engine::Engine::{self, Postgres, Sqlite};
use super::samples::{all, at};

/// K11, OV-6
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn an_earlier_epoch_is_refused(#[case] engine: Engine) {
    let (store, _fresh) = engine.store().await;
    let first = store.take_over().await.unwrap();
    let mut tx = store.write_as_leader(&Actor::controller(), first).await.unwrap();
    let (id, spec, owner) = all().remove(0);
    tx.put(id, &spec, Some(&owner), at(1)).await.unwrap();
    tx.commit().await.unwrap();
    let second = store.take_over().await.unwrap();
    assert!(second > first);
    let refused = store.write_as_leader(&Actor::controller(), first).await;
    assert!(matches!(refused, Err(Error::Fenced)));
    store.write_as_leader(&Actor::controller(), second).await.unwrap().commit().await.unwrap();
}

/// mechanics §4: a leader that stopped in the middle of a transaction neither commits late nor blocks for long.
#[tokio::test]
async fn a_stopped_leader_neither_commits_nor_blocks() {
    let (store, fresh) = Postgres.store().await;
    let other = fresh.open().await;
    let epoch = store.take_over().await.unwrap();
    let mut stopped = store.write_as_leader(&Actor::controller(), epoch).await.unwrap();
    let (id, spec, owner) = all().remove(0);
    stopped.put(id, &spec, Some(&owner), at(1)).await.unwrap();
    let taken = tokio::time::timeout(Duration::from_secs(9), other.take_over()).await.expect("a takeover").unwrap();
    assert!(taken > epoch);
    assert!(stopped.commit().await.is_err());
    assert_eq!(fresh.number("SELECT count(*) FROM resource_server").await, 0);
}
