//! Revocation (RFC 7009): a client ends its own tokens; another's token is left alone, and nothing is told of it.

use serde_json::json;
use uuid::Uuid;

use super::AuthorizationServer;
use super::client_auth::{Caller, Door};
use super::denials::REVOCATION;
use super::error::Error;
use super::limit::ClientEndpoint;
use super::lookup::Found;
use super::request::{AboutToken, Asked};
use crate::domain::actor::Actor;
use crate::domain::audit::{AuditKind, Record};
use crate::domain::refusal::Refusal;
use crate::domain::user;
use crate::store::{self, Ended, Revoke, RevokeCause, Store};

/// What a revocation request named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoked {
    /// The jti of an access token.
    Token(Uuid),
    /// The grant that a refresh token continued.
    Family(Uuid),
}

/// What a revocation request did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// It ended this access token and what was made from it, or the whole family of this refresh token.
    Revoked { what: Revoked, ended: Ended },
    /// Unknown, another client's, or over already.
    Nothing,
}

impl AuthorizationServer {
    /// Ends a token. Who is suspended may still end what it has.
    ///
    /// # Errors
    /// A refusal, or a database that is away: a 200 that was not written would be a lie.
    pub async fn revoke(&self, asked: &Asked<AboutToken>) -> Result<Revocation, Error> {
        let answer = self.revoked(asked).await;
        if let Err(error) = &answer {
            Box::pin(self.note_client_denial(REVOCATION, error, asked)).await;
        }
        answer
    }

    async fn revoked(&self, asked: &Asked<AboutToken>) -> Result<Revocation, Error> {
        let presented = asked.credentials.as_ref().map_err(|reason| *reason)?;
        let authenticated = self.authenticate(presented, Door::Clients, asked.source).await?;
        self.count(ClientEndpoint::Revoke, &authenticated, asked.source)?;
        self.spend(&authenticated).await?;
        let caller = authenticated.caller;
        let Caller::Client(client) = &caller else { return Err(Refusal::InvalidClient.into()) };
        let token = asked.request.token.as_ref().map_err(|reason| Error::of(*reason, &client.id))?;
        let found = self.find(token).await?;
        let foreign = found.as_ref().is_some_and(|found| found.client_id() != client.id);
        if foreign {
            self.note_foreign(REVOCATION, &client.id, asked.source);
        }
        let Some(found) = found.filter(|_| !foreign) else {
            // a hint never hides a token of ours, so only a text that is none is refused for its type
            let foreign = asked.request.foreign_type;
            return if foreign {
                Err(Error::of(Refusal::UnsupportedTokenType, &client.id))
            } else {
                Ok(Revocation::Nothing)
            };
        };
        let (store, now) = (&self.inner.store, self.inner.clock.now());
        let (what, subject, resource_server) = match found {
            Found::Access(row) => (Revoked::Token(row.jti), row.subject, row.resource_server_id),
            Found::Refresh(row) => (Revoked::Family(row.grant.id), row.grant.subject, row.grant.resource_server_id),
        };
        let record = Record {
            client_id: Some(&client.id),
            user_id: subject.starts_with(user::ID_PREFIX).then_some(&subject),
            resource: Some(&resource_server),
            source: Some(asked.source),
            ..Record::new(now, Actor::client(&client.id))
        };
        let ended = self.inner.patience.hold(|| end(store, what, &record)).await?;
        Ok(if ended.is_nothing() { Revocation::Nothing } else { Revocation::Revoked { what, ended } })
    }
}

async fn end(store: &Store, what: Revoked, record: &Record<'_>) -> Result<Ended, store::Error> {
    let mut tx = store.write(&record.who).await?;
    let (what, name, id) = match what {
        Revoked::Token(jti) => (Revoke::Token(jti), "jti", jti),
        Revoked::Family(grant) => (Revoke::Grant(grant), "grant", grant),
    };
    let ended = tx.revoke(what, RevokeCause::Request, record.at).await?;
    if !ended.is_nothing() {
        let detail = json!({ name: id, "tokens": ended.tokens });
        tx.audit(AuditKind::TokenRevoked, &Record { detail, ..record.clone() }).await?;
    }
    tx.commit().await?;
    Ok(ended)
}
