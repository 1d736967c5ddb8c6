//! From the text of a token to its row: a JWT is verified first, an opaque handle goes by its SHA-256.

use serde::Deserialize;
use uuid::Uuid;

use super::AuthorizationServer;
use super::error::Error;
use super::handle;
use crate::store::{Store, TokenRow};

#[derive(Deserialize)]
struct Named {
    iss: String,
    jti: Uuid,
}

enum Key {
    Id(Uuid),
    Handle(crate::domain::secret::SecretHash),
}

impl AuthorizationServer {
    /// The row of a token that this server issued; `None` for any other text.
    pub(super) async fn find(&self, token: &str) -> Result<Option<TokenRow>, Error> {
        let key = match handle::read(token) {
            Some(handle) => Key::Handle(handle.hash()),
            None => match self.verified(token) {
                Some(jti) => Key::Id(jti),
                None => return Ok(None),
            },
        };
        let store = &self.inner.store;
        self.inner.patience.hold(|| read(store, &key)).await
    }

    fn verified(&self, token: &str) -> Option<Uuid> {
        let claims: Named = serde_json::from_slice(&self.inner.keys.verify(token)?).ok()?;
        (claims.iss == self.inner.issuer).then_some(claims.jti)
    }
}

async fn read(store: &Store, key: &Key) -> Result<Option<TokenRow>, crate::store::Error> {
    let mut tx = store.read().await?;
    match key {
        Key::Id(jti) => tx.token(*jti).await,
        Key::Handle(hash) => tx.token_by_handle(hash).await,
    }
}
