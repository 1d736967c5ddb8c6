//! Consents that stand: seen and withdrawn by their user, or by an administrator.

use jiff::Timestamp;

use super::AuthorizationServer;
use super::error::Error;
use crate::domain::actor::Actor;
use crate::domain::audit::{AuditKind, Record};
use crate::domain::policy::Policy;
use crate::store::{self, Consent, Ended, Revoke, RevokeCause, Store};

/// A consent as people see it.
#[derive(Debug, Clone)]
pub struct ConsentSummary {
    pub id: String,
    pub client_id: String,
    /// Empty when the client is gone.
    pub client_name: String,
    pub resource_server_id: String,
    /// Empty when the resource server is gone.
    pub resource_name: String,
    pub scopes: Vec<String>,
    pub granted_at: Timestamp,
    pub used_at: Timestamp,
}

/// Whose consent may be withdrawn.
#[derive(Debug, Clone, Copy)]
pub enum Withdraw<'a> {
    /// Only this user's own.
    Own(&'a str),
    /// Anybody's.
    Any,
}

impl AuthorizationServer {
    /// What a user has agreed to, the latest used first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn consents(&self, user_id: &str) -> Result<Vec<ConsentSummary>, Error> {
        let store = &self.inner.store;
        let read = || async { store.read().await?.consents_of(user_id).await };
        let found = self.inner.patience.hold(read).await?;
        let snapshot = store.snapshot();
        let summary = |consent: Consent| ConsentSummary {
            client_name: snapshot.client(&consent.client_id).map_or(String::new(), |c| c.client.display_name.clone()),
            resource_name: snapshot
                .resource_server(&consent.resource_server_id)
                .map_or(String::new(), |entry| entry.resource_server.display_name.clone()),
            scopes: consent.shown.scopes.into_keys().collect(),
            id: consent.id,
            client_id: consent.client_id,
            resource_server_id: consent.resource_server_id,
            granted_at: consent.granted_at,
            used_at: consent.updated_at,
        };
        Ok(found.into_iter().map(summary).collect())
    }

    /// Ends a consent and everything that came of it; `None` when there is none of theirs.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn withdraw_consent(&self, id: &str, whose: Withdraw<'_>, actor: &Actor) -> Result<Option<Ended>, Error> {
        let (store, now) = (&self.inner.store, self.inner.clock.now());
        self.inner.patience.hold(|| withdraw(store, id, whose, actor, now)).await
    }
}

/// The same beside a server, on the database itself.
///
/// # Errors
/// When the database is away.
pub async fn withdraw(
    store: &Store,
    id: &str,
    whose: Withdraw<'_>,
    actor: &Actor,
    now: Timestamp,
) -> Result<Option<Ended>, store::Error> {
    let mut tx = store.write(actor).await?;
    let theirs = |consent: &Consent| match whose {
        Withdraw::Own(user) => consent.user_id == user,
        Withdraw::Any => true,
    };
    let Some(consent) = tx.consent_by_id(id).await?.filter(theirs) else { return Ok(None) };
    // first: whoever is about to issue a code under this consent holds it
    if !tx.delete_consent(id).await? {
        return Ok(None);
    }
    let granted = Revoke::Consent {
        subject: &consent.user_id,
        client_id: &consent.client_id,
        resource_server_id: &consent.resource_server_id,
    };
    let ended = tx.revoke(granted, RevokeCause::ConsentWithdrawn, now).await?;
    let record = Record {
        client_id: Some(&consent.client_id),
        user_id: Some(&consent.user_id),
        resource: Some(&consent.resource_server_id),
        ..Record::new(now, actor.clone())
    };
    tx.audit(AuditKind::ConsentRevoked, &record).await?;
    tx.commit().await?;
    Ok(Some(ended))
}
