//! Login sessions while they last: who comes with a cookie, which devices a person has, and every way to end.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::lockout::network;
use super::{Error, Fingerprint, Identity};
use crate::domain::clock::EntropyUnavailable;
use crate::domain::user::{Account, SessionEnd, SignedIn, is_invisible};
use crate::domain::{Entropy, SecretHash, SecretText};
use crate::store::{EndSessions, LoginSession};

/// Tells a session cookie from every other random text.
const SESSION: &str = "hfls_";
/// And a cookie that ties forms and transactions to a browser.
const BINDING: &str = "hfbb_";
/// 32 bytes in base64url.
const RANDOM: usize = 43;
/// That a session is in use is written no more often than this.
const TOUCH: SignedDuration = SignedDuration::from_secs(60);
/// Longer names of browsers are cut.
const LONGEST_AGENT: usize = 256;
/// As many devices as anybody looks at.
const MOST_DEVICES: u32 = 200;

/// What a cookie turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// No cookie, or one that opens nothing.
    Nobody,
    /// It did open a session, which is over.
    Over,
    Someone(SignedIn, Box<Account>),
}

/// A browser that somebody has signed in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub session_id: String,
    pub user_id: String,
    pub user_agent: String,
    /// Where the last login came from.
    pub address: String,
    pub created_at: Timestamp,
    pub authenticated_at: Timestamp,
    /// To the minute.
    pub last_seen_at: Timestamp,
}

impl From<LoginSession> for Device {
    fn from(session: LoginSession) -> Self {
        Self {
            session_id: session.id,
            user_id: session.user_id,
            user_agent: session.user_agent,
            address: session.address,
            created_at: session.created_at,
            authenticated_at: session.authenticated_at,
            last_seen_at: session.last_seen_at,
        }
    }
}

/// What a look at all sessions has ended.
pub type Sweep = Vec<(SessionEnd, u64)>;

impl Identity {
    /// A value for the cookie that ties forms and transactions to a browser, signed in or not.
    ///
    /// # Errors
    /// When the random source fails.
    pub fn new_binding(&self) -> Result<SecretText, Error> {
        Ok(new(BINDING, &*self.inner.entropy)?)
    }

    /// The text as such a value, when it has that form.
    pub fn read_binding(&self, text: &str) -> Option<SecretText> {
        read(BINDING, text)
    }

    /// Whose cookie this is. A session that is past its time, comes from another browser, or belongs to somebody who may
    /// not sign in any more ends here.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn who(&self, cookie: Option<&str>, user_agent: &str, source: IpAddr) -> Result<Seen, Error> {
        let Some(cookie) = cookie.and_then(|text| read(SESSION, text)) else { return Ok(Seen::Nobody) };
        let now = self.inner.clock.now();
        let mut tx = self.inner.store.read().await?;
        let Some(session) = tx.session_by_hash(&cookie.hash()).await? else { return Ok(Seen::Nobody) };
        let account = tx.account(&session.user_id).await?;
        drop(tx);
        if session.ended.is_some() {
            return Ok(Seen::Over);
        }
        let fingerprint = fingerprint(self.inner.rules.fingerprint, user_agent, source);
        let over = match &account {
            None => Some(SessionEnd::AccountInactive),
            Some(account) if account.disabled_at.is_some() => Some(SessionEnd::AccountInactive),
            Some(_) if self.inner.rules.fingerprint != Fingerprint::None && fingerprint != session.fingerprint => {
                Some(SessionEnd::FingerprintMismatch)
            }
            Some(_) => self.end_of(&session, now),
        };
        if let Some(reason) = over {
            self.end(EndSessions::One(&session.id), reason).await?;
            return Ok(Seen::Over);
        }
        if now.duration_since(session.last_seen_at) >= TOUCH {
            let mut tx = self.inner.store.write(&super::account::actor()).await?;
            tx.touch_session(&session.id, now).await?;
            tx.commit().await?;
        }
        let authenticated_at = session.authenticated_at;
        let signed_in = SignedIn { user_id: session.user_id, session_id: session.id, authenticated_at };
        Ok(account.map_or(Seen::Nobody, |account| Seen::Someone(signed_in, Box::new(account))))
    }

    /// Why a session that has not ended should have.
    pub(super) fn end_of(&self, session: &LoginSession, now: Timestamp) -> Option<SessionEnd> {
        if session.expires_at <= now {
            Some(SessionEnd::AbsoluteTimeout)
        } else if session.last_seen_at + self.inner.rules.idle <= now {
            Some(SessionEnd::IdleTimeout)
        } else {
            None
        }
    }

    /// Ends sessions without ending what they began; says how many.
    pub(super) async fn end(&self, which: EndSessions<'_>, reason: SessionEnd) -> Result<u64, Error> {
        let mut tx = self.inner.store.write(&super::account::actor()).await?;
        let ended = tx.end_sessions(which, reason, self.inner.clock.now(), self.counts()).await?.len() as u64;
        tx.commit().await?;
        self.session_ended(reason, ended);
        Ok(ended)
    }

    /// Signs a browser out, and ends what its session began.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn sign_out(&self, signed_in: &SignedIn) -> Result<(), Error> {
        self.end_session(&signed_in.user_id, &signed_in.session_id, SessionEnd::Logout).await.map(drop)
    }

    /// Ends a session of a person, and what it began; false when there was none that lived.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn end_session(&self, user_id: &str, session_id: &str, reason: SessionEnd) -> Result<bool, Error> {
        let now = self.inner.clock.now();
        let mut tx = self.inner.store.write(&super::account::actor()).await?;
        let theirs = tx.session(session_id).await?.is_some_and(|session| session.user_id == user_id);
        if !theirs || tx.end_sessions(EndSessions::One(session_id), reason, now, self.counts()).await?.is_empty() {
            return Ok(false);
        }
        tx.commit().await?;
        self.session_ended(reason, 1);
        Ok(true)
    }

    /// The devices of one person, or all; the latest used first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn devices(&self, user_id: Option<&str>) -> Result<Vec<Device>, Error> {
        let now = self.inner.clock.now();
        let sessions = self.inner.store.read().await?.live_sessions(user_id, MOST_DEVICES).await?;
        let live = sessions.into_iter().filter(|session| self.end_of(session, now).is_none());
        Ok(live.map(Device::from).collect())
    }

    /// Ends what is past its time, and counts what was ended by commands beside the server. Any replica may, at any
    /// time: each end is counted by one.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn sweep(&self) -> Result<Sweep, Error> {
        let now = self.inner.clock.now();
        let mut tx = self.inner.store.write(&super::account::actor()).await?;
        let mut swept: Sweep = tx.end_expired_sessions(now, now - self.inner.rules.idle).await?.to_vec();
        swept.extend(tx.take_uncounted_ends().await?.into_iter().map(|reason| (reason, 1)));
        tx.commit().await?;
        swept.retain(|(_, sessions)| *sessions > 0);
        for (reason, sessions) in &swept {
            self.session_ended(*reason, *sessions);
        }
        Ok(swept)
    }
}

/// A new cookie.
pub(super) fn new_cookie(entropy: &dyn Entropy) -> Result<SecretText, EntropyUnavailable> {
    new(SESSION, entropy)
}

fn new(prefix: &str, entropy: &dyn Entropy) -> Result<SecretText, EntropyUnavailable> {
    Ok(SecretText::new([prefix, SecretText::generate(entropy)?.expose()].concat()))
}

/// The text as a cookie of that kind, when it has that form.
fn read(prefix: &str, text: &str) -> Option<SecretText> {
    text.strip_prefix(prefix).filter(|random| random.len() == RANDOM).map(|_| SecretText::new(text))
}

/// What must stay the same. Browsers change their version numbers under a living session, so numbers do not count.
pub(super) fn fingerprint(rule: Fingerprint, user_agent: &str, source: IpAddr) -> SecretHash {
    let mut hash = Sha256::new();
    if rule != Fingerprint::None {
        hash.update(user_agent.chars().filter(|c| !c.is_numeric()).collect::<String>());
    }
    if rule == Fingerprint::BrowserAndNetwork {
        hash.update([0]);
        hash.update(network(source));
    }
    SecretHash::from_digest(hash.finalize().into())
}

/// What a browser calls itself, as it may be shown: no control characters, nothing that turns text around, not long.
pub(super) fn plain(user_agent: &str) -> String {
    user_agent.chars().filter(|c| !c.is_control() && !is_invisible(*c)).take(LONGEST_AGENT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_of_the_browser_is_the_same_browser() {
        let here: IpAddr = "192.0.2.1".parse().unwrap();
        let of = |agent, from: &str| fingerprint(Fingerprint::Browser, agent, from.parse().unwrap());
        assert_eq!(of("Chrome/130.0.0.0", "192.0.2.1"), of("Chrome/131.0.0.0", "198.51.100.1"));
        assert_ne!(of("Chrome/130.0.0.0", "192.0.2.1"), of("Firefox/130.0", "192.0.2.1"));
        let both = |from: &str| fingerprint(Fingerprint::BrowserAndNetwork, "a", from.parse().unwrap());
        assert_eq!(both("192.0.2.1"), both("192.0.2.99"));
        assert_ne!(both("192.0.2.1"), both("198.51.100.1"));
        assert_eq!(fingerprint(Fingerprint::None, "a", here), fingerprint(Fingerprint::None, "b", here));
    }

    ///
    #[test]
    fn only_a_session_cookie_reads_as_one() {
        let cookie = new_cookie(&crate::app::system::SystemEntropy).unwrap();
        assert!(read(SESSION, cookie.expose()).is_some());
        for other in ["", "hfat_", BINDING] {
            assert!(read(SESSION, &format!("{other}{}", "a".repeat(RANDOM))).is_none());
        }
        assert!(read(SESSION, &format!("{}x", cookie.expose())).is_none());
    }

    /// Y-06
    #[test]
    fn what_a_browser_says_of_itself_is_shown_plainly() {
        assert_eq!(plain("a\u{1b}[31m\r\nb\u{202e}c"), "a[31mbc");
        assert_eq!(plain(&"x".repeat(1000)).len(), LONGEST_AGENT);
    }
}
