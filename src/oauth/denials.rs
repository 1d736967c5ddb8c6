//! What somebody who has proved who they are was refused: a record of the audit for each, before the answer (IV-7).
//! Whoever proved nothing is summed up with the other strangers.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;

use super::AuthorizationServer;
use super::api_key::Administrator;
use super::client_auth::Door;
use super::error::Error;
use super::refusals::Sum;
use super::request::Asked;
use crate::domain::actor::Actor;
use crate::domain::audit::{AuditKind, Record};
use crate::domain::proof::ProofFault;
use crate::domain::refusal::Refusal;
use crate::domain::user::SignedIn;
use crate::limit::Limiter;
use crate::store;

/// Whoever is refused more often than this in a minute has the rest summed up in one record.
const EACH: u32 = 60;
/// A no is not held up for longer than this; what is not written by then is summed up.
const PROMPT: Duration = Duration::from_secs(1);

pub(super) struct Denials(Limiter<String>);

impl Default for Denials {
    fn default() -> Self {
        Self(Limiter::per_minute(EACH))
    }
}

/// What was asked for: the `request` of a record.
pub(super) const INTROSPECTION: &str = "introspection";
/// Policy and manifest.
pub(super) const RUNTIME: &str = "runtime";
pub(super) const REVOCATION: &str = "revocation";
pub(super) const PUSHED_REQUEST: &str = "pushed_request";
pub(super) const DEVICE_AUTHORIZATION: &str = "device_authorization";
pub(super) const AUTHORIZATION: &str = "authorization";
pub(super) const DEVICE_DECISION: &str = "device_decision";

/// Whether this refusal is one to record: a step of the protocol is none, and what a user decided, or what a code,
/// refresh token or proof that came twice did, has a record of its own.
const fn counts(reason: Refusal) -> bool {
    !matches!(
        reason,
        Refusal::AuthorizationPending
            | Refusal::SlowDown
            | Refusal::NonceRequired
            | Refusal::LoginRequired
            | Refusal::ConsentRequired
            | Refusal::ConsentDenied
            | Refusal::CodeReused
            | Refusal::RefreshReused
            | Refusal::InvalidProof(ProofFault::Replayed)
    )
}

impl AuthorizationServer {
    /// Tells the audit of a refusal at an endpoint where clients authenticate.
    pub(super) async fn note_client_denial<T>(&self, request: &'static str, error: &Error, asked: &Asked<T>) {
        let Some(reason) = error.refusal().filter(|reason| counts(*reason)) else { return };
        let secrets_only = [INTROSPECTION, RUNTIME].contains(&request);
        let door = if secrets_only { Door::Introspection } else { Door::Clients };
        let sender = asked.credentials.as_ref().ok().and_then(|presented| self.recognise(presented, door).ok());
        let Some(sender) = sender.filter(|sender| sender.is_proved()) else {
            return self.note_refusal(asked.source, reason.as_str());
        };
        let id = sender.caller.id();
        let record = Record {
            client_id: Some(id),
            source: Some(asked.source),
            detail: json!({ "request": request, "reason": reason.as_str() }),
            ..Record::new(self.inner.clock.now(), Actor::client(id))
        };
        self.record_denial(AuditKind::AuthorizationDenied, reason.as_str(), &record).await;
    }

    /// Tells the audit that a caller asked about a token that is not its own and was told nothing. It is summed up, since
    /// an answer that waits for a record would tell that there is such a token.
    pub(super) fn note_foreign(&self, request: &'static str, caller: &str, source: IpAddr) {
        let who = Actor::client(caller);
        let record = Record { source: Some(source), ..Record::new(self.inner.clock.now(), who) };
        let reason = if request == INTROSPECTION { "introspection_of_another" } else { "revocation_of_another" };
        self.inner.refusals.add(Sum::of(AuditKind::AuthorizationDenied, &record, reason), 1);
    }

    /// Tells the audit of a refusal in a browser.
    pub(super) async fn note_user_denial(
        &self,
        (request, reason): (&'static str, Refusal),
        client_id: Option<&str>,
        (signed_in, source): (Option<&SignedIn>, IpAddr),
    ) {
        if !counts(reason) {
            return;
        }
        let Some(signed_in) = signed_in else { return self.note_refusal(source, reason.as_str()) };
        let who = Actor::user(&signed_in.user_id);
        let record = Record {
            client_id,
            user_id: Some(&signed_in.user_id),
            source: Some(source),
            detail: json!({ "request": request, "reason": reason.as_str() }),
            ..Record::new(self.inner.clock.now(), who)
        };
        self.record_denial(AuditKind::AuthorizationDenied, reason.as_str(), &record).await;
    }

    /// Tells the audit that a key was good and its role was not enough.
    pub async fn note_admin_denial(&self, administrator: &Administrator, request: &str, source: IpAddr) {
        let record = Record {
            source: Some(source),
            detail: json!({ "request": request, "role": administrator.role.as_str() }),
            ..Record::new(self.inner.clock.now(), Actor::api_key(&administrator.name))
        };
        self.record_denial(AuditKind::AdminDenied, "insufficient_scope", &record).await;
    }

    pub(super) async fn record_denial(&self, kind: AuditKind, reason: &'static str, record: &Record<'_>) {
        let own = self.inner.denials.0.count(&record.who.to_string()).is_ok();
        if own && matches!(tokio::time::timeout(PROMPT, self.write_denial(kind, record)).await, Ok(Ok(()))) {
            return;
        }
        self.inner.refusals.add(Sum::of(kind, record, reason), 1);
    }

    async fn write_denial(&self, kind: AuditKind, record: &Record<'_>) -> Result<(), store::Error> {
        let mut tx = self.inner.store.write(&record.who).await?;
        tx.audit(kind, record).await?;
        tx.commit().await
    }
}
