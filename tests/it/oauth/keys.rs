//! Signing keys: made once, never made again because a read failed.

use std::sync::{Arc, Mutex};

use holdfast::domain::clock::EntropyUnavailable;
use holdfast::domain::observer::Unobserved;
use holdfast::domain::signing_key::{KeyRotation, KeyStore};
use holdfast::domain::{Actor, Entropy, SecretText};
use holdfast::oauth::{
    AuthorizationServer, ClientLimits, DeviceOptions, DpopOptions, DynamicParts, Error, KeySettings, Parts,
};
use holdfast::seal::{MasterKey, Sealer};
use holdfast::store::{Options, Store};
use jiff::SignedDuration;
use rstest::rstest;

use super::harness::{Random, Server, now, sealer, server};
use crate::store::engine::Engine::{self, Postgres, Sqlite};
use crate::store::engine::is_free;

struct Stopped;

impl holdfast::domain::Clock for Stopped {
    fn now(&self) -> jiff::Timestamp {
        now()
    }
}

async fn again(server: &Server, sealer: Sealer) -> Result<AuthorizationServer, Error> {
    let path = server.directory.as_ref().unwrap().path().join("holdfast.db");
    let store = Store::open(&Options::new(format!("sqlite://{}", path.display())), Arc::new(Unobserved)).await.unwrap();
    open(store, sealer, KeySettings::default()).await
}

async fn open(store: Store, sealer: Sealer, keys: KeySettings) -> Result<AuthorizationServer, Error> {
    let (clock, entropy) = (Arc::new(Stopped), Arc::new(Random));
    let issuer = super::harness::ISSUER.to_owned();
    AuthorizationServer::new(Parts {
        store,
        sealer,
        keys,
        issuer,
        clock,
        entropy,
        failures_per_minute: 9,
        limits: ClientLimits::default(),
        max_waiting: 9,
        max_exchanges: 4,
        device: DeviceOptions { lifetime: SignedDuration::from_secs(600), interval: 5 },
        dpop: DpopOptions { nonce_required: false, window: SignedDuration::from_secs(60) },
        refresh_grace: std::time::Duration::from_secs(30),
        pushed_requests: holdfast::oauth::PushedRules::default(),
        dynamic: DynamicParts::default(),
        reviewer: None,
    })
    .await
}

async fn kids(store: &Store) -> Vec<String> {
    let keys = store.read().await.unwrap().signing_keys().await.unwrap();
    keys.into_iter().map(|key| key.life.kid).collect()
}

/// Y-01, IV-6: a restart and a second replica have the same keys.
#[tokio::test]
async fn a_restart_keeps_the_keys() {
    let server = server().await;
    let before = server.get("/.well-known/jwks.json").await.text;
    let (one, two) = tokio::join!(again(&server, sealer()), again(&server, sealer()));
    for replica in [one, two] {
        assert_eq!(replica.unwrap().jwks().bytes, before.as_bytes());
    }
    assert_eq!(kids(&server.store).await.len(), 3);
}

/// OV-3, Y-03: under another master key, or with a key that was tampered with, the server does not start and makes none.
#[tokio::test]
async fn a_key_that_cannot_be_read_is_never_replaced() {
    let server = server().await;
    let before = kids(&server.store).await;
    let other = MasterKey::parse(&SecretText::new("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="), "test").unwrap();
    let refused = again(&server, Sealer::new(&other, Arc::new(Random)).unwrap()).await;
    assert!(matches!(refused.err(), Some(Error::Seal { .. })));
    let mut tx = server.store.write(&Actor::controller()).await.unwrap();
    let mut keys = tx.signing_keys().await.unwrap();
    keys[0].sealed_private.truncate(20);
    tx.put_signing_key(&keys[0]).await.unwrap();
    tx.commit().await.unwrap();
    assert!(matches!(again(&server, sealer()).await.err(), Some(Error::Seal { .. })));
    assert_eq!(kids(&server.store).await, before);
}

/// Y-03: no private key in the database in clear.
#[tokio::test]
async fn private_keys_are_sealed() {
    let server = server().await;
    let keys = server.store.read().await.unwrap().signing_keys().await.unwrap();
    for key in keys {
        assert!(!key.public_jwk.contains("\"d\""));
        assert_eq!(key.sealed_private[0], 1, "the seal's layout, not DER's SEQUENCE");
    }
}

/// Looks, whenever something random is drawn for a seal, whether anybody else could write.
struct Looking {
    url: String,
    seen: Mutex<Vec<bool>>,
}

impl Entropy for Looking {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
        self.seen.lock().unwrap().push(is_free(&self.url));
        Random.fill(bytes)
    }
}

/// A key may take longer than a transaction may be idle: while the first ones are made, none is open.
#[tokio::test]
async fn nobody_is_kept_from_writing_while_the_first_keys_are_made() {
    let (store, database) = Sqlite.store().await;
    let looking = Arc::new(Looking { url: database.url.clone(), seen: Mutex::default() });
    let master = MasterKey::parse(&SecretText::new("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="), "test").unwrap();
    let sealer = Sealer::new(&master, looking.clone()).unwrap();
    open(store.clone(), sealer, KeySettings::default()).await.unwrap();
    assert_eq!(kids(&store).await.len(), 3);
    assert_eq!(*looking.seen.lock().unwrap(), [true; 3]);
}

/// Y-01: of replicas that start for the first time together one makes the keys, in the database and in a folder that
/// they share.
#[rstest]
#[case(Sqlite, KeyStore::Database)]
#[case(Sqlite, KeyStore::File)]
#[case(Postgres, KeyStore::Database)]
#[case(Postgres, KeyStore::File)]
#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_together_make_one_set_of_keys(#[case] engine: Engine, #[case] place: KeyStore) {
    let (store, database) = engine.store().await;
    let folder = tempfile::tempdir().unwrap();
    let rotation = KeyRotation { store: place, ..KeySettings::default().rotation };
    let settings = KeySettings { rotation, folder: Some(folder.path().to_owned()), engine: None };
    let mut starts = Vec::new();
    for _ in 0..3 {
        starts.push(tokio::spawn(open(database.open().await, sealer(), settings.clone())));
    }
    let mut sets = Vec::new();
    for start in starts {
        sets.push(start.await.unwrap().unwrap().jwks().bytes.clone());
    }
    assert!(sets.iter().all(|set| *set == sets[0]));
    assert_eq!(kids(&store).await.len(), 3);
    let files = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, if place == KeyStore::File { 3 } else { 0 });
}
