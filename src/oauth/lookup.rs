//! From the text of a token to its row: a JWT is verified first, an opaque handle goes by its SHA-256.

use serde::Deserialize;
use uuid::Uuid;

use super::AuthorizationServer;
use super::error::Error;
use crate::domain::handle::Handle;
use crate::domain::secret::SecretHash;
use crate::store::{self, RefreshRow, Store, TokenRow};

#[derive(Deserialize)]
struct Named {
    iss: String,
    jti: Uuid,
}

enum Key {
    Id(Uuid),
    Access(SecretHash),
    Refresh(SecretHash),
}

/// A token that this server issued.
pub(super) enum Found {
    Access(Box<TokenRow>),
    Refresh(Box<RefreshRow>),
}

impl Found {
    /// Who it was issued to.
    pub fn client_id(&self) -> &str {
        match self {
            Self::Access(row) => &row.client_id,
            Self::Refresh(row) => &row.grant.client_id,
        }
    }
}

impl AuthorizationServer {
    /// A token that this server issued; `None` for any other text.
    pub(super) async fn find(&self, token: &str) -> Result<Option<Found>, Error> {
        let hash = |kind: Handle| kind.read(token).map(|handle| handle.hash());
        let key = match Handle::kind_of(token) {
            Some(Handle::AccessToken) => hash(Handle::AccessToken).map(Key::Access),
            Some(Handle::RefreshToken) => hash(Handle::RefreshToken).map(Key::Refresh),
            Some(_) => None,
            None => self.verified(token).map(Key::Id),
        };
        let Some(key) = key else { return Ok(None) };
        let store = &self.inner.store;
        self.inner.patience.hold(|| read(store, &key)).await
    }

    fn verified(&self, token: &str) -> Option<Uuid> {
        let claims: Named = serde_json::from_slice(&self.inner.keys.verify(token)?).ok()?;
        (claims.iss == self.inner.issuer).then_some(claims.jti)
    }
}

async fn read(store: &Store, key: &Key) -> Result<Option<Found>, store::Error> {
    let mut tx = store.read().await?;
    let access = |row: TokenRow| Found::Access(Box::new(row));
    Ok(match key {
        Key::Id(jti) => tx.token(*jti).await?.map(access),
        Key::Access(hash) => tx.token_by_handle(hash).await?.map(access),
        Key::Refresh(hash) => tx.refresh_token(hash).await?.map(|row| Found::Refresh(Box::new(row))),
    })
}
