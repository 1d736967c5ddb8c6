//! Consents, and requests that are completed once.

use std::collections::BTreeMap;

use holdfast::domain::authorize::Parameters;
use holdfast::domain::consent::Shown;
use holdfast::domain::{Actor, Kind, SecretText};
use holdfast::store::{AuthorizationRequest, Consent, RequestKind, Store};
use jiff::{SignedDuration, Timestamp};
use rstest::rstest;

use super::engine::Engine;
use super::samples;

fn now() -> Timestamp {
    Timestamp::from_second(1_900_000_000).unwrap()
}

fn shown(client: &str, scopes: &[&str]) -> Shown {
    let scopes: BTreeMap<String, String> = scopes.iter().map(|s| ((*s).to_owned(), format!("digest of {s}"))).collect();
    Shown { client: client.to_owned(), scopes }
}

fn consent(id: &str, shown: Shown) -> Consent {
    Consent {
        id: id.to_owned(),
        user_id: "usr_ada".to_owned(),
        client_id: "portal".to_owned(),
        resource_server_id: "rs_billing".to_owned(),
        shown,
        granted_at: now(),
        updated_at: now(),
    }
}

async fn agree(store: &Store, consent: &Consent) {
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    tx.put_consent(consent).await.unwrap();
    tx.commit().await.unwrap();
}

async fn of_ada(store: &Store) -> Option<Consent> {
    store.read().await.unwrap().consent("usr_ada", "portal", "rs_billing").await.unwrap()
}

/// scopes that are agreed to add up, for as long as the client looks the same.
#[rstest]
#[tokio::test]
async fn consents_add_up_until_the_client_changes(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let (store, _fresh) = engine.store().await;
    agree(&store, &consent("cns_1", shown("as it was", &["read"]))).await;
    agree(&store, &consent("cns_2", shown("as it was", &["write"]))).await;
    let both = of_ada(&store).await.unwrap();
    assert_eq!((both.id.as_str(), both.shown), ("cns_1", shown("as it was", &["read", "write"])));
    agree(&store, &consent("cns_3", shown("as it is", &["read"]))).await;
    assert_eq!(of_ada(&store).await.unwrap().shown, shown("as it is", &["read"]));
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    assert_eq!(tx.consents_of("usr_ada").await.unwrap().len(), 1);
    assert_eq!(tx.consents_of("usr_eve").await.unwrap(), []);
    assert!(tx.hold_consent("cns_1", now()).await.unwrap() && !tx.hold_consent("cns_2", now()).await.unwrap());
    assert!(tx.delete_consent("cns_1").await.unwrap() && !tx.delete_consent("cns_1").await.unwrap());
    assert!(!tx.hold_consent("cns_1", now()).await.unwrap());
    tx.commit().await.unwrap();
}

/// two tabs at the same moment lose nothing of each other.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn parallel_consents_lose_nothing(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let (store, fresh) = engine.store().await;
    let other = fresh.open().await;
    let scopes: Vec<String> = (0..20).map(|i| format!("s{i:02}")).collect();
    let tabs = scopes.iter().enumerate().map(|(i, scope)| {
        let store = if i % 2 == 0 { store.clone() } else { other.clone() };
        let row = consent(&format!("cns_{i}"), shown("as it is", &[scope]));
        tokio::spawn(async move { agree(&store, &row).await })
    });
    for tab in tabs.collect::<Vec<_>>() {
        tab.await.unwrap();
    }
    let all: Vec<&str> = scopes.iter().map(String::as_str).collect();
    assert_eq!(of_ada(&store).await.unwrap().shown, shown("as it is", &all));
}

/// A-17, N-06, IV-1: of fifty who complete one request on two servers one succeeds.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_completed_once(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let (store, fresh) = engine.store().await;
    let other = fresh.open().await;
    let hash = SecretText::new("hftx_one").hash();
    let request = AuthorizationRequest {
        hash,
        kind: RequestKind::Browser,
        client_id: "portal".to_owned(),
        parameters: Parameters::new(vec![("state".to_owned(), "é\"".to_owned())]),
        jkt: None,
        binding: Some(SecretText::new("hfbb_one").hash()),
        pushed: None,
        session_id: None,
        created_at: now(),
        expires_at: now() + SignedDuration::from_secs(60),
        used_at: None,
    };
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    tx.put_authorization_request(&request).await.unwrap();
    assert!(tx.ask_session(&hash, "session").await.unwrap());
    tx.commit().await.unwrap();
    let mut tx = other.read().await.unwrap();
    assert_eq!(tx.authorization_request(RequestKind::Pushed, &hash).await.unwrap(), None, "R-20");
    let read = tx.authorization_request(RequestKind::Browser, &hash).await.unwrap().unwrap();
    assert_eq!(read, AuthorizationRequest { session_id: Some("session".to_owned()), ..request });
    drop(tx);
    let attempts = (0..50).map(|i| {
        let store = if i % 2 == 0 { store.clone() } else { other.clone() };
        tokio::spawn(async move {
            let mut tx = store.write(&Actor::controller()).await.unwrap();
            let won = tx.use_authorization_request(&hash, now()).await.unwrap();
            tx.commit().await.unwrap();
            u32::from(won)
        })
    });
    let mut won = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        won += attempt.await.unwrap();
    }
    assert_eq!(won, 1);
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    assert!(!tx.ask_session(&hash, "another").await.unwrap());
    let late = now() + SignedDuration::from_secs(61);
    assert_eq!(tx.purge_authorization_requests(RequestKind::Browser, now(), 10).await.unwrap(), 0);
    assert_eq!(tx.purge_authorization_requests(RequestKind::Pushed, late, 10).await.unwrap(), 0);
    assert_eq!(tx.purge_authorization_requests(RequestKind::Browser, late, 10).await.unwrap(), 1);
    tx.commit().await.unwrap();
}

/// Mechanics §15: after a deletion consents are gone, and so are requests that are under way.
#[rstest]
#[tokio::test]
async fn what_is_deleted_is_consented_to_by_nobody(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let (store, _fresh) = engine.store().await;
    for (kind, id, spec) in [
        (Kind::OAuthClient, "portal", samples::client()),
        (Kind::ResourceServer, "rs_billing", samples::resource_server("https://billing.example.com")),
    ] {
        agree(&store, &consent("cns_1", shown("as it is", &["read"]))).await;
        let mut tx = store.write(&Actor::controller()).await.unwrap();
        tx.put(id, &spec, None, now()).await.unwrap();
        assert!(tx.delete(kind, id).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(of_ada(&store).await, None);
    }
}
