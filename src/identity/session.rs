//! Login sessions while they last: who comes with a cookie, which devices a person has, and every way to end.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::account::Event;
use super::lockout::network;
use super::tally::Taken;
use super::{Error, Fingerprint, Identity};
use crate::domain::audit::AuditKind;
use crate::domain::handle::Handle;
use crate::domain::user::{Account, SessionEnd, SignedIn, is_invisible};
use crate::domain::{Actor, SecretHash, SecretText};
use crate::store::{EndSessions, LoginSession, Revoke, RevokeCause};

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
        Ok(Handle::BrowserBinding.generate(&*self.inner.entropy)?)
    }

    /// The text as such a value, when it has that form.
    pub fn read_binding(&self, text: &str) -> Option<SecretText> {
        Handle::BrowserBinding.read(text)
    }

    /// Whose cookie this is. A session that is past its time, comes from another browser, or belongs to somebody who may
    /// not sign in any more ends here.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn who(&self, cookie: Option<&str>, user_agent: &str, source: IpAddr) -> Result<Seen, Error> {
        let Some(cookie) = cookie.and_then(|text| Handle::LoginSession.read(text)) else { return Ok(Seen::Nobody) };
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
            self.end_late(&session, reason).await?;
            return Ok(Seen::Over);
        }
        if now.duration_since(session.last_seen_at) >= TOUCH {
            let mut tx = self.inner.store.write(&Actor::server()).await?;
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

    /// Ends a session that should have ended before. What it began goes on: nobody has asked for its end.
    async fn end_late(&self, session: &LoginSession, reason: SessionEnd) -> Result<(), Error> {
        let now = self.inner.clock.now();
        let mut tx = self.inner.store.write(&Actor::server()).await?;
        if tx.end_sessions(EndSessions::One(&session.id), reason, now, self.counts()).await?.is_empty() {
            return Ok(());
        }
        over(reason, &Actor::server(), &session.user_id, &session.id).write(&mut tx, now).await?;
        tx.commit().await?;
        self.session_ended(reason, 1);
        Ok(())
    }

    /// Signs a browser out, and ends what its session began (IV-3).
    ///
    /// # Errors
    /// When the database is away.
    pub async fn sign_out(&self, signed_in: &SignedIn) -> Result<(), Error> {
        let by = Actor::user(&signed_in.user_id);
        self.end_session(Some(&signed_in.user_id), &signed_in.session_id, SessionEnd::Logout, &by).await.map(drop)
    }

    /// Ends a session, of this person if one is named, and what it began. Whose it was; `None` when there was none that
    /// lived.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn end_session(
        &self,
        of: Option<&str>,
        session_id: &str,
        reason: SessionEnd,
        by: &Actor,
    ) -> Result<Option<String>, Error> {
        let now = self.inner.clock.now();
        let mut tx = self.inner.store.write(by).await?;
        let session = tx.session(session_id).await?;
        let Some(session) = session.filter(|session| of.is_none_or(|user| user == session.user_id)) else {
            return Ok(None);
        };
        if tx.end_sessions(EndSessions::One(session_id), reason, now, self.counts()).await?.is_empty() {
            return Ok(None);
        }
        tx.revoke(Revoke::Session(session_id), RevokeCause::SessionEnded, now).await?;
        over(reason, by, &session.user_id, session_id).write(&mut tx, now).await?;
        tx.commit().await?;
        self.session_ended(reason, 1);
        Ok(Some(session.user_id))
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

    /// Ends what is past its time, counts what was ended by commands beside the server, forgets failures of windows
    /// that are over, and writes the sums of refused logins into the audit. Any replica may, at any time: each end is
    /// counted by one.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn sweep(&self) -> Result<Sweep, Error> {
        let taken = self.inner.tally.take();
        let swept = self.swept(&taken).await;
        match &swept {
            Ok(swept) => swept.iter().for_each(|(reason, sessions)| self.session_ended(*reason, *sessions)),
            Err(_) => self.inner.tally.put_back(taken),
        }
        swept
    }

    async fn swept(&self, refused: &Taken) -> Result<Sweep, Error> {
        let (now, rules) = (self.inner.clock.now(), &self.inner.rules);
        let (idle_since, window) = (now - rules.idle, now - rules.failure_window);
        let mut swept = Sweep::new();
        let due = self.inner.store.read().await?.is_sweep_due(now, idle_since, window).await?;
        if !due && refused.is_empty() {
            return Ok(swept);
        }
        let mut tx = self.inner.store.write(&Actor::server()).await?;
        for (reason, ended) in tx.end_expired_sessions(now, idle_since).await? {
            for (session_id, user_id) in &ended {
                over(reason, &Actor::server(), user_id, session_id).write(&mut tx, now).await?;
            }
            swept.push((reason, ended.len() as u64));
        }
        swept.extend(tx.take_uncounted_ends().await?.into_iter().map(|reason| (reason, 1)));
        swept.retain(|(_, sessions)| *sessions > 0);
        tx.forget_failures_before(window).await?;
        refused.write(&mut tx, now).await?;
        tx.commit().await?;
        Ok(swept)
    }
}

fn over<'a>(reason: SessionEnd, by: &'a Actor, user_id: &'a str, session_id: &str) -> Event<'a> {
    let kind = if reason == SessionEnd::Logout { AuditKind::Logout } else { AuditKind::SessionEnded };
    Event { kind, by, user_id, source: None, detail: json!({"reason": reason.as_str(), "session": session_id}) }
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

    /// Y-06
    #[test]
    fn what_a_browser_says_of_itself_is_shown_plainly() {
        assert_eq!(plain("a\u{1b}[31m\r\nb\u{202e}c"), "a[31mbc");
        assert_eq!(plain(&"x".repeat(1000)).len(), LONGEST_AGENT);
    }
}
