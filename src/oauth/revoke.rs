//! Revocation (RFC 7009): a client ends its own tokens; another's token is left alone, and nothing is told of it.

use super::AuthorizationServer;
use super::client_auth::{Caller, Door};
use super::error::Error;
use super::request::{AboutToken, Asked};
use crate::domain::actor::Actor;
use crate::domain::refusal::Refusal;
use crate::store::{Revoke, RevokeCause, Store, TokenRow};
use jiff::Timestamp;

/// What a revocation request did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// It ended this token, if that still lived.
    Revoked { jti: uuid::Uuid, tokens: u64 },
    /// Unknown, or another client's.
    Nothing,
}

impl AuthorizationServer {
    /// Ends a token. Who is suspended may still end what it has.
    ///
    /// # Errors
    /// A refusal, or a database that is away: a 200 that was not written would be a lie.
    pub async fn revoke(&self, asked: &Asked<AboutToken>) -> Result<Revocation, Error> {
        let presented = asked.credentials.as_ref().map_err(|reason| *reason)?;
        let caller = self.authenticate(presented, Door::Clients, asked.source).await?.caller;
        let Caller::Client(client) = &caller else { return Err(Refusal::InvalidClient.into()) };
        let token = asked.request.token.as_ref().map_err(|reason| Error::of(*reason, &client.id))?;
        let own = self.find(token).await?.filter(|row| row.client_id == client.id);
        let Some(row) = own else {
            // a hint never hides a token of ours, so only a text that is none is refused for its type
            let foreign = asked.request.foreign_type;
            return if foreign {
                Err(Error::of(Refusal::UnsupportedTokenType, &client.id))
            } else {
                Ok(Revocation::Nothing)
            };
        };
        let (store, now) = (&self.inner.store, self.inner.clock.now());
        let tokens = self.inner.patience.hold(|| end(store, &row, now)).await?;
        Ok(if tokens == 0 { Revocation::Nothing } else { Revocation::Revoked { jti: row.jti, tokens } })
    }
}

async fn end(store: &Store, row: &TokenRow, now: Timestamp) -> Result<u64, crate::store::Error> {
    let mut tx = store.write(&Actor::recorded(format!("client:{}", row.client_id))).await?;
    let tokens = tx.revoke(Revoke::Token(row.jti), RevokeCause::Request, now).await?;
    tx.commit().await?;
    Ok(tokens)
}
