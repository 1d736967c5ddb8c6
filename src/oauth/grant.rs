//! One file a grant, and what they share.

pub(super) mod authorization_code;
pub(super) mod client_credentials;
pub(super) mod device;
pub(super) mod refresh;
pub(super) mod start;
pub(super) mod token_exchange;

use uuid::Uuid;

use super::AuthorizationServer;
use super::client_auth::{Authenticated, Door};
use super::credentials::Presented;
use super::error::Error;
use super::token::Issued;
use crate::domain::owner::Kind;
use crate::domain::refusal::Refusal;
use crate::store::Ended;

/// Policy that changes under a request more often than this is left to settle.
const ATTEMPTS: usize = 4;

/// How an attempt in a transaction of its own ended.
pub(super) enum Outcome {
    Issued(Box<Issued>),
    /// Nothing was issued; what the refusal does to the code was committed.
    Refused(Refusal),
    /// It was used before, and what came of that was ended and committed.
    Reused {
        reason: Refusal,
        grant_id: Uuid,
        ended: Ended,
    },
    /// Policy is not what it was decided by; nothing was written.
    Stale {
        resource_server_id: String,
    },
}

impl Outcome {
    /// The answer, or the resource server that is to be read again.
    fn settle(self, client_id: &str) -> Result<Result<Issued, String>, Error> {
        match self {
            Self::Issued(issued) => Ok(Ok(*issued)),
            Self::Refused(reason) => Err(Error::of(reason, client_id)),
            Self::Reused { reason, grant_id, ended } => {
                Err(Error::Reused { reason, client_id: client_id.to_owned(), grant_id, ended })
            }
            Self::Stale { resource_server_id } => Ok(Err(resource_server_id)),
        }
    }
}

impl AuthorizationServer {
    /// Reads again what a decision was made by, and who made the request.
    async fn settle(
        &self,
        presented: &Presented,
        client_id: &str,
        resource_server_id: &str,
    ) -> Result<Authenticated, Error> {
        let reread = |kind, id| self.inner.patience.hold(move || self.inner.store.reread(kind, id));
        reread(Kind::OAuthClient, client_id).await?;
        reread(Kind::ResourceServer, resource_server_id).await?;
        self.recognise(presented, Door::Clients)
    }
}
