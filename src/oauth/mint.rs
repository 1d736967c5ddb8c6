//! The one place that makes access tokens (RFC 9068, or opaque), for every grant.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::AuthorizationServer;
use super::error::Error;
use crate::domain::clock::uuid_v7;
use crate::domain::decide;
use crate::domain::handle::Handle;
use crate::domain::secret::SecretHash;
use crate::domain::user;
use crate::store::{Issuance, Lineage};

/// What a token is to say.
pub(super) struct Minting<'a> {
    pub grant: &'a decide::Grant,
    pub subject: &'a str,
    /// The token ends then at the latest, whatever its resource server says.
    pub not_after: Option<Timestamp>,
    /// The credential that authenticated the client.
    pub credential: Option<&'a str>,
    /// `None` of a token that a client asked for in its own name and that is bound to nothing.
    pub lineage: Option<&'a Lineage>,
    /// More claims, which may not be any of those above.
    pub claims: Option<&'a Map<String, Value>>,
}

/// A token that is signed and not recorded yet.
pub(super) struct Minted {
    pub text: String,
    pub jti: Uuid,
    pub scope: String,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    handle: Option<SecretHash>,
}

impl Minted {
    /// `expires_in`, in seconds.
    pub fn lifetime(&self) -> i64 {
        self.expires_at.as_second() - self.issued_at.as_second()
    }
}

/// RFC 9068 §2.2.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: i64,
    iat: i64,
    jti: &'a str,
    client_id: &'a str,
    scope: &'a str,
    #[serde(flatten)]
    more: Option<More<'a>>,
}

/// What the tokens of users, of keys and of exchanges say besides.
#[derive(Serialize)]
struct More<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
    /// How the user signed in (RFC 9068 §2.2.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amr: Option<[&'static str; 1]>,
    /// RFC 9449 §6.1
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation<'a>>,
    /// RFC 8693 §4.1
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<&'a Value>,
    /// The client, when it is an agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<&'a str>,
    /// What the subject is, when it is the agent itself (draft-mora-oauth-entity-profiles).
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_profile: Option<&'static str>,
    /// Every agent on the way, the first one first, when there was more than this one exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_chain: Option<[&'a str; 1]>,
    #[serde(flatten)]
    claims: Option<&'a Map<String, Value>>,
}

/// The key that a token is bound to.
#[derive(Serialize)]
pub(super) struct Confirmation<'a> {
    pub jkt: &'a str,
}

impl<'a> More<'a> {
    fn of(minting: &Minting<'a>) -> Option<Self> {
        let (lineage, client_id) = (minting.lineage, minting.grant.client_id.as_str());
        let agent = minting.grant.agent;
        if lineage.is_none() && !agent {
            return None;
        }
        let jkt = lineage.and_then(|lineage| lineage.jkt.as_deref());
        let auth_time = lineage.and_then(|lineage| lineage.auth_time).map(Timestamp::as_second);
        Some(Self {
            auth_time,
            acr: auth_time.map(|_| user::ACR),
            amr: auth_time.map(|_| [user::AMR]),
            cnf: jkt.map(|jkt| Confirmation { jkt }),
            act: lineage.and_then(|lineage| lineage.act.as_ref()),
            agent_id: agent.then_some(client_id),
            sub_profile: (agent && minting.subject == client_id).then_some("ai_agent"),
            // an exchange says it itself, with those before
            agent_chain: (agent && minting.claims.is_none()).then_some([client_id]),
            claims: minting.claims,
        })
    }
}

impl Minting<'_> {
    /// The row of a token.
    pub fn issuance(&self, minted: &Minted) -> Issuance {
        Issuance {
            jti: minted.jti,
            handle: minted.handle,
            client_id: self.grant.client_id.clone(),
            client_revision: self.grant.client_revision,
            resource_server_id: self.grant.resource_server_id.clone(),
            resource_server_revision: self.grant.resource_server_revision,
            subject: self.subject.to_owned(),
            scope: minted.scope.clone(),
            issued_at: minted.issued_at,
            expires_at: minted.expires_at,
            credential_id: self.credential.map(str::to_owned),
        }
    }

    /// `token_type` (RFC 6749 §7.1, RFC 9449 §5).
    pub fn token_type(&self) -> &'static str {
        token_type(self.lineage.is_some_and(|lineage| lineage.jkt.is_some()))
    }
}

/// `DPoP` of a token that is bound to a key.
pub(super) const fn token_type(bound: bool) -> &'static str {
    if bound { "DPoP" } else { "Bearer" }
}

impl AuthorizationServer {
    /// Makes a token; it is nobody's until it is recorded, by the group commit or in the caller's transaction.
    pub(super) async fn mint(&self, minting: &Minting<'_>) -> Result<Minted, Error> {
        let grant = minting.grant;
        let now = self.inner.clock.now();
        let jti = uuid_v7(now, &*self.inner.entropy)?;
        let issued = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let end = issued + SignedDuration::from_secs(grant.lifetime_seconds);
        let expires_at = minting.not_after.map_or(end, |latest| end.min(latest));
        let scope = grant.scope();
        let (text, handle) = if grant.opaque {
            let token = Handle::AccessToken.generate(&*self.inner.entropy)?;
            (token.expose().to_owned(), Some(token.hash()))
        } else {
            let mut buffer = Uuid::encode_buffer();
            let claims = Claims {
                iss: &self.inner.issuer,
                sub: minting.subject,
                aud: &grant.audience,
                exp: expires_at.as_second(),
                iat: now.as_second(),
                jti: jti.hyphenated().encode_lower(&mut buffer),
                client_id: &grant.client_id,
                scope: &scope,
                more: More::of(minting),
            };
            (self.inner.keys.sign(grant.algorithm, &claims).await?, None)
        };
        Ok(Minted { text, jti, scope, issued_at: now, expires_at, handle })
    }
}
