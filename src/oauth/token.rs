//! The token endpoint: authenticates, then hands over to the grant.

use serde::Serialize;

use super::AuthorizationServer;
use super::client_auth::Door;
use super::error::Error;
use super::grant::client_credentials;
use super::request::{Asked, Grant, TokenRequest};

/// The answer (OAuth 2.1 §3.2.3).
#[derive(Serialize)]
pub struct TokenResponse {
    pub access_token: String,
    pub token_type: &'static str,
    pub expires_in: i64,
    /// Always told, whatever was asked for.
    pub scope: String,
}

/// What was issued, to answer and to tell.
pub struct Issued {
    pub response: TokenResponse,
    pub grant: Grant,
    pub client_id: String,
    pub subject: String,
    pub resource: String,
    pub jti: uuid::Uuid,
}

impl AuthorizationServer {
    /// Issues a token.
    ///
    /// # Errors
    /// A refusal, or a database that is away.
    pub async fn token(&self, asked: &Asked<TokenRequest>) -> Result<Issued, Error> {
        let presented = asked.credentials.as_ref().map_err(|reason| *reason)?;
        let authenticated = self.authenticate(presented, Door::Clients, asked.source).await?;
        match asked.request.grant.map_err(|reason| Error::of(reason, authenticated.caller.id()))? {
            Grant::ClientCredentials => client_credentials::issue(self, presented, authenticated, &asked.request).await,
        }
    }
}
