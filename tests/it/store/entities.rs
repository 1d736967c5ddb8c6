//! Policy in rows and back, by the smallest change.

use holdfast::domain::{Actor, Kind};
use rstest::rstest;

use super::engine::Engine::{self, Postgres, Sqlite};
use super::samples::{all, at, credential, put_all};

/// K1
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn what_is_put_is_read(#[case] engine: Engine) {
    let (store, _fresh) = engine.store().await;
    put_all(&store).await;
    let mut tx = store.read().await.unwrap();
    for (id, spec, owner) in all() {
        let entity = tx.entity(spec.kind(), id).await.unwrap().unwrap();
        assert_eq!(entity.spec.fields(), spec.fields());
        assert_eq!(entity.owner, Some(owner));
        assert!(entity.revision > 0);
        assert_eq!(tx.entities(spec.kind()).await.unwrap(), [entity]);
    }
    let client = tx.entity(Kind::OAuthClient, "portal").await.unwrap().unwrap();
    assert_eq!(client.credentials, [credential("c1", "first")]);
}

#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn the_same_policy_again_changes_no_row(#[case] engine: Engine) {
    let (store, fresh) = engine.store().await;
    put_all(&store).await;
    let before = fresh.number("SELECT count(*) FROM change").await;
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    for (id, spec, owner) in all() {
        tx.put(id, &spec, Some(&owner), at(99)).await.unwrap();
    }
    tx.put_credential("portal", &credential("c1", "first")).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(fresh.number("SELECT count(*) FROM change").await, before);
}
