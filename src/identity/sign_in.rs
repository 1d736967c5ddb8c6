//! From an address and a password to a session; a session that is there is renewed under a new cookie.

use std::net::IpAddr;

use serde_json::json;

use super::account::Event;
use super::lockout::{Admitted, network};
use super::session::fingerprint;
use super::{Error, Identity};
use crate::domain::SecretText;
use crate::domain::actor::Actor;
use crate::domain::audit::AuditKind;
use crate::domain::clock::uuid_v7;
use crate::domain::handle::Handle;
use crate::domain::user::{MAX_PASSWORD, SessionEnd, SignedIn};
use crate::store::{EndSessions, LoginSession, Tx};

/// Somebody at the door.
#[derive(Debug)]
pub struct Knock<'a> {
    pub email: &'a str,
    pub password: &'a SecretText,
    pub source: IpAddr,
    /// What the browser calls itself.
    pub user_agent: &'a str,
    /// The cookie of the session that this browser has, if any: it opens nothing afterwards.
    pub cookie: Option<&'a SecretText>,
}

/// Somebody who is in.
#[derive(Debug)]
pub struct Entered {
    pub signed_in: SignedIn,
    /// The cookie that opens the session from now on.
    pub cookie: SecretText,
    /// The session was there already, and the same person has only shown the password again.
    pub renewed: bool,
}

impl Identity {
    /// Lets somebody in.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for every way in which address and password do not fit, [`Error::Locked`], [`Error::Busy`],
    /// or the database is away.
    pub async fn sign_in(&self, knock: &Knock<'_>) -> Result<Entered, Error> {
        let admitted = self.verify(knock.email, knock.password, knock.source).await?;
        let (Some(known), Some(hash)) = (&admitted.person, admitted.hash()) else { return Err(Error::Mismatch) };
        let by = Actor::user(&known.user_id);
        let mut tx = self.inner.store.write(&by).await?;
        // what was compared a moment ago must still hold now
        if !tx.hold_password(&known.user_id, hash).await? {
            return Err(Error::Mismatch);
        }
        self.pardon(&mut tx, &admitted).await?;
        let (entered, replaced) = self.enter(&mut tx, &known.user_id, knock).await?;
        let detail = json!({"method": "password", "session": entered.signed_in.session_id, "renewed": entered.renewed});
        let (kind, source) = (AuditKind::LoginSucceeded, Some(knock.source));
        let event = Event { kind, by: &by, user_id: &known.user_id, source, detail };
        event.write(&mut tx, self.inner.clock.now()).await?;
        tx.commit().await?;
        if let Some(reason) = replaced {
            self.session_ended(reason, 1);
        }
        if !entered.renewed
            && let Some(observer) = &self.inner.observer
        {
            observer.session_started();
        }
        Ok(entered)
    }

    /// Whether that is the password, with the attempt counted either way; a failure is [`Error::Mismatch`].
    pub(super) async fn verify(&self, email: &str, password: &SecretText, source: IpAddr) -> Result<Admitted, Error> {
        if self.inner.hasher.is_full() {
            return Err(Error::Busy);
        }
        let admitted = self.admit(email, source).await?;
        // a password that is longer than any can be is none, and costs what another one costs
        let (looked_at, none) = (password.expose().len() <= MAX_PASSWORD, SecretText::new(""));
        let shown = if looked_at { password } else { &none };
        match self.inner.hasher.verify(shown, admitted.hash()).await {
            Ok(true) if looked_at => Ok(admitted),
            Ok(_) => {
                let user_id = admitted.person.as_ref().map(|person| person.user_id.as_str());
                self.inner.tally.add(false, &network(source), user_id);
                Err(Error::Mismatch)
            }
            Err(error) => {
                self.withdraw(&admitted).await?;
                Err(error)
            }
        }
    }

    /// Also says why the session ended that this browser had, if it did.
    async fn enter(
        &self,
        tx: &mut Tx,
        user_id: &str,
        knock: &Knock<'_>,
    ) -> Result<(Entered, Option<SessionEnd>), Error> {
        let now = self.inner.clock.now();
        let cookie = Handle::LoginSession.generate(&*self.inner.entropy)?;
        let mut session = LoginSession {
            id: String::new(),
            user_id: user_id.to_owned(),
            fingerprint: fingerprint(self.inner.rules.fingerprint, knock.user_agent, knock.source),
            user_agent: super::session::plain(knock.user_agent),
            address: knock.source.to_canonical().to_string(),
            network: network(knock.source),
            created_at: now,
            authenticated_at: now,
            last_seen_at: now,
            expires_at: now + self.inner.rules.absolute,
            ended: None,
        };
        let (mut renewed, mut replaced) = (false, None);
        if let Some(old) = knock.cookie.map(SecretText::hash)
            && let Some(before) = tx.session_by_hash(&old).await?
            && before.ended.is_none()
        {
            if before.user_id == user_id && self.end_of(&before, now).is_none() {
                session.id.clone_from(&before.id);
                renewed = tx.renew_session(&session, (&old, &cookie.hash())).await?;
            } else {
                // this browser is another person's from now on
                let reason = self.end_of(&before, now).unwrap_or(SessionEnd::Logout);
                let ended = tx.end_sessions(EndSessions::One(&before.id), reason, now, self.counts()).await?;
                replaced = (!ended.is_empty()).then_some(reason);
            }
        }
        if !renewed {
            session.id = uuid_v7(now, &*self.inner.entropy)?.to_string();
            tx.insert_session(&session, &cookie.hash()).await?;
        }
        let signed_in = SignedIn { user_id: session.user_id, session_id: session.id, authenticated_at: now };
        Ok((Entered { signed_in, cookie, renewed }, replaced))
    }
}

impl Admitted {
    /// The hash to compare with; a disabled person has none.
    pub(super) fn hash(&self) -> Option<&str> {
        self.person.as_ref().filter(|person| !person.disabled)?.hash.as_deref()
    }
}
