//! Accounts: made, read and changed by administrators, and the password by its owner too.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::session::plain;
use super::{Error, Identity};
use crate::domain::audit::{AuditKind, Record};
use crate::domain::handle::Handle;
use crate::domain::user::{Account, AccountRole, Email, SessionEnd, SignedIn, check_password, new_user_id};
use crate::domain::{Actor, SecretText};
use crate::store::{EndSessions, Revoke, RevokeCause, Tx};

/// Somebody who is to have an account.
#[derive(Debug)]
pub struct NewAccount {
    pub email: Email,
    pub name: String,
    pub role: AccountRole,
    pub password: SecretText,
}

/// What changes of an account; what is `None` stays.
#[derive(Debug, Default)]
pub struct Update {
    pub email: Option<Email>,
    pub name: Option<String>,
    pub role: Option<AccountRole>,
}

/// Somebody who changes the own password.
#[derive(Debug)]
pub struct Change<'a> {
    pub signed_in: &'a SignedIn,
    pub old: &'a SecretText,
    pub new: &'a SecretText,
    /// The cookie of this browser, which another one replaces.
    pub cookie: &'a SecretText,
    /// Whether every application is disconnected too.
    pub disconnect: bool,
    pub source: IpAddr,
    pub user_agent: &'a str,
}

/// What happened to an account, and by whom.
pub(super) struct Event<'a> {
    pub kind: AuditKind,
    pub by: &'a Actor,
    pub user_id: &'a str,
    pub source: Option<IpAddr>,
    pub detail: Value,
}

impl Event<'_> {
    pub async fn write(self, tx: &mut Tx, at: Timestamp) -> Result<(), Error> {
        let Self { kind, by, user_id, source, detail } = self;
        let record = Record { user_id: Some(user_id), source, detail, ..Record::new(at, by.clone()) };
        Ok(tx.audit(kind, &record).await?)
    }
}

fn by_admin<'a>(kind: AuditKind, by: &'a Actor, user_id: &'a str, detail: Value) -> Event<'a> {
    Event { kind, by, user_id, source: None, detail }
}

impl Identity {
    /// # Errors
    /// A weak password, an address that is taken, or the database is away.
    pub async fn create(&self, new: NewAccount, actor: &Actor) -> Result<Account, Error> {
        self.check(&new.password, &new.email, &new.name)?;
        let hash = self.inner.hasher.hash(&new.password).await?;
        let now = self.inner.clock.now();
        let account = Account {
            id: new_user_id(&*self.inner.clock, &*self.inner.entropy)?,
            email: new.email,
            name: new.name,
            role: new.role,
            created_at: now,
            disabled_at: None,
            password_set_at: Some(now),
        };
        let mut tx = self.inner.store.write(actor).await?;
        tx.insert_account(&account, Some(&hash)).await?;
        let detail = json!({"role": account.role.as_str()});
        by_admin(AuditKind::UserCreated, actor, &account.id, detail).write(&mut tx, now).await?;
        tx.commit().await?;
        Ok(account)
    }

    /// # Errors
    /// When the database is away.
    pub async fn account(&self, user_id: &str) -> Result<Option<Account>, Error> {
        Ok(self.inner.store.read().await?.account(user_id).await?)
    }

    /// # Errors
    /// When the database is away.
    pub async fn account_by_email(&self, email: &Email) -> Result<Option<Account>, Error> {
        Ok(self.inner.store.read().await?.account_by_email(email).await?)
    }

    /// Accounts in the order in which they were made, from behind the one with the id `after`.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn accounts(&self, after: &str, limit: u32) -> Result<Vec<Account>, Error> {
        Ok(self.inner.store.read().await?.accounts(after, limit).await?)
    }

    /// # Errors
    /// No such account, an address that is taken, or the database is away.
    pub async fn update(&self, user_id: &str, update: Update, actor: &Actor) -> Result<Account, Error> {
        let mut tx = self.inner.store.write(actor).await?;
        let mut account = tx.account(user_id).await?.ok_or(Error::UnknownAccount)?;
        let fields =
            [("email", update.email.is_some()), ("name", update.name.is_some()), ("role", update.role.is_some())];
        let fields: Vec<&str> = fields.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
        account.email = update.email.unwrap_or(account.email);
        account.name = update.name.unwrap_or(account.name);
        account.role = update.role.unwrap_or(account.role);
        tx.update_account(&account).await?;
        let detail = json!({"fields": fields, "role": account.role.as_str()});
        by_admin(AuditKind::UserUpdated, actor, user_id, detail).write(&mut tx, self.inner.clock.now()).await?;
        tx.commit().await?;
        Ok(account)
    }

    /// Sets a password without knowing the old one: ends every session and everything that was issued (C-07).
    ///
    /// # Errors
    /// A weak password, no such account, or the database is away.
    pub async fn reset_password(&self, user_id: &str, password: &SecretText, actor: &Actor) -> Result<(), Error> {
        let account = self.account(user_id).await?.ok_or(Error::UnknownAccount)?;
        self.check(password, &account.email, &account.name)?;
        let hash = self.inner.hasher.hash(password).await?;
        let mut tx = self.inner.store.write(actor).await?;
        let now = self.inner.clock.now();
        if !tx.set_password(user_id, &hash, now).await? {
            return Err(Error::UnknownAccount);
        }
        by_admin(AuditKind::UserPasswordChanged, actor, user_id, Value::Null).write(&mut tx, now).await?;
        self.end_everything(tx, (user_id, actor), SessionEnd::RevokedRemotely, RevokeCause::PasswordChanged)
            .await
            .map(drop)
    }

    /// Sets the own password; every other session ends, and this one goes on under the cookie that is returned.
    ///
    /// # Errors
    /// As [`Identity::sign_in`], and a weak password.
    pub async fn change_password(&self, change: &Change<'_>) -> Result<SecretText, Error> {
        let SignedIn { user_id, session_id, .. } = change.signed_in;
        let account = self.account(user_id).await?.ok_or(Error::UnknownAccount)?;
        self.check(change.new, &account.email, &account.name)?;
        let admitted = self.verify(account.email.as_str(), change.old, change.source).await?;
        let hash = self.inner.hasher.hash(change.new).await?;
        let now = self.inner.clock.now();
        let cookie = Handle::LoginSession.generate(&*self.inner.entropy)?;
        let by = Actor::user(user_id);
        let mut tx = self.inner.store.write(&by).await?;
        let held = tx.hold_password(user_id, admitted.hash().unwrap_or_default()).await?;
        let session = tx.session_by_hash(&change.cookie.hash()).await?.filter(|session| session.id == *session_id);
        let (true, Some(mut session)) = (held, session) else { return Err(Error::Mismatch) };
        self.pardon(&mut tx, &admitted).await?;
        tx.set_password(user_id, &hash, now).await?;
        session.authenticated_at = now;
        session.last_seen_at = now;
        session.user_agent = plain(change.user_agent);
        if !tx.renew_session(&session, (&change.cookie.hash(), &cookie.hash())).await? {
            return Err(Error::Mismatch);
        }
        let others = EndSessions::Others { user_id, keep: session_id };
        let ended = tx.end_sessions(others, SessionEnd::RevokedRemotely, now, self.counts()).await?;
        if change.disconnect {
            tx.revoke(Revoke::Subject(user_id), RevokeCause::PasswordChanged, now).await?;
        } else {
            for session in &ended {
                tx.revoke(Revoke::Session(session), RevokeCause::SessionEnded, now).await?;
            }
        }
        let detail = json!({"sessions_ended": ended.len(), "disconnected": change.disconnect});
        let kind = AuditKind::UserPasswordChanged;
        Event { kind, by: &by, user_id, source: Some(change.source), detail }.write(&mut tx, now).await?;
        tx.commit().await?;
        self.session_ended(SessionEnd::RevokedRemotely, ended.len() as u64);
        Ok(cookie)
    }

    /// From now on nobody signs in as this person, and nothing that this person has lives on; false when that was so.
    ///
    /// # Errors
    /// No such account, or the database is away.
    pub async fn disable(&self, user_id: &str, actor: &Actor) -> Result<bool, Error> {
        let mut tx = self.inner.store.write(actor).await?;
        let now = self.inner.clock.now();
        if !tx.set_disabled(user_id, Some(now)).await? {
            return tx.account(user_id).await?.map(|_| false).ok_or(Error::UnknownAccount);
        }
        by_admin(AuditKind::UserDisabled, actor, user_id, Value::Null).write(&mut tx, now).await?;
        let (reason, cause) = (SessionEnd::AccountInactive, RevokeCause::UserDisabled);
        self.end_everything(tx, (user_id, actor), reason, cause).await?;
        Ok(true)
    }

    /// False when this person was not disabled. What was ended stays ended.
    ///
    /// # Errors
    /// No such account, or the database is away.
    pub async fn enable(&self, user_id: &str, actor: &Actor) -> Result<bool, Error> {
        let mut tx = self.inner.store.write(actor).await?;
        if !tx.set_disabled(user_id, None).await? {
            return tx.account(user_id).await?.map(|_| false).ok_or(Error::UnknownAccount);
        }
        by_admin(AuditKind::UserEnabled, actor, user_id, Value::Null).write(&mut tx, self.inner.clock.now()).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Ends every session and everything that was issued; says how many sessions that were.
    ///
    /// # Errors
    /// No such account, or the database is away.
    pub async fn force_logout(&self, user_id: &str, actor: &Actor) -> Result<u64, Error> {
        let mut tx = self.inner.store.write(actor).await?;
        tx.account(user_id).await?.ok_or(Error::UnknownAccount)?;
        self.end_everything(tx, (user_id, actor), SessionEnd::RevokedRemotely, RevokeCause::Administrator).await
    }

    /// Removes a person, with everything that this person has.
    ///
    /// # Errors
    /// No such account, or the database is away.
    pub async fn delete(&self, user_id: &str, actor: &Actor) -> Result<(), Error> {
        let now = self.inner.clock.now();
        let mut tx = self.inner.store.write(actor).await?;
        // first, so that whoever holds the account is waited for, and what was begun meanwhile is seen
        if !tx.set_disabled(user_id, Some(now)).await? && tx.account(user_id).await?.is_none() {
            return Err(Error::UnknownAccount);
        }
        let reason = SessionEnd::AccountInactive;
        let ended = tx.end_sessions(EndSessions::OfUser(user_id), reason, now, self.counts()).await?.len() as u64;
        tx.revoke(Revoke::Subject(user_id), RevokeCause::Deleted, now).await?;
        tx.delete_consents_of(user_id).await?;
        tx.delete_account(user_id).await?;
        by_admin(AuditKind::UserDeleted, actor, user_id, Value::Null).write(&mut tx, now).await?;
        tx.commit().await?;
        self.session_ended(reason, ended);
        Ok(())
    }

    async fn end_everything(
        &self,
        mut tx: Tx,
        (user_id, by): (&str, &Actor),
        reason: SessionEnd,
        cause: RevokeCause,
    ) -> Result<u64, Error> {
        let now = self.inner.clock.now();
        let ended = tx.end_sessions(EndSessions::OfUser(user_id), reason, now, self.counts()).await?.len() as u64;
        tx.revoke(Revoke::Subject(user_id), cause, now).await?;
        let detail = json!({"reason": reason.as_str(), "sessions": ended});
        by_admin(AuditKind::SessionEnded, by, user_id, detail).write(&mut tx, now).await?;
        tx.commit().await?;
        self.session_ended(reason, ended);
        Ok(ended)
    }

    fn check(&self, password: &SecretText, email: &Email, name: &str) -> Result<(), Error> {
        let least = self.inner.rules.min_password_length;
        Ok(check_password(password.expose(), least, &[email.as_str(), name])?)
    }
}
