//! The audit holds what was committed, and nothing else.

use std::sync::Arc;

use holdfast::domain::{Actor, AuditKind, Kind, OwnerKey, Reason, Record, Report};
use holdfast::metrics::Metrics;
use holdfast::store::Store;
use rstest::rstest;
use serde_json::json;

use super::engine::Engine::{self, Postgres, Sqlite};
use super::samples::at;

/// IV-7: a record stands or falls with what it records, and is counted when it stands.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn a_record_is_there_exactly_when_its_transaction_is(#[case] engine: Engine) {
    let (_, fresh) = engine.store().await;
    let metrics = Metrics::new().unwrap();
    let store = Store::open(&fresh.options(), Arc::clone(&metrics) as _).await.unwrap();
    let record = Record {
        client_id: Some("portal"),
        user_id: Some("usr_1"),
        resource: Some("rs_1"),
        source: Some("::ffff:192.0.2.1".parse().unwrap()),
        detail: json!({"family": 7}),
        ..Record::new(at(5), Actor::client("portal"))
    };
    let mut tx = store.write(&Actor::server()).await.unwrap();
    tx.audit(AuditKind::RefreshReuse, &record).await.unwrap();
    drop(tx);
    let mut tx = store.write(&Actor::server()).await.unwrap();
    tx.audit(AuditKind::CodeReuse, &record).await.unwrap();
    tx.audit(AuditKind::Logout, &Record::new(at(6), Actor::user("usr_1"))).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.read().await.unwrap();
    let events = tx.audit_events(None, 10).await.unwrap();
    assert_eq!(events.iter().map(|event| event.kind).collect::<Vec<_>>(), [AuditKind::Logout, AuditKind::CodeReuse]);
    assert_eq!(tx.audit_events(Some(AuditKind::CodeReuse), 10).await.unwrap(), events[1..]);
    let event = &events[1];
    assert_eq!((event.at, event.who.as_str()), (at(5), "client:portal"));
    assert_eq!(event.source.as_deref(), Some("192.0.2.1"));
    assert_eq!((event.client_id.as_deref(), event.user_id.as_deref()), (Some("portal"), Some("usr_1")));
    assert_eq!((event.resource.as_deref(), &event.detail), (Some("rs_1"), &json!({"family": 7})));
    assert!(events[0].detail.is_null());
    let text = metrics.render().unwrap();
    for line in ["kind=\"code_reuse\"} 1", "kind=\"logout\"} 1", "kind=\"refresh_reuse\"} 0"] {
        assert!(text.contains(&format!("holdfast_audit_events_total{{{line}")), "{line}");
    }
}

/// What is told of a managed object is on record, in the transaction that tells it.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn what_is_told_of_an_object_is_recorded(#[case] engine: Engine) {
    let (store, _fresh) = engine.store().await;
    let report = |reason| Report {
        id: 0,
        owner: OwnerKey::new(Kind::OAuthClient, "web", "portal"),
        object_uid: String::new(),
        reason,
        field_path: "spec.redirectURIs".to_owned(),
        note: "was changed by sql".to_owned(),
        at: at(7),
    };
    let mut tx = store.write(&Actor::server()).await.unwrap();
    for reason in [Reason::DriftDetected, Reason::RefNotFound, Reason::Deleted] {
        tx.add_report(&report(reason)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let events = store.read().await.unwrap().audit_events(None, 10).await.unwrap();
    assert_eq!(
        events.iter().map(|event| event.kind).collect::<Vec<_>>(),
        [AuditKind::ClientDeleted, AuditKind::DriftDetected]
    );
    assert_eq!(events[1].who.as_str(), "OAuthClient/web/portal");
    let detail = json!({"reason": "DriftDetected", "field": "spec.redirectURIs", "note": "was changed by sql"});
    assert_eq!(events[1].detail, detail);
}
