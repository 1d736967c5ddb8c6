//! Who may act as a resource server (`/v1/resource-servers/{id}/*`): its own introspection credential, its runtime
//! clients, and its service accounts. Whoever may not is told the same of a resource server that there is and of one that
//! there is not.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::json;

use super::AuthorizationServer;
use super::client_auth::Door;
use super::credentials::Presented;
use super::denials::RUNTIME;
use super::error::Error;
use super::form::Form;
use super::limit::ClientEndpoint;
use super::request::Asked;
use crate::domain::actor::Actor;
use crate::domain::audit::{AuditKind, Record};
use crate::domain::client::ClientState;
use crate::domain::decide;
use crate::domain::policy::Policy;
use crate::domain::refusal::Refusal;
use crate::domain::reviewer::ServiceAccount;
use crate::domain::secret::SecretText;

/// Somebody who acts as a resource server, for as long as that lasts.
#[derive(Debug)]
pub struct Acting {
    actor: Actor,
    resource_server_id: String,
    source: IpAddr,
    proof: Proof,
}

#[derive(Debug)]
enum Proof {
    /// A client or a resource server, by one of its secrets.
    Secret {
        principal: String,
        credential: String,
    },
    Token {
        token: SecretText,
        account: ServiceAccount,
        expires: Timestamp,
    },
}

impl Acting {
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    pub const fn source(&self) -> IpAddr {
        self.source
    }
}

impl AuthorizationServer {
    /// Whoever these `Authorization` headers are of, if they may act as the resource server with this id.
    ///
    /// # Errors
    /// `InvalidClient` without credentials that are good, `NotItsRuntime` with them.
    pub async fn acting(&self, authorization: &[&[u8]], id: &str, source: IpAddr) -> Result<Acting, Error> {
        if let Some(token) = bearer(authorization) {
            return self.acting_by_token(token, id, source).await;
        }
        let credentials = Presented::read(authorization, &Form::default());
        let asked = Asked { request: (), credentials, source, proof: None };
        let answer = self.acting_by_secret(&asked, id).await;
        if let Err(error) = &answer {
            Box::pin(self.note_client_denial(RUNTIME, error, &asked)).await;
        }
        answer
    }

    /// Whether somebody who was let in may still stay: a secret that has ended, a permission that was withdrawn and a
    /// token that is over are noticed here.
    pub async fn still_acts(&self, acting: &Acting) -> bool {
        let now = self.inner.clock.now();
        match &acting.proof {
            Proof::Secret { principal, credential } => {
                let snapshot = self.inner.store.snapshot();
                let client = snapshot.client(principal).map(|entry| &entry.credentials);
                let server = snapshot.resource_server(principal).map(|entry| &entry.credentials);
                let mut live = client.or(server).into_iter().flatten();
                live.any(|held| held.id == *credential && held.is_live(now))
                    && self.acts(principal, &acting.resource_server_id)
            }
            Proof::Token { token, account, expires } => {
                let reviewed = self.review(token, acting.source).await;
                // an API server that is away ends nothing before its time
                let good = reviewed.map_or_else(|error| error.refusal().is_none(), |(found, _)| found == *account);
                good && now < *expires && self.account_acts(account, &acting.resource_server_id)
            }
        }
    }

    /// Tells the audit of a manifest that was not taken.
    pub async fn note_manifest_refused(&self, acting: &Acting, reason: &'static str) {
        let record = Record {
            resource: Some(&acting.resource_server_id),
            source: Some(acting.source),
            detail: json!({ "reason": reason }),
            ..Record::new(self.inner.clock.now(), acting.actor.clone())
        };
        self.record_denial(AuditKind::ManifestRefused, reason, &record).await;
    }

    async fn acting_by_secret(&self, asked: &Asked<()>, id: &str) -> Result<Acting, Error> {
        let presented = asked.credentials.as_ref().map_err(|reason| *reason)?;
        let authenticated = self.authenticate(presented, Door::Introspection, asked.source).await?;
        self.count(ClientEndpoint::Policy, &authenticated, asked.source)?;
        self.note_credential(&authenticated);
        let principal = authenticated.caller.id().to_owned();
        let credential = authenticated.credential.ok_or(Refusal::InvalidClient)?;
        if !self.acts(&principal, id) {
            return Err(Error::of(Refusal::NotItsRuntime, &principal));
        }
        let actor = Actor::client(&principal);
        let proof = Proof::Secret { principal, credential };
        Ok(Acting { actor, resource_server_id: id.to_owned(), source: asked.source, proof })
    }

    async fn acting_by_token(&self, token: SecretText, id: &str, source: IpAddr) -> Result<Acting, Error> {
        let (account, expires) = self.review(&token, source).await.inspect_err(|error| {
            if let Some(reason) = error.refusal() {
                self.note_refusal(source, reason.as_str());
            }
        })?;
        let actor = Actor::service_account(&account);
        self.inner.budgets.spend(ClientEndpoint::Policy, &actor.to_string())?;
        if !self.account_acts(&account, id) {
            let reason = Refusal::NotItsRuntime;
            let detail = json!({ "request": RUNTIME, "reason": reason.as_str() });
            let record = Record { source: Some(source), detail, ..Record::new(self.inner.clock.now(), actor) };
            self.record_denial(AuditKind::AuthorizationDenied, reason.as_str(), &record).await;
            return Err(reason.into());
        }
        let proof = Proof::Token { token, account, expires };
        Ok(Acting { actor, resource_server_id: id.to_owned(), source, proof })
    }

    fn acts(&self, principal: &str, id: &str) -> bool {
        let snapshot = self.inner.store.snapshot();
        let suspended = snapshot.client(principal).is_some_and(|c| c.client.state == ClientState::Suspended);
        !suspended && snapshot.resource_server(id).is_some_and(|entry| decide::acts_as(principal, entry))
    }

    fn account_acts(&self, account: &ServiceAccount, id: &str) -> bool {
        let snapshot = self.inner.store.snapshot();
        snapshot.resource_server(id).is_some_and(|entry| decide::account_acts_as(account, entry))
    }
}

/// The one bearer token that a request shows.
fn bearer(authorization: &[&[u8]]) -> Option<SecretText> {
    let [header] = authorization else { return None };
    let (scheme, token) = std::str::from_utf8(header).ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| SecretText::new(token.trim()))
}
