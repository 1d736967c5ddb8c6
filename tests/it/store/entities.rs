//! Policy in rows and back, by the smallest change.

use holdfast::domain::{Actor, Kind, Spec};
use holdfast::store::Error;
use rstest::rstest;

use super::engine::Engine::{self, Postgres, Sqlite};
use super::samples::{all, at, client, credential, put_all, resource_server};

/// K1: policy in the database is what was applied.
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

/// Only what differs is written: one row each, and an item keeps its id.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn a_change_writes_only_what_differs(#[case] engine: Engine) {
    let (store, fresh) = engine.store().await;
    put_all(&store).await;
    let before = fresh.number("SELECT count(*) FROM change").await;
    let Spec::ResourceServer(mut changed) = resource_server("https://billing.example.com/mcp") else { panic!() };
    changed.scopes.reverse();
    changed.scopes[0].description = "Write".into();
    changed.tools.remove(0);
    changed.roles.push(holdfast::domain::resource_server::Role { name: "writer".into(), scopes: vec![] });
    let spec = Spec::ResourceServer(changed);
    let owner = all().remove(0).2;
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    tx.put("rs_1", &spec, Some(&owner), at(2)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(fresh.number("SELECT count(*) FROM change").await - before, 3, "a scope, a tool, a role");
    let entity = store.read().await.unwrap().entity(Kind::ResourceServer, "rs_1").await.unwrap().unwrap();
    assert_eq!(entity.spec.fields(), spec.fields());
}

#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn an_item_that_is_renamed_by_sql_is_put_right(#[case] engine: Engine) {
    let (store, fresh) = engine.store().await;
    put_all(&store).await;
    fresh.sql("UPDATE scope SET name = 'admin' WHERE name = 'invoices.read'").await;
    let (id, spec, owner) = all().remove(0);
    let drifted = store.read().await.unwrap().entity(Kind::ResourceServer, id).await.unwrap().unwrap();
    assert!(drifted.spec.fields().contains_key("scopes[admin]"));
    assert!(!drifted.spec.fields().contains_key("scopes[invoices.read]"));
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    tx.lock_entity(Kind::ResourceServer, id).await.unwrap();
    tx.put(id, &spec, Some(&owner), at(2)).await.unwrap();
    tx.commit().await.unwrap();
    let entity = store.read().await.unwrap().entity(Kind::ResourceServer, id).await.unwrap().unwrap();
    assert_eq!(entity.spec.fields(), spec.fields());
}

#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn what_is_deleted_leaves_nothing(#[case] engine: Engine) {
    let (store, fresh) = engine.store().await;
    put_all(&store).await;
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    for (id, spec, _) in all() {
        assert!(tx.delete(spec.kind(), id).await.unwrap());
        assert!(!tx.delete(spec.kind(), id).await.unwrap());
        assert!(tx.entity(spec.kind(), id).await.unwrap().is_none());
    }
    tx.commit().await.unwrap();
    for table in ["client", "client_resource", "resource_server", "scope", "tool", "role", "role_binding", "credential"]
    {
        assert_eq!(fresh.number(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
    }
}

/// RFC 8707: `https://h` and `https://h/` are one audience, and one row.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn an_audience_is_registered_once(#[case] engine: Engine) {
    let (store, _fresh) = engine.store().await;
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    tx.put("rs_9", &resource_server("https://h.example"), None, at(1)).await.unwrap();
    let found = tx.entity_by_name(Kind::ResourceServer, "https://h.example/").await.unwrap();
    assert_eq!(found.unwrap().id, "rs_9");
    assert!(tx.entity_by_name(Kind::ResourceServer, "https://other.example").await.unwrap().is_none());
    tx.commit().await.unwrap();
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    let second = tx.put("rs_10", &resource_server("https://h.example/"), None, at(1)).await;
    assert!(matches!(second, Err(Error::Conflict { .. })), "{second:?}");
    drop(tx);
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    tx.put("portal", &client(), None, at(1)).await.unwrap();
    assert_eq!(tx.entity_by_name(Kind::OAuthClient, "portal").await.unwrap().unwrap().owner, None);
    assert!(tx.entity_by_name(Kind::Provider, "portal").await.unwrap().is_none());
}

/// A row made anew never has a revision that it had before.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn revisions_do_not_come_back(#[case] engine: Engine) {
    let (store, _fresh) = engine.store().await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        put_all(&store).await;
        let mut tx = store.write(&Actor::controller()).await.unwrap();
        seen.push(tx.entity(Kind::OAuthClient, "portal").await.unwrap().unwrap().revision);
        tx.delete(Kind::OAuthClient, "portal").await.unwrap();
        tx.commit().await.unwrap();
    }
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
}
