//! Signing keys as administrators see them, and their wish for new ones.

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::actor::Actor;
use crate::domain::signing_key::{KeyState, RotationRequest};
use crate::oauth::AuthorizationServer;
use crate::oauth::error::Error;
use crate::store::{SigningKey, Store};

/// A key, without anything of its private half.
#[derive(Debug, Clone, Serialize)]
pub struct ListedKey {
    pub kid: String,
    pub algorithm: &'static str,
    /// next, active, retiring or retired
    pub state: &'static str,
    /// database, file or vault
    pub store: &'static str,
    pub created_at: Timestamp,
    /// When it was to begin to sign, or did.
    pub activate_at: Timestamp,
    /// When it leaves the key set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retire_at: Option<Timestamp>,
    /// Whether the process that was asked can sign with it.
    pub usable: bool,
}

impl AuthorizationServer {
    /// All keys, retired ones too, oldest first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn list_keys(&self) -> Result<Vec<ListedKey>, Error> {
        let rows = self.inner.patience.hold(|| read(&self.inner.store)).await?;
        let list = |row: SigningKey| ListedKey {
            usable: row.life.state != KeyState::Retired && self.inner.keys.can_sign(&row.life.kid),
            kid: row.life.kid,
            algorithm: row.life.algorithm.as_str(),
            state: row.life.state.as_str(),
            store: row.life.store.as_str(),
            created_at: row.created_at,
            activate_at: row.life.activate_at,
            retire_at: row.life.retire_at,
        };
        Ok(rows.into_iter().map(list).collect())
    }

    /// Asks the leader for new keys; it hears of it at once.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn request_key_rotation(&self, urgent: bool, who: &Actor) -> Result<(), Error> {
        let now = self.inner.clock.now();
        let store = &self.inner.store;
        self.inner.patience.hold(|| ask(store, RotationRequest { urgent }, who, now)).await
    }
}

async fn read(store: &Store) -> Result<Vec<SigningKey>, crate::store::Error> {
    store.read().await?.signing_keys().await
}

async fn ask(store: &Store, request: RotationRequest, who: &Actor, now: Timestamp) -> Result<(), crate::store::Error> {
    let mut tx = store.write(who).await?;
    tx.request_key_rotation(request, who, now).await?;
    tx.commit().await
}
