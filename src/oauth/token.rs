//! The token endpoint: authenticates, then hands over to the grant.

use serde::{Serialize, Serializer};

use super::AuthorizationServer;
use super::client_auth::Door;
use super::error::Error;
use super::grant::{authorization_code, client_credentials, device, refresh, token_exchange};
use super::limit::ClientEndpoint;
use super::request::{Asked, Grant, TokenRequest};
use crate::domain::decide::exchange::ExchangeKind;
use crate::domain::proof::ProofFault;
use crate::domain::refusal::Refusal;
use crate::domain::secret::SecretText;

/// The answer (OAuth 2.1 §3.2.3).
#[derive(Serialize)]
pub struct TokenResponse {
    pub access_token: String,
    pub token_type: &'static str,
    pub expires_in: i64,
    /// Always told, whatever was asked for.
    pub scope: String,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "expose")]
    pub refresh_token: Option<SecretText>,
    /// Of an exchange (RFC 8693 §2.2.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_token_type: Option<&'static str>,
}

fn expose<S: Serializer>(secret: &Option<SecretText>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(SecretText::expose).serialize(serializer)
}

/// What was issued, to answer and to tell.
pub struct Issued {
    pub response: TokenResponse,
    pub grant: Grant,
    pub client_id: String,
    pub subject: String,
    pub resource: String,
    pub jti: uuid::Uuid,
    /// What a user granted, of which this is a part.
    pub grant_id: Option<uuid::Uuid>,
    /// It is the first of that grant.
    pub began: bool,
    /// What it was exchanged for, if it was.
    pub exchanged: Option<ExchangeKind>,
    /// The client is an agent.
    pub agent: bool,
}

impl AuthorizationServer {
    /// Issues a token.
    ///
    /// # Errors
    /// A refusal, or a database that is away.
    pub async fn token(&self, asked: &Asked<TokenRequest>) -> Result<Issued, Error> {
        let answer = self.dispatch(asked).await;
        match &answer {
            Ok(_) => {}
            Err(Error::Refused { reason: Refusal::InvalidProof(ProofFault::Replayed), client_id }) => {
                Box::pin(self.record_replay(client_id.as_deref(), asked.source)).await;
            }
            Err(error) => {
                let request = asked.request.grant().map_or("unknown", Grant::as_str);
                Box::pin(self.note_client_denial(request, error, asked)).await;
            }
        }
        answer
    }

    async fn dispatch(&self, asked: &Asked<TokenRequest>) -> Result<Issued, Error> {
        let presented = asked.credentials.as_ref().map_err(|reason| *reason)?;
        let authenticated = self.authenticate(presented, Door::Clients, asked.source).await?;
        self.count(ClientEndpoint::Token, &authenticated, asked.source)?;
        let proved = self.prove(asked.proof.as_ref())?;
        let (request, proved) = (&asked.request, proved.as_ref());
        let grant = request.grant.map_err(|reason| Error::of(reason, authenticated.caller.id()))?;
        let id = authenticated.caller.id();
        self.goes_on(id).await.map_err(|error| match (grant, error.refusal()) {
            // `invalid_client` would make an SDK forget more than the grant (C-07, RC-2)
            (Grant::RefreshToken, Some(Refusal::UnknownClient)) => Error::of(Refusal::GrantRevoked, id),
            _ => error,
        })?;
        // in boxes but for the first: see the test below
        let issued = match grant {
            Grant::ClientCredentials => {
                client_credentials::issue(self, presented, authenticated, (request, proved)).await?
            }
            Grant::AuthorizationCode => {
                Box::pin(authorization_code::redeem(self, presented, authenticated, (request, proved), asked.source))
                    .await?
            }
            Grant::DeviceCode => Box::pin(device::redeem(self, presented, authenticated, (request, proved))).await?,
            Grant::TokenExchange => {
                Box::pin(token_exchange::exchange(self, presented, authenticated, (request, proved))).await?
            }
            Grant::RefreshToken => {
                Box::pin(refresh::refresh(self, presented, authenticated, (request, proved), asked.source)).await?
            }
        };
        self.note_use(&issued.client_id).await;
        Ok(issued)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<'a, F: Future>(_: fn(&'a AuthorizationServer, &'a Asked<TokenRequest>) -> F) -> usize {
        size_of::<F>()
    }

    /// The future of a request is as large as its largest branch and is copied into a box by each layer around it: what
    /// is rare and large, a transaction above all, belongs in a box of its own.
    #[test]
    fn a_token_request_is_small() {
        let bytes = size(AuthorizationServer::token);
        assert!(bytes <= 4096, "{bytes}");
    }
}
