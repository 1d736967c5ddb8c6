//! The end of a request: consent, role and code in one transaction, or a no.

use serde_json::json;

use super::flow::{Flow, Halt};
use super::rights::Rights;
use super::{Decision, Progress, Return, Visitor};
use crate::domain::actor::Actor;
use crate::domain::audit::{AuditKind, Record};
use crate::domain::authorize::Consent as Needed;
use crate::domain::clock::uuid_v7;
use crate::domain::handle::Handle;
use crate::domain::refusal::Refusal;
use crate::domain::secret::SecretText;
use crate::domain::user::SignedIn;

use crate::oauth::AuthorizationServer;
use crate::oauth::error::Error;
use crate::oauth::grant::authorization_code::Authorized;
use crate::store::{Consent, RoleAssignment, RoleOrigin, Tx};

impl AuthorizationServer {
    /// Issues the code; `asked`: the user has just agreed. Of all who answer one transaction, one gets here.
    pub(super) async fn issue(
        &self,
        flow: &Flow,
        signed_in: &SignedIn,
        rights: Rights,
        asked: bool,
    ) -> Result<Progress, Halt> {
        let code = Handle::AuthorizationCode.generate(&*self.inner.entropy)?;
        let decision = match rights.consent {
            _ if asked => Decision::Granted,
            Needed::Implicit => Decision::Implicit,
            Needed::Given | Needed::Missing => Decision::Remembered,
        };
        let attempt = || async {
            match self.finish(flow, signed_in, (&rights, decision), &code).await {
                Err(Halt::Failed(error)) => Err(error),
                // over by an attempt of this very answer, whose commit was answered by nobody
                Err(_) if self.has_code(&code).await? => Ok(Ok(())),
                finished => Ok(finished),
            }
        };
        Box::pin(self.inner.patience.hold(attempt)).await??;
        Ok(Progress::Return(Return {
            url: flow.checked.destination.success(code.expose()),
            client_id: flow.checked.client.id.clone(),
            user_id: Some(signed_in.user_id.clone()),
            outcome: Ok(decision),
        }))
    }

    async fn finish(
        &self,
        flow: &Flow,
        signed_in: &SignedIn,
        (rights, decision): (&Rights, Decision),
        code: &SecretText,
    ) -> Result<(), Halt> {
        let now = self.inner.clock.now();
        let mut tx = self.complete(flow, signed_in).await?;
        // until the code is there nobody ends what it would outlive
        if !tx.hold_account(&signed_in.user_id).await? || !tx.hold_session(&signed_in.session_id).await? {
            return Err(Halt::here(Refusal::RequestOver));
        }
        if let Some(role) = &rights.first_role {
            let assignment = RoleAssignment {
                user_id: signed_in.user_id.clone(),
                resource_server_id: rights.resource_server.id.clone(),
                role: role.clone(),
                origin: RoleOrigin::Default,
                assigned_at: now,
            };
            tx.assign_role(&assignment).await?;
        }
        match decision {
            Decision::Granted => self.agree(&mut tx, flow, signed_in, rights).await?,
            Decision::Implicit => {}
            Decision::Remembered => {
                let id = rights.consent_id.as_deref().unwrap_or_default();
                if !tx.hold_consent(id, now).await? {
                    // withdrawn a moment ago
                    return Err(Halt::here(Refusal::RequestOver));
                }
            }
        }
        let authorized = Authorized {
            client_id: flow.checked.client.id.clone(),
            resource_server_id: rights.grant.resource_server_id.clone(),
            scopes: rights.grant.scopes.clone(),
            redirect_uri: flow.checked.sent_redirect_uri.clone(),
            code_challenge: flow.checked.request.code_challenge.clone(),
            dpop_jkt: flow.jkt.clone(),
            signed_in: signed_in.clone(),
        };
        self.put_code(&mut tx, &authorized, code).await?;
        Ok(tx.commit().await?)
    }

    /// Whether this code was issued.
    async fn has_code(&self, code: &SecretText) -> Result<bool, Error> {
        Ok(self.inner.store.read().await?.has_code(&code.hash()).await?)
    }

    /// Tells the client that the user said no.
    pub(super) async fn deny(
        &self,
        flow: &Flow,
        signed_in: &SignedIn,
        visitor: &Visitor<'_>,
    ) -> Result<Progress, Halt> {
        let mut tx = self.complete(flow, signed_in).await?;
        let record = Record {
            client_id: Some(&flow.checked.client.id),
            user_id: Some(&signed_in.user_id),
            source: Some(visitor.source),
            ..Record::new(self.inner.clock.now(), Actor::user(&signed_in.user_id))
        };
        tx.audit(AuditKind::ConsentDenied, &record).await?;
        tx.commit().await?;
        let reason = Refusal::ConsentDenied;
        Ok(Progress::Return(Return {
            url: flow.checked.destination.error(reason),
            client_id: flow.checked.client.id.clone(),
            user_id: Some(signed_in.user_id.clone()),
            outcome: Err(reason),
        }))
    }

    /// A transaction that has completed the request, and the pushed request that it continues; whoever is second
    /// completes nothing (A-17, N-06).
    async fn complete(&self, flow: &Flow, signed_in: &SignedIn) -> Result<Tx, Halt> {
        let now = self.inner.clock.now();
        let mut tx = self.write(&Actor::user(&signed_in.user_id)).await?;
        if let Some(transaction) = &flow.transaction
            && !tx.use_authorization_request(&transaction.hash(), now).await?
        {
            return Err(Halt::here(Refusal::RequestOver));
        }
        if let Some(pushed) = &flow.pushed
            && !tx.use_authorization_request(pushed, now).await?
        {
            return Err(Halt::here(Refusal::InvalidRequestUri));
        }
        Ok(tx)
    }

    async fn agree(&self, tx: &mut Tx, flow: &Flow, signed_in: &SignedIn, rights: &Rights) -> Result<(), Error> {
        let now = self.inner.clock.now();
        let consent = Consent {
            id: format!("cns_{}", uuid_v7(now, &*self.inner.entropy)?),
            user_id: signed_in.user_id.clone(),
            client_id: flow.checked.client.id.clone(),
            resource_server_id: rights.resource_server.id.clone(),
            shown: rights.shown.clone(),
            granted_at: now,
            updated_at: now,
        };
        tx.put_consent(&consent).await?;
        let record = Record {
            client_id: Some(&consent.client_id),
            user_id: Some(&consent.user_id),
            resource: Some(&consent.resource_server_id),
            detail: json!({ "scopes": rights.grant.scopes }),
            ..Record::new(now, Actor::user(&signed_in.user_id))
        };
        Ok(tx.audit(AuditKind::ConsentGranted, &record).await?)
    }
}
