//! Dynamic registration (RFC 7591): a stranger describes a client and gets an id for it.

pub mod invitation;
mod manage;
mod mode;

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Map, Value, json};

pub(super) use self::mode::Switch;
pub use self::mode::{Mode, kept_mode, set_mode};
use super::AuthorizationServer;
use super::client_metadata::{Fault, Kind, Metadata, RedirectPolicy};
use super::error::Error;
use super::{json as strict, path};
use crate::domain::actor::Actor;
use crate::domain::audit::{AuditKind, Record};
use crate::domain::client::{AuthenticationMethod, Origin};
use crate::domain::clock::uuid_v7;
use crate::domain::credential::{Credential, CredentialState};
use crate::domain::handle::Handle;
use crate::domain::owner::Kind as Entity;
use crate::domain::secret::SecretText;
use crate::domain::spec::Spec;
use crate::store::{self, Dynamic, Registration, Revoke, RevokeCause, Store};

/// How registration behaves.
#[derive(Debug, Clone)]
pub struct RegistrationOptions {
    /// Until somebody switches it.
    pub mode: Mode,
    /// With which redirect URIs; `only_approved` follows from the mode.
    pub redirects: RedirectPolicy,
    pub max_clients: i64,
    /// From one source address.
    pub per_hour: u32,
}

/// Why nothing was registered.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    #[error(transparent)]
    Metadata(#[from] Fault),
    #[error("the body is not a JSON object that names each member once")]
    NotAnObject,
    /// No invitation or registration access token, or none that is good.
    #[error("a token is required")]
    Unauthorized { presented: bool },
    #[error("too many registrations")]
    Limited { retry_after: Duration },
    /// Every place is taken by a client that is used.
    #[error("no room for another client")]
    Full,
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<store::Error> for RegistrationError {
    fn from(error: store::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// A client that is registered, as it is told about (RFC 7591 §3.2.1, RFC 7592 §3).
#[derive(Debug)]
pub struct Registered {
    pub client_id: String,
    pub body: Map<String, Value>,
}

/// What goes into the database for a new client.
struct New {
    registration: Registration,
    spec: Spec,
    secret: Option<SecretText>,
    token: SecretText,
    credential: Option<Credential>,
}

impl AuthorizationServer {
    /// Registers a client. `bearer` is an invitation, without which only some may register, and only some things.
    ///
    /// # Errors
    /// See [`RegistrationError`]; nothing was written.
    pub async fn register(
        &self,
        body: &[u8],
        bearer: Option<&str>,
        source: IpAddr,
    ) -> Result<Registered, RegistrationError> {
        let limited = |retry_after| RegistrationError::Limited { retry_after };
        self.inner.dynamic.registrations.count_source(source).map_err(limited)?;
        let mode = self.registration_mode().await?;
        if mode == Mode::AdminOnly && bearer.is_none() {
            self.note_refusal(source, "no_invitation");
            return Err(RegistrationError::Unauthorized { presented: false });
        }
        let object = strict::object(body).ok_or(RegistrationError::NotAnObject)?;
        let only_approved = mode == Mode::ApprovedRedirects && bearer.is_none();
        let policy = RedirectPolicy { only_approved, ..self.inner.dynamic.registration.redirects.clone() };
        let metadata = Metadata::read(Kind::Registration, object, &policy)?;
        let new = self.new_client(&metadata)?;
        let invitation = bearer.map(|text| SecretText::new(text).hash());
        let recorded = self.inner.patience.hold(|| self.record(&new, invitation.as_ref(), source)).await?;
        if let Err(RegistrationError::Unauthorized { .. }) = &recorded {
            self.note_refusal(source, "invitation");
        }
        recorded?;
        // whoever asks here next is answered; the other replicas hear of it by the feed, or look when they are asked
        let id = &new.registration.client_id;
        self.inner.patience.hold(|| self.inner.store.reread(Entity::OAuthClient, id)).await?;
        let body = self.told(&new.registration, metadata.told(), &new.token, new.secret.as_ref());
        Ok(Registered { client_id: new.registration.client_id, body })
    }

    fn new_client(&self, metadata: &Metadata) -> Result<New, RegistrationError> {
        let (now, entropy) = (self.inner.clock.now(), &*self.inner.entropy);
        let id = uuid_v7(now, entropy).map_err(Error::from)?;
        let client_id = format!("{}{id}", Origin::REGISTERED);
        let secret = match metadata.method.has_secret() {
            true => Some(SecretText::generate(entropy).map_err(Error::from)?),
            false => None,
        };
        let credential = secret.as_ref().map(|secret| Credential {
            id: format!("{client_id}.1"),
            hash: secret.hash(),
            state: CredentialState::Current,
            issued_at: now,
            retire_at: None,
            last_used_at: None,
        });
        Ok(New {
            registration: Registration {
                metadata: Value::Object(metadata.told()).to_string(),
                issued_at: now,
                client_id,
            },
            spec: Spec::Client(metadata.client()),
            token: Handle::RegistrationToken.generate(entropy).map_err(Error::from)?,
            secret,
            credential,
        })
    }

    /// Writes all of it, or nothing.
    async fn record(
        &self,
        new: &New,
        invitation: Option<&crate::domain::secret::SecretHash>,
        source: IpAddr,
    ) -> Result<Result<(), RegistrationError>, store::Error> {
        let (now, id) = (self.inner.clock.now(), new.registration.client_id.as_str());
        let who = Actor::recorded("registration");
        let mut tx = self.inner.store.write(&who).await?;
        if let Some(invitation) = invitation
            && !tx.use_invitation(invitation, now).await?
        {
            return Ok(Err(RegistrationError::Unauthorized { presented: true }));
        }
        if tx.count_dynamic(Dynamic::Registration).await? >= self.inner.dynamic.registration.max_clients
            && tx.evict_dynamic(Dynamic::Registration, now).await?.is_none()
        {
            return Ok(Err(RegistrationError::Full));
        }
        tx.put(id, &new.spec, None, now).await?;
        if let Some(credential) = &new.credential {
            tx.put_credential(id, credential).await?;
        }
        tx.put_registration(&new.registration, &new.token.hash()).await?;
        let detail = json!({"invited": invitation.is_some()});
        let record = Record { client_id: Some(id), source: Some(source), detail, ..Record::new(now, who) };
        tx.audit(AuditKind::ClientRegistered, &record).await?;
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// The answer; without a null in it, which clients refuse.
    fn told(
        &self,
        registration: &Registration,
        mut body: Map<String, Value>,
        token: &SecretText,
        secret: Option<&SecretText>,
    ) -> Map<String, Value> {
        let id = &registration.client_id;
        let mut tell = |name: &str, value: Value| drop(body.insert(name.to_owned(), value));
        tell("client_id", json!(id));
        tell("client_id_issued_at", json!(registration.issued_at.as_second()));
        if let Some(secret) = secret {
            tell("client_secret", json!(secret.expose()));
        }
        let method = body.get("token_endpoint_auth_method").and_then(Value::as_str).unwrap_or_default();
        let has_secret = method.starts_with("client_secret_");
        let mut tell = |name: &str, value: Value| drop(body.insert(name.to_owned(), value));
        if has_secret {
            tell("client_secret_expires_at", json!(0));
        }
        tell("registration_access_token", json!(token.expose()));
        tell("registration_client_uri", json!(format!("{}{}/{id}", self.inner.issuer, path::REGISTER)));
        body
    }
}

/// What a registered client has, ends with it.
async fn end(store: &Store, id: &str, who: Actor, record: Record<'_>) -> Result<bool, store::Error> {
    let mut tx = store.write(&who).await?;
    tx.revoke(Revoke::Client(id), RevokeCause::Deleted, record.at).await?;
    let ended = tx.end_dynamic(Dynamic::Registration, id).await?;
    tx.audit(AuditKind::ClientDeleted, &record).await?;
    tx.commit().await?;
    Ok(ended)
}

/// Whether a method may take another's place: a secret never becomes none, nor none a secret (H-09).
fn may_become(before: AuthenticationMethod, after: AuthenticationMethod) -> bool {
    before == after || (before.has_secret() && after.has_secret())
}
