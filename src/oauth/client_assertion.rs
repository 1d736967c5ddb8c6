//! Client authentication by a signed assertion (RFC 7523 §3, draft-ietf-oauth-rfc7523bis): `private_key_jwt`.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::AuthorizationServer;
use super::client_auth::{Authenticated, Caller, EVEN};
use super::credentials::{Assertion, Presented, Verified};
use super::error::Error;
use super::jws::{self, Algorithm, Claims, Expect, Invalid, KeySet};
use crate::domain::actor::Actor;
use crate::domain::client::AuthenticationMethod;
use crate::domain::clock::uuid_v7;
use crate::domain::owner::Kind;
use crate::domain::policy::{ClientEntry, Policy};
use crate::domain::refusal::Refusal;
use crate::store::{self, Once, OnceKind, Store, Tx};

/// No assertion may live longer (K-04).
const LONGEST: SignedDuration = SignedDuration::from_mins(5);
/// By how much clocks may differ.
const SKEW: SignedDuration = SignedDuration::from_secs(10);
/// The longest `jti`, in bytes.
const MAX_JTI: usize = 512;

/// What a good assertion must say (K-01, K-02, K-04); its `jti` and until when that must be remembered.
fn judge(claims: &Claims, client_id: &str, issuer: &str, now: Timestamp) -> Result<Once, Invalid> {
    let is_client = |claim: &Option<String>| claim.as_deref() == Some(client_id);
    if !is_client(&claims.iss) {
        return Err(Invalid::Claim("iss"));
    }
    if !is_client(&claims.sub) {
        return Err(Invalid::Claim("sub"));
    }
    // the issuer alone: an endpoint, or one more audience, and it could be meant for somebody else
    if claims.aud != [issuer] {
        return Err(Invalid::Claim("aud"));
    }
    claims.in_time(now, SKEW)?;
    let latest = now.saturating_add(LONGEST + SKEW).unwrap_or(Timestamp::MAX);
    let exp = claims.exp.filter(|exp| *exp <= latest).ok_or(Invalid::Claim("exp"))?;
    let jti = claims.jti.as_deref().filter(|jti| (1..=MAX_JTI).contains(&jti.len())).ok_or(Invalid::Claim("jti"))?;
    Ok(Once {
        kind: OnceKind::ClientAssertion,
        principal: client_id.to_owned(),
        id: jti.to_owned(),
        expires_at: exp.saturating_add(SKEW).unwrap_or(Timestamp::MAX),
        // of no request yet
        by: Uuid::nil(),
    })
}

fn verify(assertion: &str, keys: &KeySet, algorithm: Option<Algorithm>) -> Result<Claims, Invalid> {
    let algorithms: &[Algorithm] = algorithm.as_ref().map_or(&Algorithm::ALL, std::slice::from_ref);
    jws::verify(assertion, keys, &Expect { types: &["jwt", "client-authentication+jwt"], untyped: true, algorithms })
}

impl AuthorizationServer {
    /// Who signed the assertion. It is not used up yet: that is for the transaction that does what was asked (K-03).
    pub(super) async fn authenticate_by_assertion(
        &self,
        presented: &Presented,
        source: IpAddr,
    ) -> Result<Authenticated, Error> {
        let (Some(reading), Some(assertion)) = (presented.readings.first(), &presented.assertion) else {
            return Err(Refusal::InvalidClient.into());
        };
        if let Ok(found) = self.signed(&reading.id, assertion).await? {
            return Ok(found);
        }
        let even = Instant::now() + EVEN;
        self.inner.failures.count_source(source).map_err(|retry_after| Error::Limited { retry_after })?;
        self.inner.patience.hold(|| self.inner.store.reread(Kind::OAuthClient, &reading.id)).await?;
        match self.signed(&reading.id, assertion).await? {
            Ok(found) => Ok(found),
            Err(refused) => {
                sleep_until(even).await;
                Err(refused)
            }
        }
    }

    async fn signed(&self, id: &str, assertion: &Assertion) -> Result<Result<Authenticated, Error>, Error> {
        let entry = self.inner.store.snapshot().client(id).cloned();
        let Some(entry) = entry else { return Ok(Err(Refusal::InvalidClient.into())) };
        if entry.client.authentication_method != AuthenticationMethod::PrivateKeyJWT {
            return Ok(Err(Error::of(Refusal::WrongMethod, id)));
        }
        let verified = match self.verified_assertion(&entry, &assertion.text).await? {
            Ok(claims) => judge(&claims, id, &self.inner.issuer, self.inner.clock.now()),
            Err(invalid) => Err(invalid),
        };
        Ok(match verified {
            Ok(once) => {
                let by = uuid_v7(self.inner.clock.now(), &*self.inner.entropy)?;
                let once = Arc::new(Once { by, ..once });
                let (jwks, jwks_uri) = (entry.client.jwks.clone(), entry.client.jwks_uri.clone());
                // the second look at one request finds what the first found
                let _ = assertion.verified.set(Verified { once: Arc::clone(&once), jwks, jwks_uri });
                Ok(Authenticated { caller: Caller::Client(entry), credential: None, assertion: Some(once) })
            }
            Err(invalid) => {
                tracing::debug!(event = "assertion_refused", client_id = id, reason = %invalid);
                Err(Error::of(Refusal::InvalidClient, id))
            }
        })
    }

    async fn verified_assertion(&self, entry: &ClientEntry, assertion: &str) -> Result<Result<Claims, Invalid>, Error> {
        let known = self.client_keys(entry, false).await?;
        let first = verify(assertion, &known.keys, known.algorithm);
        // a key that nobody has seen yet: its owner may have begun to use a new one (K-07)
        if first == Err(Invalid::NoKey) && entry.client.jwks_uri.is_some() {
            let known = self.client_keys(entry, true).await?;
            return Ok(verify(assertion, &known.keys, known.algorithm));
        }
        Ok(first)
    }
}

impl AuthorizationServer {
    /// Uses an assertion up where nothing else is written.
    ///
    /// # Errors
    /// `InvalidClient` when it was used before.
    pub(super) async fn spend(&self, authenticated: &Authenticated) -> Result<(), Error> {
        if authenticated.assertion.is_none() {
            return Ok(());
        }
        let (store, now) = (&self.inner.store, self.inner.clock.now());
        let fresh = self.inner.patience.hold(|| spend(store, authenticated, now)).await?;
        if fresh { Ok(()) } else { Err(Error::of(Refusal::AssertionReused, authenticated.caller.id())) }
    }
}

async fn spend(store: &Store, authenticated: &Authenticated, now: Timestamp) -> Result<bool, store::Error> {
    let mut tx = store.write(&Actor::client(authenticated.caller.id())).await?;
    let fresh = authenticated.spend(&mut tx, now).await?;
    tx.commit().await?;
    Ok(fresh)
}

impl Authenticated {
    /// Uses the assertion up, in the transaction that does what was asked; false when somebody was faster. There is
    /// nothing to use up where a secret, or nothing, authenticates.
    pub async fn spend(&self, tx: &mut Tx, now: Timestamp) -> Result<bool, store::Error> {
        match &self.assertion {
            Some(once) => tx.use_once(once, now).await,
            None => Ok(true),
        }
    }
}
