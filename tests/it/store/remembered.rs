//! The table `managed` and the outbox.

use holdfast::domain::desired::DeletionPolicy;
use holdfast::domain::drift::{Correction, DriftedField, OpenDrift};
use holdfast::domain::managed::KnownCredential;
use holdfast::domain::owner::Owner;
use holdfast::domain::{Actor, Class, Kind, Managed, OwnerKey, Reason, Report};
use rstest::rstest;
use serde_json::json;

use super::engine::Engine::{self, Postgres, Sqlite};
use super::engine::Feed;
use super::samples::{at, client, credential, put_all};

fn key() -> OwnerKey {
    OwnerKey::new(Kind::OAuthClient, "web", "portal")
}

fn managed() -> Managed {
    let field = DriftedField {
        path: "displayName".into(),
        class: Class::Cosmetic,
        expected: json!("a"),
        observed: json!(null),
    };
    Managed {
        owner: Owner { key: key(), namespace_uid: "n".into(), object_uid: "o".into() },
        entity_id: "portal".into(),
        deletion: DeletionPolicy::Retain,
        last_applied: Some(client()),
        credentials: vec![KnownCredential::of(&credential("c1", "first"))],
        drift: Some(OpenDrift { fields: vec![field], since: at(5), actor: Actor::recorded("sql") }),
        correction: Some(Correction {
            fields: vec!["state".into()],
            actor: Actor::recorded("sql"),
            at: at(6),
            corrected: true,
        }),
        settled: 7,
        revoked_before: Some(("2026-01-01T00:00:00.123456789Z".parse().unwrap(), at(9))),
        deleted_at: None,
    }
}

#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn what_is_remembered_is_read_back(#[case] engine: Engine) {
    let (store, fresh) = engine.store().await;
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    tx.put_managed(&managed()).await.unwrap();
    tx.put_managed(&managed()).await.unwrap();
    assert_eq!(tx.managed(&key()).await.unwrap(), Some(managed()));
    assert_eq!(tx.managed_by_entity(Kind::OAuthClient, "portal").await.unwrap(), Some(managed()));
    assert_eq!(tx.managed_by_entity(Kind::ResourceServer, "portal").await.unwrap(), None);
    let gone = Managed { last_applied: None, deleted_at: Some(at(10)), credentials: vec![], ..managed() };
    tx.put_managed(&gone).await.unwrap();
    assert_eq!(tx.all_managed().await.unwrap(), [gone]);
    tx.delete_managed(&key()).await.unwrap();
    assert_eq!(tx.all_managed().await.unwrap(), []);
    tx.commit().await.unwrap();
    assert_eq!(fresh.number("SELECT count(*) FROM change WHERE table_name = 'managed'").await, 3);
    let secrets = "SELECT count(*) FROM change WHERE new LIKE '%\"hash\"%' OR new LIKE '%\"credentials\"%'";
    assert_eq!(fresh.number(secrets).await, 0);
}

/// mechanics §2: a forged memory is noticed like a forged row, and is not the row's revision.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn a_change_of_what_is_remembered_is_heard(#[case] engine: Engine) {
    let (store, fresh) = engine.store().await;
    put_all(&store).await;
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    tx.put_managed(&managed()).await.unwrap();
    tx.commit().await.unwrap();
    let _feed = Feed::start(&store).await;
    let revision = store.read().await.unwrap().entity(Kind::OAuthClient, "portal").await.unwrap().unwrap().revision;
    let mut receiver = store.subscribe();
    fresh.sql("UPDATE managed SET last_applied = NULL").await;
    let changed = tokio::time::timeout(std::time::Duration::from_secs(10), receiver.recv()).await.unwrap().unwrap();
    assert_eq!((changed.kind, changed.id.as_str(), changed.owner), (Kind::OAuthClient, "portal", Some(key())));
    let after = store.read().await.unwrap().entity(Kind::OAuthClient, "portal").await.unwrap().unwrap();
    assert_eq!(after.revision, revision);
}

/// A row that somebody made with the id of one that was deleted is told to who remembers that one.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn a_row_without_an_owner_is_told_to_who_remembers_it(#[case] engine: Engine) {
    let (store, fresh) = engine.store().await;
    put_all(&store).await;
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    tx.put_managed(&managed()).await.unwrap();
    tx.commit().await.unwrap();
    fresh.sql("UPDATE client SET owner_namespace = NULL, owner_name = NULL").await;
    let _feed = Feed::start(&store).await;
    let mut receiver = store.subscribe();
    fresh.sql("UPDATE client SET display_name = 'theirs'").await;
    let changed = tokio::time::timeout(std::time::Duration::from_secs(10), receiver.recv()).await.unwrap().unwrap();
    assert_eq!(changed.owner, Some(key()));
}

#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn a_report_is_told_once(#[case] engine: Engine) {
    let (store, _fresh) = engine.store().await;
    let report = |note: &str| Report {
        id: 0,
        owner: key(),
        object_uid: "o".into(),
        reason: Reason::DriftDetected,
        field_path: "spec.redirectURIs".into(),
        note: note.into(),
        at: at(1),
    };
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    for note in ["one", "two", "three"] {
        tx.add_report(&report(note)).await.unwrap();
    }
    let told = tx.unreported(2).await.unwrap();
    assert_eq!(told.iter().map(|r| r.note.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(Report { id: 0, ..told[0].clone() }, report("one"));
    tx.mark_reported(&told.iter().map(|r| r.id).collect::<Vec<_>>(), at(2)).await.unwrap();
    let left = tx.unreported(10).await.unwrap();
    assert_eq!(left.iter().map(|r| r.note.as_str()).collect::<Vec<_>>(), ["three"]);
    tx.commit().await.unwrap();
}
