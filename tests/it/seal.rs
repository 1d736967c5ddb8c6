//! The master key in a file: made once, found again, and never made in place of one that is missing.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use holdfast::app::keys::sealer;
use holdfast::domain::clock::EntropyUnavailable;
use holdfast::domain::{Entropy, KeyHome, KeyHomeError, SecretText};
use holdfast::seal::{self, KeyFile, MasterKey, Obtained};

use crate::store::engine::Engine::Sqlite;
use crate::store::engine::is_free;

struct Fixed(u8);

impl Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
        bytes.fill(self.0);
        Ok(())
    }
}

async fn obtain(path: &Path, fingerprint: Option<&str>, entropy: u8) -> Result<Obtained, seal::Error> {
    seal::obtain(&KeyFile::new(path), fingerprint, &Fixed(entropy)).await
}

/// Looks, whenever the key is read, whether anybody else could write into the database.
struct Looking {
    home: KeyFile,
    url: String,
    seen: Mutex<Vec<bool>>,
}

impl KeyHome for Looking {
    fn read(&self) -> BoxFuture<'_, Result<Option<SecretText>, KeyHomeError>> {
        self.seen.lock().unwrap().push(is_free(&self.url));
        self.home.read()
    }

    fn create<'a>(&'a self, key: &'a SecretText) -> BoxFuture<'a, Result<(), KeyHomeError>> {
        self.home.create(key)
    }

    fn place(&self) -> String {
        self.home.place()
    }
}

/// The first start names the key under a lock; each later one finds it, and holds nobody up though its home is slow.
#[tokio::test]
async fn a_later_start_holds_nobody_up_while_it_reads_the_key() {
    let (store, database) = Sqlite.store().await;
    let home = KeyFile::new(database.directory.path().join("master.key"));
    let home = Looking { home, url: database.url.clone(), seen: Mutex::default() };
    let start = async || sealer(&store, &home, Arc::new(Fixed(1))).await;
    start().await.unwrap();
    let first = std::mem::take(&mut *home.seen.lock().unwrap());
    assert!(!first.is_empty() && !first.contains(&true), "whoever is first is alone: {first:?}");
    start().await.unwrap();
    assert_eq!(*home.seen.lock().unwrap(), [true]);
    std::fs::remove_file(database.directory.path().join("master.key")).unwrap();
    assert!(start().await.is_err(), "and none is made in place of the one that is missing");
    assert!(!database.directory.path().join("master.key").exists());
}

/// OV-3
#[tokio::test]
async fn a_new_database_gets_a_key_that_only_its_owner_can_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/master.key");
    let made = obtain(&path, None, 1).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    let fingerprint = made.new_fingerprint.unwrap();
    let found = obtain(&path, Some(&fingerprint), 2).await.unwrap();
    assert_eq!((found.key.fingerprint(), found.new_fingerprint), (fingerprint, None));
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft stays");
}

#[tokio::test]
async fn a_key_that_is_there_is_taken_by_a_new_database() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("master.key");
    let first = obtain(&path, None, 1).await.unwrap().key.fingerprint();
    assert_eq!(obtain(&path, None, 2).await.unwrap().new_fingerprint, Some(first.clone()));
    KeyFile::new(&path).create(&MasterKey::generate(&Fixed(3)).unwrap().text()).await.unwrap();
    assert_eq!(obtain(&path, Some(&first), 2).await.unwrap().key.fingerprint(), first, "the first one stays");
}

/// OV-3
#[tokio::test]
async fn a_missing_or_other_key_is_refused_and_nothing_is_created() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("master.key");
    let known = MasterKey::generate(&Fixed(1)).unwrap().fingerprint();
    assert!(matches!(obtain(&path, Some(&known), 1).await, Err(seal::Error::Missing { .. })));
    assert!(!path.exists());
    obtain(&path, None, 2).await.unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(obtain(&path, Some(&known), 1).await, Err(seal::Error::Other { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_or_understood_is_not_an_absent_one() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(obtain(dir.path(), None, 1).await, Err(seal::Error::Home(_))));
    let path = dir.path().join("master.key");
    std::fs::write(&path, "garbage").unwrap();
    assert!(matches!(obtain(&path, None, 1).await, Err(seal::Error::Malformed { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "garbage");
    let secret = SecretText::new("x");
    assert!(KeyFile::new(dir.path().join("master.key/below")).create(&secret).await.is_err());
}
