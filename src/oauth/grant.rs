//! One file a grant, and what they share.

pub(super) mod authorization_code;
pub(super) mod client_credentials;
pub(super) mod device;
pub(super) mod refresh;
pub(super) mod start;
pub(super) mod token_exchange;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::AuthorizationServer;
use super::client_auth::{Authenticated, Door};
use super::credentials::Presented;
use super::error::Error;
use super::token::Issued;
use crate::domain::access;
use crate::domain::actor::Actor;
use crate::domain::audit::{AuditKind, Record};
use crate::domain::owner::Kind;
use crate::domain::policy::ResourceServerEntry;
use crate::domain::refusal::Refusal;
use crate::store::{Ended, GrantRow, Revoke, RevokeCause, Tx};

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
    /// By the policy in memory there is nothing to issue any more, which is looked up once before a user is sent to
    /// sign in again (RC-1); nothing was written.
    Gone {
        resource_server_id: String,
    },
}

impl Outcome {
    /// A refusal by the policy in memory.
    fn no(reason: Refusal, resource_server_id: String) -> Self {
        match reason {
            Refusal::ResourceGone => Self::Gone { resource_server_id },
            reason => Self::Refused(reason),
        }
    }

    /// The answer to this attempt (0 is the first one), or the resource server that is to be read again.
    fn settle(self, client_id: &str, attempt: usize) -> Result<Result<Issued, String>, Error> {
        match self {
            Self::Gone { resource_server_id } if attempt == 0 => Ok(Err(resource_server_id)),
            Self::Gone { .. } => Err(Error::of(Refusal::ResourceGone, client_id)),
            Self::Issued(issued) => Ok(Ok(*issued)),
            Self::Refused(reason) => Err(Error::of(reason, client_id)),
            Self::Reused { reason, grant_id, ended } => {
                Err(Error::Reused { reason, client_id: client_id.to_owned(), grant_id, ended })
            }
            Self::Stale { resource_server_id } => Ok(Err(resource_server_id)),
        }
    }
}

/// Ends what came of a code or refresh token that was used again, and commits that.
async fn end_family(
    mut tx: Tx,
    grant: &GrantRow,
    (reason, cause, kind): (Refusal, RevokeCause, AuditKind),
    (now, source): (Timestamp, IpAddr),
) -> Result<Outcome, Error> {
    let ended = tx.revoke(Revoke::Grant(grant.id), cause, now).await?;
    let record = Record {
        client_id: Some(&grant.client_id),
        user_id: Some(&grant.subject),
        resource: Some(&grant.resource_server_id),
        source: Some(source),
        detail: json!({ "grant": grant.id, "tokens": ended.tokens }),
        ..Record::new(now, Actor::client(&grant.client_id))
    };
    tx.audit(kind, &record).await?;
    tx.commit().await?;
    Ok(Outcome::Reused { reason, grant_id: grant.id, ended })
}

impl AuthorizationServer {
    /// What a user's roles allow at a resource server now; a role that they lost since they consented counts no more.
    async fn allowed(
        &self,
        tx: &mut Tx,
        user_id: &str,
        target: Option<&Arc<ResourceServerEntry>>,
    ) -> Result<BTreeSet<String>, Error> {
        let Some(target) = target else { return Ok(BTreeSet::new()) };
        let assigned = tx.roles(user_id, &target.id).await?;
        let assigned: Vec<String> = assigned.into_iter().map(|assignment| assignment.role).collect();
        Ok(access::scopes(&target.resource_server, user_id, &assigned))
    }

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
