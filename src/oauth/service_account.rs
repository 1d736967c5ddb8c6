//! Kubernetes ServiceAccount tokens: reviewed by the cluster that issued them, for this server's own audience alone, and
//! remembered for a minute at most.
//!
//! Only a token that says of itself that it is for us, not over, and of an account that some resource server lists is
//! asked about: what strangers make up costs the cluster nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};

use super::AuthorizationServer;
use super::client_auth::EVEN;
use super::error::Error;
use super::json;
use crate::domain::decide;
use crate::domain::refusal::Refusal;
use crate::domain::reviewer::{ReviewError, Reviewer, ServiceAccount};
use crate::domain::secret::SecretText;
use crate::limit::Limiter;

/// What was found is good for so long, and never beyond the token's own end.
const REMEMBERED: SignedDuration = SignedDuration::from_secs(60);
/// So many are remembered.
const MOST: usize = 10_000;
/// Reviews at the same time, and in a minute for one source.
const AT_ONCE: usize = 16;
const PER_SOURCE: u32 = 1200;
/// An API server has to answer within this.
const PROMPT: Duration = Duration::from_secs(10);
/// Longer tokens are nobody's.
const LONGEST: usize = 16 * 1024;

pub(super) struct ServiceAccounts {
    /// `None` where no cluster is.
    reviewer: Option<Arc<dyn Reviewer>>,
    audience: String,
    /// By the SHA-256 of the token.
    known: Mutex<HashMap<[u8; 32], Known>>,
    at_once: Semaphore,
    asked: Limiter<IpAddr>,
}

struct Known {
    account: Option<ServiceAccount>,
    until: Timestamp,
}

/// What a token says of itself, which nobody has verified.
struct Claims {
    account: ServiceAccount,
    expires: Timestamp,
}

impl ServiceAccounts {
    pub fn new(reviewer: Option<Arc<dyn Reviewer>>, issuer: &str) -> Self {
        Self {
            reviewer,
            audience: format!("{issuer}/v1"),
            known: Mutex::default(),
            at_once: Semaphore::new(AT_ONCE),
            asked: Limiter::per_minute(PER_SOURCE),
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was found out lately; the inner `None` is a token that is no good.
    fn remembered(&self, key: &[u8; 32], now: Timestamp) -> Option<Option<ServiceAccount>> {
        self.known().get(key).filter(|known| now < known.until).map(|known| known.account.clone())
    }

    fn remember(&self, key: [u8; 32], known: Known, now: Timestamp) {
        let mut all = self.known();
        if all.len() >= MOST {
            all.retain(|_, known| now < known.until);
        }
        if all.len() < MOST {
            all.insert(key, known);
        }
    }

    fn claims(&self, token: &str, now: Timestamp) -> Option<Claims> {
        let payload = token.split('.').nth(1).filter(|_| token.len() <= LONGEST)?;
        let claims = json::object(&URL_SAFE_NO_PAD.decode(payload).ok()?)?;
        let is_ours = |audience: &Value| audience == self.audience.as_str();
        let ours = match claims.get("aud")? {
            Value::Array(audiences) => audiences.iter().any(is_ours),
            one => is_ours(one),
        };
        let expires = Timestamp::from_second(claims.get("exp")?.as_i64()?).ok()?;
        let account = ServiceAccount::parse(claims.get("sub")?.as_str()?)?;
        (ours && now < expires).then_some(Claims { account, expires })
    }

    async fn ask(&self, reviewer: &dyn Reviewer, token: &SecretText) -> Result<Option<ServiceAccount>, Error> {
        let _permit = self.at_once.acquire().await.ok();
        let late = |_| ReviewError("the API server did not answer in time".into());
        Ok(timeout(PROMPT, reviewer.review(token, &self.audience)).await.map_err(late)??)
    }
}

impl AuthorizationServer {
    /// Whose a token is, and when it ends.
    ///
    /// # Errors
    /// A token that is not good here, too many of them, or an API server that does not answer.
    pub(super) async fn review(
        &self,
        token: &SecretText,
        source: IpAddr,
    ) -> Result<(ServiceAccount, Timestamp), Error> {
        let (accounts, now) = (&self.inner.service_accounts, self.inner.clock.now());
        let reviewer = accounts.reviewer.as_deref().ok_or(Refusal::NoTokenReview)?;
        let even = Instant::now() + EVEN;
        let snapshot = self.inner.store.snapshot();
        let is_listed =
            |account: &ServiceAccount| snapshot.resource_servers().any(|entry| decide::account_acts_as(account, entry));
        let claims = accounts.claims(token.expose(), now).filter(|claims| is_listed(&claims.account));
        let found = match &claims {
            None => None,
            Some(claims) => {
                let key = *token.hash().as_bytes();
                match accounts.remembered(&key, now) {
                    Some(known) => known,
                    None => {
                        let throttled = |retry_after| Error::Throttled { retry_after };
                        accounts.asked.count_source(source).map_err(throttled)?;
                        let account = accounts.ask(reviewer, token).await?.filter(|found| *found == claims.account);
                        let until = (now + REMEMBERED).min(claims.expires);
                        accounts.remember(key, Known { account: account.clone(), until }, now);
                        account
                    }
                }
            }
        };
        match found.zip(claims) {
            Some((account, claims)) => Ok((account, claims.expires)),
            None => {
                let limited = |retry_after| Error::Limited { retry_after };
                self.inner.failures.count_source(source).map_err(limited)?;
                sleep_until(even).await;
                Err(Refusal::InvalidClient.into())
            }
        }
    }
}
