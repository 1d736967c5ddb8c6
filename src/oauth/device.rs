//! The device grant up to the user's decision (RFC 8628): a device shows a code, a user types it in a browser, looks
//! at who asks for what and from where, and decides.

mod decision;
mod tries;
mod user_code;

use jiff::SignedDuration;
use serde::Serialize;

use super::AuthorizationServer;
use super::client_auth::{Caller, Door};
use super::denials::DEVICE_AUTHORIZATION;
use super::error::Error;
use super::form::Form;
use super::limit::ClientEndpoint;
use super::metadata::path;
use super::request::Asked;
use crate::domain::actor::Actor;
use crate::domain::client::GrantType;
use crate::domain::decide::{self, Ask};
use crate::domain::handle::Handle;
use crate::domain::refusal::Refusal;
use crate::domain::secret::SecretText;
use crate::store::{self, DeviceRow, DeviceState, Store};

pub use self::decision::{DeviceDecided, DevicePrompt};
pub(super) use self::tries::Tries;
use self::user_code::UserCode;

/// A code that somebody has is drawn again, so often.
const DRAWS: usize = 8;

/// How the grant behaves.
#[derive(Debug, Clone, Copy)]
pub struct DeviceOptions {
    /// How long a user has to decide.
    pub lifetime: SignedDuration,
    /// Seconds between two polls.
    pub interval: i64,
}

/// `POST /oauth/device_authorization` (RFC 8628 §3.1).
pub struct DeviceRequest {
    resources: Vec<String>,
    scope: Option<String>,
    /// Of S256; the device then proves at the end that it is the one that began.
    code_challenge: Result<Option<String>, Refusal>,
}

impl DeviceRequest {
    pub fn read(form: &Form) -> Self {
        let challenge = form.get("code_challenge");
        let is_sha256 =
            |text: &str| text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        let details = form.get("authorization_details").is_some();
        let code_challenge = match (challenge, form.get("code_challenge_method")) {
            _ if details => Err(Refusal::UnsupportedDetails),
            (None, None) => Ok(None),
            (Some(challenge), Some("S256")) if is_sha256(challenge) => Ok(Some(challenge.to_owned())),
            _ => Err(Refusal::Malformed("code_challenge must be 43 characters of base64url, and its method S256")),
        };
        Self {
            resources: form.all("resource").map(str::to_owned).collect(),
            scope: form.get("scope").map(str::to_owned),
            code_challenge,
        }
    }
}

/// The answer (RFC 8628 §3.2).
#[derive(Serialize)]
pub struct DeviceAuthorization {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: String,
    expires_in: i64,
    interval: i64,
}

impl AuthorizationServer {
    /// Begins a device authorization.
    ///
    /// # Errors
    /// A refusal, or a database that is away.
    pub async fn device_authorization(&self, asked: &Asked<DeviceRequest>) -> Result<DeviceAuthorization, Error> {
        let answer = self.began(asked).await;
        if let Err(error) = &answer {
            Box::pin(self.note_client_denial(DEVICE_AUTHORIZATION, error, asked)).await;
        }
        answer
    }

    async fn began(&self, asked: &Asked<DeviceRequest>) -> Result<DeviceAuthorization, Error> {
        let presented = asked.credentials.as_ref().map_err(|reason| *reason)?;
        if let Some(id) = presented.document() {
            self.resolve_client(id, asked.source).await?;
        }
        let authenticated = self.authenticate(presented, Door::Clients, asked.source).await?;
        self.count(ClientEndpoint::Device, &authenticated, asked.source)?;
        let Caller::Client(client) = &authenticated.caller else { return Err(Refusal::InvalidClient.into()) };
        self.spend(&authenticated).await?;
        let refuse = |reason| Error::of(reason, &client.id);
        let request = &asked.request;
        let ask = Ask { resources: &request.resources, scope: request.scope.as_deref(), bound: false };
        let snapshot = self.inner.store.snapshot();
        let grant = decide::user(client, GrantType::DeviceCode, &ask, None, &*snapshot).map_err(refuse)?;
        let code_challenge = request.code_challenge.clone().map_err(refuse)?;
        let DeviceOptions { lifetime, interval } = self.inner.device;
        let now = self.inner.clock.now();
        let row = |device_code: &SecretText, user_code: &UserCode| DeviceRow {
            hash: device_code.hash(),
            user_code: self.digest(user_code),
            client_id: client.id.clone(),
            resource_server_id: grant.resource_server_id.clone(),
            scope: grant.scope(),
            code_challenge: code_challenge.clone(),
            source: asked.source.to_canonical().to_string(),
            state: DeviceState::Pending,
            session_id: None,
            subject: None,
            auth_time: None,
            interval,
            polled_at: None,
            issued_at: now,
            expires_at: now + lifetime,
            grant_id: None,
        };
        for _ in 0..DRAWS {
            // both anew: also a commit whose answer was lost has taken them
            let device_code = Handle::DeviceCode.generate(&*self.inner.entropy)?;
            let user_code = UserCode::generate(&*self.inner.entropy)?;
            let (store, row) = (&self.inner.store, row(&device_code, &user_code));
            if self.inner.patience.hold(|| put(store, &row)).await? {
                let verification_uri = format!("{}{}", self.inner.issuer, path::DEVICE);
                let user_code = user_code.shown();
                return Ok(DeviceAuthorization {
                    verification_uri_complete: format!("{verification_uri}?user_code={user_code}"),
                    verification_uri,
                    device_code: device_code.expose().to_owned(),
                    user_code,
                    expires_in: lifetime.as_secs(),
                    interval,
                });
            }
        }
        Err(Error::Unavailable(None))
    }

    /// What is kept of a user code: few bits have to stay unknown to whoever reads the database.
    fn digest(&self, user_code: &UserCode) -> [u8; 32] {
        self.inner.user_codes.digest(&[user_code.bytes()])
    }
}

async fn put(store: &Store, row: &DeviceRow) -> Result<bool, store::Error> {
    let mut tx = store.write(&Actor::client(&row.client_id)).await?;
    let put = tx.put_device(row).await?;
    tx.commit().await?;
    Ok(put)
}
