//! Invitations to register (RFC 7591 §1.2, initial access tokens): good in every mode, for so many clients and so long.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::AuthorizationServer;
use crate::domain::actor::Actor;
use crate::domain::audit::{AuditKind, Record};
use crate::domain::clock::{Entropy, EntropyUnavailable};
use crate::domain::secret::SecretText;
use crate::oauth::error::Error;
pub use crate::store::Invitation;
use crate::store::{self, Store};

/// How many clients, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub uses: i64,
    pub lifetime: SignedDuration,
}

impl Wanted {
    /// `None` when it invites nobody, or everybody for ever.
    pub fn sensible(uses: i64, seconds: i64) -> Option<Self> {
        let fits = (1..=10_000).contains(&uses) && (60..=31_536_000).contains(&seconds);
        fits.then(|| Self { uses, lifetime: SignedDuration::from_secs(seconds) })
    }
}

/// A new invitation; the token is shown this once.
pub struct Invited {
    pub id: String,
    pub token: SecretText,
    pub expires_at: Timestamp,
}

impl AuthorizationServer {
    /// An invitation to register so many clients, with any redirect URI and in any mode.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn invite(&self, wanted: Wanted, actor: &Actor) -> Result<Invited, Error> {
        let invited = Invited::new(wanted, &*self.inner.entropy, self.inner.clock.now())?;
        let (store, now) = (&self.inner.store, self.inner.clock.now());
        self.inner.patience.hold(|| invited.keep(store, (wanted, now), actor)).await?;
        Ok(invited)
    }

    /// Those that still invite somebody, the first to end first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn invitations(&self) -> Result<Vec<Invitation>, Error> {
        Ok(invitations(&self.inner.store, self.inner.clock.now()).await?)
    }

    /// Ends an invitation; false when there is none of that id. Who has registered with it stays.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn end_invitation(&self, id: &str, actor: &Actor) -> Result<bool, Error> {
        Ok(end_invitation(&self.inner.store, id, actor, self.inner.clock.now()).await?)
    }
}

/// Those that still invite somebody, the first to end first.
///
/// # Errors
/// When the database is away.
pub async fn invitations(store: &Store, now: Timestamp) -> Result<Vec<Invitation>, store::Error> {
    store.read().await?.invitations(now).await
}

/// Ends an invitation; false when there is none of that id. Who has registered with it stays.
///
/// # Errors
/// When the database is away.
pub async fn end_invitation(store: &Store, id: &str, actor: &Actor, now: Timestamp) -> Result<bool, store::Error> {
    let mut tx = store.write(actor).await?;
    if !tx.end_invitation(id).await? {
        return Ok(false);
    }
    let detail = json!({"invitation": {"id": id, "revoked": true}});
    tx.audit(AuditKind::SettingChanged, &told(detail, actor, now)).await?;
    tx.commit().await?;
    Ok(true)
}

impl Invited {
    /// One that nobody knows of yet.
    ///
    /// # Errors
    /// When the random source fails.
    pub fn new(wanted: Wanted, entropy: &dyn Entropy, now: Timestamp) -> Result<Self, EntropyUnavailable> {
        let token = SecretText::generate(entropy)?;
        let end = now.saturating_add(wanted.lifetime).unwrap_or(Timestamp::MAX);
        let expires_at = Timestamp::from_second(end.as_second()).unwrap_or(end);
        Ok(Self { id: Invitation::id_of(&token.hash()), token, expires_at })
    }

    /// Makes it good, also beside a server that is running.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn keep(
        &self,
        store: &Store,
        (wanted, now): (Wanted, Timestamp),
        actor: &Actor,
    ) -> Result<(), store::Error> {
        let mut tx = store.write(actor).await?;
        tx.put_invitation(&self.token.hash(), actor, (wanted.uses, self.expires_at)).await?;
        let invitation = json!({"id": self.id, "uses": wanted.uses, "expires_at": self.expires_at.as_second()});
        tx.audit(AuditKind::SettingChanged, &told(json!({ "invitation": invitation }), actor, now)).await?;
        tx.commit().await
    }
}

fn told(detail: Value, actor: &Actor, now: Timestamp) -> Record<'static> {
    Record { detail, ..Record::new(now, actor.clone()) }
}
