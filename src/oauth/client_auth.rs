//! Client authentication (OAuth 2.1 §2.4): one path, of one length, for a wrong secret and an unknown client.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};

use super::AuthorizationServer;
use super::credentials::{Presented, Reading, Way};
use super::error::Error;
use crate::domain::client::AuthenticationMethod;
use crate::domain::credential::Credential;
use crate::domain::owner::Kind;
use crate::domain::policy::{ClientEntry, Policy, ResourceServerEntry};
use crate::domain::refusal::Refusal;
use crate::domain::secret::SecretHash;
use crate::store::{Once, Snapshot};

/// A failure takes so long, whatever was found on the way: time does not tell an unknown client from a wrong secret.
pub(super) const EVEN: Duration = Duration::from_millis(20);

/// Ids of resource servers; no client id begins like this.
const RESOURCE_SERVER: &str = "rs_";

/// Who sent a request.
#[derive(Debug, Clone)]
pub(super) enum Caller {
    Client(Arc<ClientEntry>),
    ResourceServer(Arc<ResourceServerEntry>),
}

impl Caller {
    pub fn id(&self) -> &str {
        self.name()
    }

    pub(super) fn name(&self) -> &String {
        match self {
            Self::Client(entry) => &entry.id,
            Self::ResourceServer(entry) => &entry.id,
        }
    }
}

/// Who it is, and by which of its credentials; `None` for a public client.
#[derive(Debug, Clone)]
pub(super) struct Authenticated {
    pub caller: Caller,
    pub credential: Option<String>,
    /// The assertion that is yet to be used up, if one authenticated.
    pub assertion: Option<Arc<Once>>,
}

impl Authenticated {
    /// Whether anything was proved: a public client only says who it is.
    pub const fn is_proved(&self) -> bool {
        self.credential.is_some() || self.assertion.is_some()
    }
}

/// Who may come to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// Clients, public ones too.
    Clients,
    /// Clients with a secret, and resource servers (RFC 7662 §2.1).
    Introspection,
}

impl AuthorizationServer {
    /// Who sent the request. A failure is checked against the database before it is believed, since `invalid_client`
    /// makes clients throw away what they have (mechanics §12).
    pub(super) async fn authenticate(
        &self,
        presented: &Presented,
        door: Door,
        source: IpAddr,
    ) -> Result<Authenticated, Error> {
        if presented.way == Way::Assertion {
            return Box::pin(self.authenticate_by_assertion(presented, source)).await;
        }
        let now = self.inner.clock.now();
        if let Ok(found) = examine(&self.inner.store.snapshot(), presented, door, now) {
            return Ok(found);
        }
        let even = Instant::now() + EVEN;
        self.inner.failures.count_source(source).map_err(|retry_after| Error::Limited { retry_after })?;
        for reading in &presented.readings {
            let kind = if is_resource_server(&reading.id) { Kind::ResourceServer } else { Kind::OAuthClient };
            self.inner.patience.hold(|| self.inner.store.reread(kind, &reading.id)).await?;
        }
        let found = self.recognise(presented, door);
        if found.is_err() {
            sleep_until(even).await;
        }
        found
    }

    /// Who sent the request, by what is in memory.
    pub(super) fn recognise(&self, presented: &Presented, door: Door) -> Result<Authenticated, Error> {
        let snapshot = self.inner.store.snapshot();
        examine(&snapshot, presented, door, self.inner.clock.now()).map_err(|reason| {
            let known = presented.readings.iter().find(|r| snapshot.client(&r.id).is_some());
            Error::Refused { reason, client_id: known.map(|r| r.id.clone()) }
        })
    }
}

fn is_resource_server(id: &str) -> bool {
    id.starts_with(RESOURCE_SERVER)
}

fn examine(snapshot: &Snapshot, presented: &Presented, door: Door, now: Timestamp) -> Result<Authenticated, Refusal> {
    if let (Some(assertion), [reading]) = (&presented.assertion, presented.readings.as_slice()) {
        let entry = snapshot.client(&reading.id).ok_or(Refusal::InvalidClient)?;
        let once = assertion.by(&entry.client).ok_or(Refusal::InvalidClient)?;
        let caller = Caller::Client(Arc::clone(entry));
        return Ok(Authenticated { caller, credential: None, assertion: Some(once) });
    }
    let mut answer = Err(Refusal::InvalidClient);
    for reading in &presented.readings {
        let seen = examine_one(snapshot, presented.way, reading, door, now);
        if answer.is_err() && (seen.is_ok() || seen == Err(Refusal::WrongMethod)) {
            answer = seen;
        }
    }
    answer.map(|(caller, credential)| Authenticated { caller, credential, assertion: None })
}

type Seen = Result<(Caller, Option<String>), Refusal>;

impl PartialEq for Caller {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

fn examine_one(snapshot: &Snapshot, way: Way, reading: &Reading, door: Door, now: Timestamp) -> Seen {
    if is_resource_server(&reading.id) && door == Door::Introspection {
        let entry = snapshot.resource_server(&reading.id);
        let matching = matching(entry.map_or(&[][..], |e| &e.credentials), reading.secret.as_ref(), now);
        return match (entry, matching) {
            (Some(entry), Some(id)) => Ok((Caller::ResourceServer(Arc::clone(entry)), Some(id))),
            _ => Err(Refusal::InvalidClient),
        };
    }
    let entry = snapshot.client(&reading.id);
    let matching = matching(entry.map_or(&[][..], |e| &e.credentials), reading.secret.as_ref(), now);
    let Some(entry) = entry else { return Err(Refusal::InvalidClient) };
    let method = entry.client.authentication_method;
    if method == AuthenticationMethod::None && way == Way::None && door == Door::Clients {
        return Ok((Caller::Client(Arc::clone(entry)), None));
    }
    let Some(credential) = matching else { return Err(Refusal::InvalidClient) };
    match (method, way) {
        (AuthenticationMethod::ClientSecretBasic, Way::Basic) | (AuthenticationMethod::ClientSecretPost, Way::Post) => {
            Ok((Caller::Client(Arc::clone(entry)), Some(credential)))
        }
        _ => Err(Refusal::WrongMethod),
    }
}

/// Compares with two hashes at least, so that an unknown client costs what a known one does.
const COMPARISONS: usize = 2;

fn matching(credentials: &[Credential], secret: Option<&SecretHash>, now: Timestamp) -> Option<String> {
    let nobody = SecretHash::from_bytes(&[0; 32]);
    let secret = secret.copied().or(nobody)?;
    let mut found = None;
    for credential in credentials {
        if credential.hash == secret && credential.is_live(now) {
            found = Some(credential);
        }
    }
    for _ in credentials.len()..COMPARISONS {
        std::hint::black_box(nobody.as_ref() == Some(&secret));
    }
    found.map(|credential| credential.id.clone())
}
