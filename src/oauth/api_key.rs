//! Bearer API keys of the admin port.

use std::net::IpAddr;

use super::AuthorizationServer;
use super::error::Error;
use crate::domain::secret::{SecretHash, SecretText};
use crate::store::{ApiKey, ApiRole, Store};

/// What an administrator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads and changes policy.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// As the audit calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// Who came with a key.
#[derive(Debug, Clone)]
pub struct Administrator {
    /// Of the key.
    pub name: String,
    pub role: Role,
}

impl AuthorizationServer {
    /// Whose key this is. Failures count against the address, so that nobody can go on guessing.
    ///
    /// # Errors
    /// Unknown, revoked, too many failures, or the database is away.
    pub async fn administrator(&self, bearer: &str, source: IpAddr) -> Result<Administrator, Error> {
        let hash = SecretText::new(bearer).hash();
        let store = &self.inner.store;
        let found = self.inner.patience.hold(|| read(store, &hash)).await?;
        let Some(key) = found else {
            self.note_refusal(source, "unknown_api_key");
            self.inner.failures.count_source(source).map_err(|retry_after| Error::Limited { retry_after })?;
            return Err(Error::UnknownApiKey);
        };
        let role = match key.role {
            ApiRole::Viewer => Role::Viewer,
            ApiRole::Operator => Role::Operator,
            ApiRole::Admin => Role::Admin,
        };
        Ok(Administrator { name: key.name, role })
    }
}

async fn read(store: &Store, hash: &SecretHash) -> Result<Option<ApiKey>, crate::store::Error> {
    store.read().await?.api_key(hash).await
}
