//! Things that may be used once.

use futures::future::join_all;
use holdfast::domain::Actor;
use holdfast::store::{Once, OnceKind, Store};
use rstest::rstest;
use uuid::Uuid;

use super::engine::Engine::{self, Postgres, Sqlite};
use super::samples::at;

fn once(principal: &str, id: &str) -> Once {
    let (principal, id) = (principal.to_owned(), id.to_owned());
    Once { kind: OnceKind::DpopProof, principal, id, expires_at: at(100), by: Uuid::new_v4() }
}

async fn use_at(store: &Store, once: &Once, second: i64) -> bool {
    let mut tx = store.write(&Actor::recorded("test")).await.unwrap();
    let first = tx.use_once(once, at(second)).await.unwrap();
    tx.commit().await.unwrap();
    first
}

/// P-07, K-03
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn a_second_use_is_noticed_until_it_does_not_matter(#[case] engine: Engine) {
    let (store, fresh) = engine.store().await;
    let one = once("key", "jti");
    assert!(use_at(&store, &one, 10).await);
    assert!(use_at(&store, &one, 11).await, "the same request again");
    let one = once("key", "jti");
    assert!(!use_at(&store, &one, 11).await);
    let others = [once("key2", "jti"), once("key", "jti2"), once("ke", "yjti")];
    let others = others.into_iter().chain([Once { kind: OnceKind::ClientAssertion, ..one.clone() }]);
    for other in others {
        assert!(use_at(&store, &other, 11).await, "{other:?}");
    }
    assert!(!use_at(&store, &one, 99).await);
    assert!(use_at(&store, &one, 100).await, "it would be refused for its age");
    let mut tx = store.write(&Actor::recorded("test")).await.unwrap();
    assert_eq!(tx.purge_used(OnceKind::DpopProof, at(99), 10).await.unwrap(), 0);
    assert_eq!(tx.purge_used(OnceKind::DpopProof, at(100), 2).await.unwrap(), 2);
    assert_eq!(tx.purge_used(OnceKind::DpopProof, at(100), 9).await.unwrap(), 2);
    tx.commit().await.unwrap();
    assert_eq!(fresh.number("SELECT count(*) FROM used_proof").await, 1, "of another kind");
}

/// P-15: what is rolled back was not used.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn a_use_counts_only_with_its_transaction(#[case] engine: Engine) {
    let (store, _fresh) = engine.store().await;
    let mut tx = store.write(&Actor::recorded("test")).await.unwrap();
    assert!(tx.use_once(&once("key", "jti"), at(10)).await.unwrap());
    drop(tx);
    assert!(use_at(&store, &once("key", "jti"), 10).await);
}

/// IV-1, R-54: fifty at once on two stores, one wins.
#[tokio::test]
async fn of_fifty_uses_at_once_one_is_the_first() {
    let (store, fresh) = Postgres.store().await;
    let other = fresh.open().await;
    let uses = (0..50).map(|number| {
        let store = if number % 2 == 0 { &store } else { &other };
        async move { use_at(store, &once("key", "jti"), 10).await }
    });
    assert_eq!(join_all(uses).await.into_iter().filter(|first| *first).count(), 1);
}
