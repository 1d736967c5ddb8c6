//! Introspection (RFC 7662): whoever may not know about a token learns nothing but that it is not active.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::AuthorizationServer;
use super::client_auth::{Caller, Door};
use super::denials::INTROSPECTION;
use super::error::Error;
use super::limit::ClientEndpoint;
use super::lookup::Found;
use super::mint::token_type;
use super::request::{AboutToken, Asked};
use crate::domain::client::ClientState;
use crate::domain::decide;
use crate::domain::policy::Policy;
use crate::domain::refusal::Refusal;
use crate::domain::resource_server::SigningAlgorithm;
use crate::domain::user;
use crate::store::{RefreshRow, TokenRow};

/// The answer (RFC 7662 §2.2); of an inactive token nothing is told.
#[derive(Serialize)]
pub struct Introspection {
    pub active: bool,
    #[serde(flatten)]
    details: Option<Details>,
    #[serde(skip)]
    to: Recipient,
}

/// Who asked, and how what is signed for them is signed.
struct Recipient {
    id: String,
    algorithm: SigningAlgorithm,
}

/// `typ` of a signed answer (RFC 9701 §5).
const SIGNED: &str = "token-introspection+jwt";

/// The claims of a signed answer: none of those that would make it look like a token.
#[derive(Serialize)]
struct Signed<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: i64,
    token_introspection: &'a Introspection,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    /// Of an access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
    /// RFC 9470 §6.2
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<&'static str>,
    /// RFC 9449 §6.2
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation>,
    /// RFC 8693 §4.1
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Value>,
}

/// Why nothing is told of a token.
enum Unseen {
    /// There is none, or it is over.
    Over,
    /// It lives, and the caller has nothing to do with it.
    Foreign,
}

#[derive(Serialize)]
struct Confirmation {
    jkt: String,
}

impl AuthorizationServer {
    /// Tells about a token.
    ///
    /// # Errors
    /// A refusal, or a database that is away: an answer that nobody looked up would be a guess.
    pub async fn introspect(&self, asked: &Asked<AboutToken>) -> Result<Introspection, Error> {
        let answer = self.looked_up(asked).await;
        if let Err(error) = &answer {
            Box::pin(self.note_client_denial(INTROSPECTION, error, asked)).await;
        }
        answer
    }

    async fn looked_up(&self, asked: &Asked<AboutToken>) -> Result<Introspection, Error> {
        let presented = asked.credentials.as_ref().map_err(|reason| *reason)?;
        let authenticated = self.authenticate(presented, Door::Introspection, asked.source).await?;
        self.count(ClientEndpoint::Introspect, &authenticated, asked.source)?;
        self.spend(&authenticated).await?;
        self.note_credential(&authenticated);
        let caller = authenticated.caller;
        if let Caller::Client(client) = &caller
            && client.client.state == ClientState::Suspended
        {
            return Err(Error::of(Refusal::Suspended, &client.id));
        }
        let token = asked.request.token.as_ref().map_err(|reason| Error::of(*reason, caller.id()))?;
        let seen = match self.find(token).await? {
            Some(Found::Access(row)) => self.access(*row, caller.id()),
            Some(Found::Refresh(row)) => self.refresh(*row, caller.id()),
            None => Err(Unseen::Over),
        };
        if let Err(Unseen::Foreign) = seen {
            self.note_foreign(INTROSPECTION, caller.id(), asked.source);
        }
        let details = seen.ok();
        // the default where nobody registered another (RFC 9701 §6)
        let algorithm = match &caller {
            Caller::ResourceServer(entry) => entry.resource_server.access_token.signing_algorithm,
            Caller::Client(_) => SigningAlgorithm::RS256,
        };
        let to = Recipient { id: caller.id().to_owned(), algorithm };
        Ok(Introspection { active: details.is_some(), details, to })
    }

    /// The answer as a JWT for who asked, to be kept or passed on (RFC 9701).
    ///
    /// # Errors
    /// When there is no key for it.
    pub async fn sign_introspection(&self, introspection: &Introspection) -> Result<String, Error> {
        let Recipient { id, algorithm } = &introspection.to;
        let (iss, iat) = (self.inner.issuer.as_str(), self.inner.clock.now().as_second());
        let claims = Signed { iss, aud: id, iat, token_introspection: introspection };
        self.inner.keys.sign_as(SIGNED, *algorithm, &claims).await
    }

    fn access(&self, row: TokenRow, caller: &str) -> Result<Details, Unseen> {
        let snapshot = self.inner.store.snapshot();
        let resource_server = snapshot.resource_server(&row.resource_server_id).ok_or(Unseen::Over)?;
        if row.revoked_at.is_some() || self.inner.clock.now() >= row.expires_at {
            return Err(Unseen::Over);
        }
        if !decide::introspection(caller, &row.client_id, Some(resource_server)) {
            return Err(Unseen::Foreign);
        }
        Ok(Details {
            iss: self.inner.issuer.clone(),
            sub: row.subject,
            aud: resource_server.resource_server.resource_uri.clone(),
            client_id: row.client_id,
            scope: row.scope,
            exp: row.expires_at.as_second(),
            iat: row.issued_at.as_second(),
            jti: Some(row.jti.to_string()),
            token_type: Some(token_type(row.lineage.jkt.is_some())),
            auth_time: row.lineage.auth_time.map(Timestamp::as_second),
            acr: row.lineage.auth_time.map(|_| user::ACR),
            cnf: row.lineage.jkt.map(|jkt| Confirmation { jkt }),
            act: row.lineage.act,
        })
    }

    /// A refresh token is seen by its client alone, and is active while it is the last of its family (E-02).
    fn refresh(&self, row: RefreshRow, caller: &str) -> Result<Details, Unseen> {
        let snapshot = self.inner.store.snapshot();
        let (grant, now) = (row.grant, self.inner.clock.now());
        let resource_server = snapshot.resource_server(&grant.resource_server_id).ok_or(Unseen::Over)?;
        let end = grant.expires_at.min(row.idle_expires_at);
        if grant.revoked_at.is_some() || row.used_at.is_some() || now >= end {
            return Err(Unseen::Over);
        }
        if grant.client_id != caller {
            return Err(Unseen::Foreign);
        }
        Ok(Details {
            iss: self.inner.issuer.clone(),
            sub: grant.subject,
            aud: resource_server.resource_server.resource_uri.clone(),
            client_id: grant.client_id,
            scope: grant.scope,
            exp: end.as_second(),
            iat: row.issued_at.as_second(),
            jti: None,
            token_type: None,
            auth_time: grant.auth_time.map(Timestamp::as_second),
            acr: grant.auth_time.map(|_| user::ACR),
            cnf: grant.jkt.map(|jkt| Confirmation { jkt }),
            act: None,
        })
    }
}
