//! A request from its parameters to what may be decided about: who the client is, where the answer goes, what is asked.

use std::sync::Arc;

use jiff::Timestamp;

use super::respond::Destination;
use super::{Progress, Refused, Return, Visitor};
use crate::domain::actor::Actor;
use crate::domain::authorize::{self, Parameters, Request};
use crate::domain::client::{ClientState, GrantType, Origin};
use crate::domain::decide::{self, Ask};
use crate::domain::handle::Handle;
use crate::domain::policy::ClientEntry;
use crate::domain::redirect;
use crate::domain::refusal::Refusal;
use crate::domain::secret::{SecretHash, SecretText};

use crate::oauth::AuthorizationServer;
use crate::oauth::error::Error;
use crate::store::{AuthorizationRequest, RequestKind, Tx};

/// A request that is valid by the policy of this moment, whoever the user may be.
#[derive(Debug)]
pub(in crate::oauth) struct Checked {
    pub client: Arc<ClientEntry>,
    pub(super) destination: Destination,
    /// As the client sent it, which the token request has to repeat.
    pub sent_redirect_uri: Option<String>,
    pub request: Request,
}

/// A request of a browser, on its way.
pub(super) struct Flow {
    pub checked: Checked,
    pub parameters: Parameters,
    /// The key that the code is bound to (RFC 9449 §10).
    pub jkt: Option<String>,
    pub pushed: Option<SecretHash>,
    pub began: Timestamp,
    /// The handle of what waits for the user, once something does.
    pub transaction: Option<SecretText>,
    pub kept: Option<AuthorizationRequest>,
}

/// Why a request goes no further.
pub(in crate::oauth) enum Halt {
    /// The user is told.
    Here(Refused),
    /// The client is told.
    There(Return),
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Halt {
    pub(in crate::oauth) const fn here(reason: Refusal) -> Self {
        Self::Here(Refused { reason, client_id: None, back: None })
    }

    pub(super) fn settle(self) -> Result<Progress, Error> {
        match self {
            Self::Here(refused) => Ok(Progress::Refused(refused)),
            Self::There(answer) => Ok(Progress::Return(answer)),
            Self::Failed(error) => Err(error),
        }
    }
}

/// A fault in a request, and how far the request got before it.
pub(in crate::oauth) struct Fault {
    pub reason: Refusal,
    pub client: Option<Arc<ClientEntry>>,
    destination: Option<Destination>,
}

impl Fault {
    const fn nowhere(reason: Refusal) -> Self {
        Self { reason, client: None, destination: None }
    }
}

impl Flow {
    /// Tells the client, or the user in its place.
    pub fn refuse(&self, reason: Refusal, visitor: &Visitor<'_>) -> Halt {
        refuse(reason, &self.checked.client, &self.checked.destination, visitor)
    }
}

/// A client that somebody has vouched for is told at once. Any other could have been made up to lead people away from
/// a page that they trust: its user is told, and may follow the link once they have signed in (OAuth 2.1 §7.12.2).
fn refuse(reason: Refusal, client: &ClientEntry, destination: &Destination, visitor: &Visitor<'_>) -> Halt {
    let url = destination.error(reason);
    if Origin::of(&client.id) == Origin::Managed {
        let user_id = visitor.signed_in.map(|user| user.user_id.clone());
        return Halt::There(Return { url, client_id: client.id.clone(), user_id, outcome: Err(reason) });
    }
    let back = visitor.signed_in.map(|_| url);
    Halt::Here(Refused { reason, client_id: Some(client.id.clone()), back })
}

impl AuthorizationServer {
    /// Reads the parameters that a browser brings; those of a pushed request are in the place of all others.
    pub(super) async fn begin(&self, parameters: Parameters, visitor: &Visitor<'_>) -> Result<Flow, Halt> {
        let client_id = authorize::client_id(&parameters).map_err(Halt::here)?.to_owned();
        let request_uri = parameters.one("request_uri").map_err(Halt::here)?.map(str::to_owned);
        let has_object = parameters.one("request").map_err(Halt::here)?.is_some();
        let began = self.inner.clock.now();
        let (parameters, pushed) = match request_uri.filter(|_| !has_object) {
            None => (parameters, None),
            Some(uri) => {
                let pushed = self.pushed(&uri, &client_id, began).await?;
                (pushed.parameters.clone(), Some(pushed))
            }
        };
        let checked = match self.check(&parameters, visitor.source).await? {
            Ok(checked) => checked,
            Err(Fault { reason, client: Some(client), destination: Some(destination) }) => {
                return Err(refuse(reason, &client, &destination, visitor));
            }
            Err(Fault { reason, client, .. }) => {
                let client_id = client.map(|client| client.id.clone());
                return Err(Halt::Here(Refused { reason, client_id, back: None }));
            }
        };
        if pushed.is_none() && self.inner.pushed_requests.demands(&client_id) {
            return Err(refuse(Refusal::PushRequired, &checked.client, &checked.destination, visitor));
        }
        let proved = pushed.as_ref().and_then(|pushed| pushed.jkt.clone());
        let jkt = proved.or_else(|| checked.request.dpop_jkt.clone());
        let pushed = pushed.map(|pushed| pushed.hash);
        Ok(Flow { checked, parameters, jkt, pushed, began, transaction: None, kept: None })
    }

    /// The flow that waits under this handle, for the browser that began it and for no other.
    pub(super) async fn reload(&self, transaction: &str, visitor: &Visitor<'_>) -> Result<Flow, Halt> {
        let over = || Halt::here(Refusal::RequestOver);
        let handle = Handle::Transaction.read(transaction).ok_or_else(over)?;
        let kept = self.authorization_request(RequestKind::Browser, &handle).await?.ok_or_else(over)?;
        let now = self.inner.clock.now();
        if kept.binding != Some(visitor.binding) || kept.used_at.is_some() || kept.expires_at <= now {
            return Err(over());
        }
        let checked = match self.check(&kept.parameters, visitor.source).await? {
            Ok(checked) => checked,
            Err(Fault { reason, client: Some(client), destination: Some(destination) }) => {
                return Err(refuse(reason, &client, &destination, visitor));
            }
            Err(fault) => return Err(Halt::here(fault.reason)),
        };
        Ok(Flow {
            checked,
            parameters: kept.parameters.clone(),
            jkt: kept.jkt.clone(),
            pushed: kept.pushed,
            began: kept.created_at,
            transaction: Some(handle),
            kept: Some(kept),
        })
    }

    /// Everything that can be said of a request before it is known who the user is.
    pub(in crate::oauth) async fn check(
        &self,
        parameters: &Parameters,
        source: std::net::IpAddr,
    ) -> Result<Result<Checked, Fault>, Error> {
        let address = match authorize::address(parameters) {
            Ok(address) => address,
            Err(reason) => return Ok(Err(Fault::nowhere(reason))),
        };
        let Some(client) = self.browser_client(address.client_id, source).await? else {
            return Ok(Err(Fault::nowhere(Refusal::UnknownClient)));
        };
        let Ok(redirect_uri) = redirect::matches(&client.client.redirect_uris, address.redirect_uri) else {
            let reason = Refusal::InvalidRedirect;
            return Ok(Err(Fault { reason, client: Some(client), destination: None }));
        };
        let destination = Destination {
            redirect_uri: redirect_uri.to_owned(),
            state: parameters.state().map(str::to_owned),
            issuer: self.inner.issuer.clone(),
        };
        let sent_redirect_uri = address.redirect_uri.map(str::to_owned);
        let read = authorize::request(parameters).and_then(|request| {
            let ask = Ask { resources: &request.resources, scope: request.scope.as_deref(), bound: false };
            let policy = &*self.inner.store.snapshot();
            decide::user(&client, GrantType::AuthorizationCode, &ask, None, policy).map(|_| request)
        });
        Ok(match read {
            Ok(request) => Ok(Checked { client, destination, sent_redirect_uri, request }),
            Err(reason) => Err(Fault { reason, client: Some(client), destination: Some(destination) }),
        })
    }

    /// A client by its id; nobody can tell one that is suspended from one that never was.
    async fn browser_client(&self, id: &str, source: std::net::IpAddr) -> Result<Option<Arc<ClientEntry>>, Error> {
        match self.resolve_client(id, source).await {
            Ok(client) => Ok(Some(client).filter(|client| client.client.state == ClientState::Active)),
            Err(error) if error.refusal() == Some(Refusal::UnknownClient) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(in crate::oauth) async fn authorization_request(
        &self,
        kind: RequestKind,
        handle: &SecretText,
    ) -> Result<Option<AuthorizationRequest>, Error> {
        let (store, hash) = (&self.inner.store, handle.hash());
        let read = || async { store.read().await?.authorization_request(kind, &hash).await };
        self.inner.patience.hold(read).await
    }

    /// A transaction that writes, once the database answers.
    pub(in crate::oauth) async fn write(&self, actor: &Actor) -> Result<Tx, Error> {
        self.inner.patience.hold(|| self.inner.store.write(actor)).await
    }
}
