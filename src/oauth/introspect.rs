//! Introspection (RFC 7662): whoever may not know about a token learns nothing but that it is not active.

use serde::Serialize;

use super::AuthorizationServer;
use super::client_auth::{Caller, Door};
use super::error::Error;
use super::request::{AboutToken, Asked};
use crate::domain::client::ClientState;
use crate::domain::decide;
use crate::domain::policy::Policy;
use crate::domain::refusal::Refusal;
use crate::store::TokenRow;

/// The answer (RFC 7662 §2.2); of an inactive token nothing is told.
#[derive(Serialize)]
pub struct Introspection {
    pub active: bool,
    #[serde(flatten)]
    details: Option<Details>,
}

#[derive(Serialize)]
struct Details {
    iss: String,
    sub: String,
    aud: String,
    client_id: String,
    scope: String,
    exp: i64,
    iat: i64,
    jti: String,
    token_type: &'static str,
}

impl AuthorizationServer {
    /// Tells about a token.
    ///
    /// # Errors
    /// A refusal, or a database that is away: an answer that nobody looked up would be a guess.
    pub async fn introspect(&self, asked: &Asked<AboutToken>) -> Result<Introspection, Error> {
        let presented = asked.credentials.as_ref().map_err(|reason| *reason)?;
        let caller = self.authenticate(presented, Door::Introspection, asked.source).await?.caller;
        if let Caller::Client(client) = &caller
            && client.client.state == ClientState::Suspended
        {
            return Err(Error::of(Refusal::Suspended, &client.id));
        }
        let token = asked.request.token.as_ref().map_err(|reason| Error::of(*reason, caller.id()))?;
        let row = self.find(token).await?;
        let details = row.and_then(|row| self.details(&row, caller.id()));
        Ok(Introspection { active: details.is_some(), details })
    }

    fn details(&self, row: &TokenRow, caller: &str) -> Option<Details> {
        let snapshot = self.inner.store.snapshot();
        let resource_server = snapshot.resource_server(&row.resource_server_id)?;
        let lives = row.revoked_at.is_none() && self.inner.clock.now() < row.expires_at;
        if !lives || !decide::introspection(caller, &row.client_id, Some(resource_server)) {
            return None;
        }
        Some(Details {
            iss: self.inner.issuer.clone(),
            sub: row.subject.clone(),
            aud: resource_server.resource_server.resource_uri.clone(),
            client_id: row.client_id.clone(),
            scope: row.scope.clone(),
            exp: row.expires_at.as_second(),
            iat: row.issued_at.as_second(),
            jti: row.jti.to_string(),
            token_type: "Bearer",
        })
    }
}
