//! Management of a registration by the client itself (RFC 7592), with its registration access token.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::{AuthorizationServer, Mode, Registered, RegistrationError, end, may_become};
use crate::domain::actor::Actor;
use crate::domain::audit::{AuditKind, Record};
use crate::domain::client::Client;
use crate::domain::handle::Handle;
use crate::domain::owner::Kind as Entity;
use crate::domain::policy::Policy;
use crate::domain::secret::SecretText;
use crate::domain::spec::Spec;
use crate::oauth::client_metadata::{Fault, Kind, Metadata, RedirectPolicy};
use crate::oauth::error::Error;
use crate::oauth::json as strict;
use crate::store::{self, Registration};

impl AuthorizationServer {
    /// What is registered (RFC 7592 §2.1).
    ///
    /// # Errors
    /// `Unauthorized` whether the token is wrong or the client is gone: neither is told apart (H-09).
    pub async fn registration(
        &self,
        id: &str,
        bearer: Option<&str>,
        source: IpAddr,
    ) -> Result<Registered, RegistrationError> {
        let (registration, token) = self.own_registration(id, bearer, source).await?;
        let body = self.told(&registration, parsed(&registration.metadata), &token, None);
        Ok(Registered { client_id: registration.client_id, body })
    }

    /// Replaces what is registered (RFC 7592 §2.2) and the token with it.
    ///
    /// # Errors
    /// As when registering; id, secret and whether there is a secret stay.
    pub async fn update_registration(
        &self,
        id: &str,
        bearer: Option<&str>,
        body: &[u8],
        source: IpAddr,
    ) -> Result<Registered, RegistrationError> {
        let (registration, _) = self.own_registration(id, bearer, source).await?;
        let mut object = strict::object(body).ok_or(RegistrationError::NotAnObject)?;
        let (named, secret) = (object.remove("client_id"), object.remove("client_secret"));
        if named.as_ref().and_then(Value::as_str) != Some(id) {
            return Err(Fault::Member { member: "client_id", why: "expected the one that is registered" }.into());
        }
        self.inner.patience.hold(|| self.inner.store.reread(Entity::OAuthClient, id)).await?;
        let Some(entry) = self.inner.store.snapshot().client(id).cloned() else {
            return Err(RegistrationError::Unauthorized { presented: true });
        };
        if let Some(secret) = secret {
            let hash = secret.as_str().map(|text| SecretText::new(text).hash());
            if !entry.credentials.iter().any(|known| Some(known.hash) == hash) {
                return Err(Fault::Member { member: "client_secret", why: "cannot be chosen" }.into());
            }
        }
        let mode = self.registration_mode().await?;
        let mut policy =
            RedirectPolicy { only_approved: mode != Mode::Open, ..self.inner.dynamic.registration.redirects.clone() };
        // what it was allowed once it may keep
        policy.approved.extend(entry.client.redirect_uris.iter().cloned());
        let metadata = Metadata::read(Kind::Registration, object, &policy)?;
        if !may_become(entry.client.authentication_method, metadata.method) {
            let why = "cannot become a method of another kind: register again";
            return Err(Fault::Member { member: "token_endpoint_auth_method", why }.into());
        }
        let token = Handle::RegistrationToken.generate(&*self.inner.entropy).map_err(Error::from)?;
        let changed = Registration { metadata: Value::Object(metadata.told()).to_string(), ..registration };
        let described = metadata.client();
        let written = self.inner.patience.hold(|| self.rewrite(&changed, &described, &token, source)).await?;
        if !written {
            return Err(RegistrationError::Unauthorized { presented: true });
        }
        self.inner.patience.hold(|| self.inner.store.reread(Entity::OAuthClient, id)).await?;
        let body = self.told(&changed, metadata.told(), &token, None);
        Ok(Registered { client_id: changed.client_id, body })
    }

    /// Ends the client and everything that was issued to it (RFC 7592 §2.3).
    ///
    /// # Errors
    /// As [`Self::registration`].
    pub async fn end_registration(
        &self,
        id: &str,
        bearer: Option<&str>,
        source: IpAddr,
    ) -> Result<(), RegistrationError> {
        self.own_registration(id, bearer, source).await?;
        let (store, now, who) = (&self.inner.store, self.inner.clock.now(), Actor::client(id));
        let record = || Record { client_id: Some(id), source: Some(source), ..Record::new(now, who.clone()) };
        self.inner.patience.hold(|| end(store, id, who.clone(), record())).await?;
        Ok(self.inner.patience.hold(|| store.reread(Entity::OAuthClient, id)).await?)
    }

    async fn own_registration(
        &self,
        id: &str,
        bearer: Option<&str>,
        source: IpAddr,
    ) -> Result<(Registration, SecretText), RegistrationError> {
        let refused = RegistrationError::Unauthorized { presented: bearer.is_some() };
        let token = bearer.and_then(|text| Handle::RegistrationToken.read(text));
        let found = match &token {
            Some(token) => {
                let (store, hash) = (&self.inner.store, token.hash());
                self.inner.patience.hold(|| lookup(store, hash)).await?
            }
            None => None,
        };
        match (found.filter(|registration| registration.client_id == id), token) {
            (Some(registration), Some(token)) => Ok((registration, token)),
            _ => {
                self.note_refusal(source, "registration_token");
                let limited = |retry_after| RegistrationError::Limited { retry_after };
                self.inner.failures.count_source(source).map_err(limited)?;
                Err(refused)
            }
        }
    }

    async fn rewrite(
        &self,
        registration: &Registration,
        described: &Client,
        token: &SecretText,
        source: IpAddr,
    ) -> Result<bool, store::Error> {
        let (now, id) = (self.inner.clock.now(), registration.client_id.as_str());
        let who = Actor::client(id);
        let mut tx = self.inner.store.write(&who).await?;
        tx.lock_entity(Entity::OAuthClient, id).await?;
        let Some(Spec::Client(current)) = tx.entity(Entity::OAuthClient, id).await?.map(|entity| entity.spec) else {
            return Ok(false);
        };
        tx.put(id, &Spec::Client(current.described_as(described)), None, now).await?;
        tx.put_registration(registration, &token.hash()).await?;
        let record = Record {
            client_id: Some(id),
            source: Some(source),
            detail: json!({"by": "itself"}),
            ..Record::new(now, who)
        };
        tx.audit(AuditKind::ClientUpdated, &record).await?;
        tx.commit().await?;
        Ok(true)
    }
}

async fn lookup(
    store: &store::Store,
    hash: crate::domain::secret::SecretHash,
) -> Result<Option<Registration>, store::Error> {
    store.read().await?.registration(&hash).await
}

fn parsed(metadata: &str) -> Map<String, Value> {
    serde_json::from_str(metadata).unwrap_or_default()
}
