//! API keys and signing keys.

use holdfast::domain::resource_server::SigningAlgorithm;
use holdfast::domain::signing_key::{KeyLife, KeyState, KeyStore, RotationRequest};
use holdfast::domain::{Actor, SecretText};
use holdfast::store::{ApiKey, ApiRole, Error, SigningKey, Topic};
use rstest::rstest;

use super::engine::Engine::{self, Postgres, Sqlite};
use super::engine::Feed;
use super::samples::at;

#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn an_api_key_opens_until_it_is_revoked(#[case] engine: Engine) {
    let (store, _fresh) = engine.store().await;
    let key = ApiKey { name: "ci".into(), role: ApiRole::Operator, created_at: at(0), revoked_at: None };
    let hash = SecretText::new("value").hash();
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    tx.put_api_key(&key, &hash).await.unwrap();
    assert_eq!(tx.api_key(&hash).await.unwrap(), Some(key.clone()));
    assert_eq!(tx.api_key(&SecretText::new("other").hash()).await.unwrap(), None);
    assert!(tx.revoke_api_key("ci", at(1)).await.unwrap());
    assert!(!tx.revoke_api_key("ci", at(2)).await.unwrap());
    assert_eq!(tx.api_key(&hash).await.unwrap(), None);
    assert_eq!(tx.api_keys().await.unwrap(), [ApiKey { revoked_at: Some(at(1)), ..key.clone() }]);
    let taken = tx.put_api_key(&key, &SecretText::new("third").hash()).await;
    assert!(matches!(taken, Err(Error::Conflict { table }) if table == "api_key"));
}

#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn signing_keys_keep_their_order_and_change_their_state(#[case] engine: Engine) {
    let (store, _fresh) = engine.store().await;
    let key = |kid: &str, second, state| SigningKey {
        life: KeyLife {
            kid: kid.into(),
            algorithm: SigningAlgorithm::EdDSA,
            state,
            store: KeyStore::Vault,
            activate_at: at(second + 1),
            retire_at: (state == KeyState::Retiring).then(|| at(second + 2)),
        },
        public_jwk: "{}".into(),
        sealed_private: vec![0, 255, 1],
        reference: "k:1".into(),
        created_at: at(second),
    };
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    tx.put_signing_key(&key("b", 1, KeyState::Active)).await.unwrap();
    tx.put_signing_key(&key("a", 2, KeyState::Next)).await.unwrap();
    tx.put_signing_key(&key("b", 1, KeyState::Retiring)).await.unwrap();
    tx.commit().await.unwrap();
    let keys = store.read().await.unwrap().signing_keys().await.unwrap();
    assert_eq!(keys, [key("b", 1, KeyState::Retiring), key("a", 2, KeyState::Next)]);
}

/// OV-3: which master key seals this database is kept in it.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn the_fingerprint_of_the_master_key_is_kept(#[case] engine: Engine) {
    let (store, _fresh) = engine.store().await;
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    tx.lock_migrations().await.unwrap();
    assert_eq!(tx.key_fingerprint().await.unwrap(), None);
    tx.set_key_fingerprint("abc").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(store.read().await.unwrap().key_fingerprint().await.unwrap().as_deref(), Some("abc"));
}

/// Asking twice is asking once, and a change of keys is told, with nothing of a key in the change log.
#[rstest]
#[case(Sqlite)]
#[case(Postgres)]
#[tokio::test]
async fn a_request_for_new_keys_is_kept_until_it_is_done(#[case] engine: Engine) {
    let (store, fresh) = engine.store().await;
    let _feed = Feed::start(&store).await;
    let mut heard = store.topic(Topic::SigningKeys);
    heard.borrow_and_update();
    for (urgent, who) in [(false, "cli"), (true, "apikey:a"), (false, "apikey:b")] {
        let mut tx = store.write(&Actor::controller()).await.unwrap();
        tx.request_key_rotation(RotationRequest { urgent }, &Actor::recorded(who), at(1)).await.unwrap();
        tx.commit().await.unwrap();
    }
    tokio::time::timeout(std::time::Duration::from_secs(5), heard.changed()).await.expect("word of it").unwrap();
    let mut tx = store.write(&Actor::controller()).await.unwrap();
    let asked = Some((RotationRequest { urgent: true }, Actor::recorded("cli")));
    assert_eq!(tx.key_rotation_request().await.unwrap(), asked);
    tx.close_key_rotation_request().await.unwrap();
    assert_eq!(tx.key_rotation_request().await.unwrap(), None);
    tx.commit().await.unwrap();
    fresh
        .sql(
            "INSERT INTO signing_key (kid, algorithm, public_jwk, sealed_private, created_at, state)
        VALUES ('mine', 'ES256', 'PUBLIC', 'SEALED', 1, 'active')",
        )
        .await;
    let told = "SELECT count(*) FROM change WHERE entity_kind = 'SigningKey' AND entity_id = 'mine'
        AND new LIKE '%active%' AND new NOT LIKE '%SEALED%' AND new NOT LIKE '%PUBLIC%' AND actor LIKE 'sql%'";
    assert_eq!(fresh.number(told).await, 1);
}
