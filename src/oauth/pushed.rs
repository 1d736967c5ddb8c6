//! Pushed authorization requests (RFC 9126): a client says what it wants before there is a browser.
//!
//! A request object (RFC 9101) is refused, here and at the authorization endpoint: pushing gives the same integrity,
//! and the metadata says so.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::AuthorizationServer;
use super::authorize::Halt;
use super::client_auth::{Caller, Door};
use super::denials::PUSHED_REQUEST;
use super::dpop::Sender;
use super::error::Error;
use super::form::Form;
use super::limit::ClientEndpoint;
use super::request::Asked;
use crate::domain::actor::Actor;
use crate::domain::authorize::Parameters;
use crate::domain::client::ClientState;
use crate::domain::handle::Handle;
use crate::domain::proof::ProofFault;
use crate::domain::refusal::Refusal;
use crate::store::{self, AuthorizationRequest, RequestKind, Store};

/// Who has to push, and how long a pushed request lives.
#[derive(Debug, Clone)]
pub struct PushedRules {
    /// Everybody has to.
    pub required: bool,
    /// These clients have to.
    pub required_of: BTreeSet<String>,
    /// At most 90 s.
    pub lifetime: SignedDuration,
}

impl Default for PushedRules {
    fn default() -> Self {
        Self { required: false, required_of: BTreeSet::new(), lifetime: SignedDuration::from_secs(60) }
    }
}

impl PushedRules {
    pub(super) fn demands(&self, client_id: &str) -> bool {
        self.required || self.required_of.contains(client_id)
    }
}

/// `POST /oauth/par`.
pub struct PushRequest(Parameters);

/// What proves the sender is no part of the request, and is never kept.
const CREDENTIALS: &[&str] = &["client_secret", "client_assertion", "client_assertion_type"];

impl PushRequest {
    pub fn read(form: &Form) -> Self {
        let kept = form.iter().filter(|(name, _)| !CREDENTIALS.contains(name));
        Self(Parameters::new(kept.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
    }
}

/// RFC 9126 §2.2.
#[derive(Serialize)]
pub struct PushResponse {
    pub request_uri: String,
    /// In seconds.
    pub expires_in: i64,
}

impl AuthorizationServer {
    /// Keeps a request that its client pushes.
    ///
    /// # Errors
    /// Everything that would be refused at the authorization endpoint, and a client that does not authenticate.
    pub async fn push(&self, asked: &Asked<PushRequest>) -> Result<PushResponse, Error> {
        let answer = self.kept(asked).await;
        if let Err(error) = &answer {
            Box::pin(self.note_client_denial(PUSHED_REQUEST, error, asked)).await;
        }
        answer
    }

    async fn kept(&self, asked: &Asked<PushRequest>) -> Result<PushResponse, Error> {
        let presented = asked.credentials.as_ref().map_err(|reason| *reason)?;
        if let Some(id) = presented.document() {
            self.resolve_client(id, asked.source).await?;
        }
        let authenticated = self.authenticate(presented, Door::Clients, asked.source).await?;
        self.count(ClientEndpoint::Par, &authenticated, asked.source)?;
        let Caller::Client(client) = &authenticated.caller else { return Err(Refusal::InvalidClient.into()) };
        let refuse = |reason| Error::of(reason, &client.id);
        if client.client.state == ClientState::Suspended {
            return Err(refuse(Refusal::Suspended));
        }
        let mut parameters = asked.request.0.clone();
        if parameters.one("request_uri").map_err(refuse)?.is_some() {
            return Err(refuse(Refusal::Malformed("request_uri cannot be pushed")));
        }
        // Basic authentication names the client as well as the parameter does
        parameters.name_client(&client.id);
        let checked = self.check(&parameters, asked.source).await?.map_err(|fault| refuse(fault.reason))?;
        let proved = self.prove(asked.proof.as_ref())?;
        let jkt = match (checked.request.dpop_jkt, &proved) {
            (Some(said), Some(proved)) if said != proved.jkt => {
                return Err(refuse(Refusal::Malformed("dpop_jkt is not the key of the DPoP proof")));
            }
            // the key that pushed the request is the one that redeems its code (RFC 9449 §10.1)
            (said, proved) => proved.as_ref().map(|proved| proved.jkt.clone()).or(said),
        };
        let handle = Handle::PushedRequest.generate(&*self.inner.entropy)?;
        let now = self.inner.clock.now();
        let lifetime = self.inner.pushed_requests.lifetime;
        let row = AuthorizationRequest {
            hash: handle.hash(),
            kind: RequestKind::Pushed,
            client_id: client.id.clone(),
            parameters,
            jkt,
            binding: None,
            pushed: None,
            session_id: None,
            created_at: now,
            expires_at: now + lifetime,
            used_at: None,
        };
        let sender = Sender { client, authenticated: &authenticated, proved: proved.as_ref() };
        let kept = self.inner.patience.hold(|| keep(&self.inner.store, sender, &row)).await?;
        if kept == Err(Refusal::InvalidProof(ProofFault::Replayed)) {
            Box::pin(self.record_replay(Some(&client.id), asked.source)).await;
        }
        kept.map_err(refuse)?;
        Ok(PushResponse { request_uri: handle.expose().to_owned(), expires_in: lifetime.as_secs() })
    }

    /// The request that this client pushed under this URI, until it is completed or expires (N-05, N-06).
    pub(super) async fn pushed(
        &self,
        request_uri: &str,
        client_id: &str,
        now: Timestamp,
    ) -> Result<AuthorizationRequest, Halt> {
        let foreign = || Halt::here(Refusal::RequestUriNotSupported);
        let handle = Handle::PushedRequest.read(request_uri).ok_or_else(foreign)?;
        let found = self.authorization_request(RequestKind::Pushed, &handle).await?;
        let live =
            |row: &AuthorizationRequest| row.client_id == client_id && row.used_at.is_none() && now < row.expires_at;
        found.filter(live).ok_or_else(|| Halt::here(Refusal::InvalidRequestUri))
    }
}

/// Keeps a request, and uses up with it what can be used once.
async fn keep(
    store: &Store,
    sender: Sender<'_>,
    row: &AuthorizationRequest,
) -> Result<Result<(), Refusal>, store::Error> {
    let mut tx = store.write(&Actor::client(&row.client_id)).await?;
    if let Err(reason) = sender.use_up(&mut tx, row.created_at).await? {
        return Ok(Err(reason));
    }
    tx.put_authorization_request(row).await?;
    tx.commit().await?;
    Ok(Ok(()))
}
