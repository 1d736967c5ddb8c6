//! Accounts: made, read and changed by administrators, and the password by its owner too.

use std::net::IpAddr;

use super::session::{new_cookie, plain};
use super::{Error, Identity};
use crate::domain::user::{Account, AccountRole, Email, SessionEnd, SignedIn, check_password, new_user_id};
use crate::domain::{Actor, SecretText};
use crate::store::{EndSessions, Tx};

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
    pub source: IpAddr,
    pub user_agent: &'a str,
}

/// Who people's own transactions say they are.
pub(super) fn actor() -> Actor {
    Actor::recorded("identity")
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
        account.email = update.email.unwrap_or(account.email);
        account.name = update.name.unwrap_or(account.name);
        account.role = update.role.unwrap_or(account.role);
        tx.update_account(&account).await?;
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
        if !tx.set_password(user_id, &hash, self.inner.clock.now()).await? {
            return Err(Error::UnknownAccount);
        }
        self.end_everything(tx, user_id, SessionEnd::RevokedRemotely).await.map(drop)
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
        let cookie = new_cookie(&*self.inner.entropy)?;
        let mut tx = self.inner.store.write(&actor()).await?;
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
        if !tx.set_disabled(user_id, Some(self.inner.clock.now())).await? {
            return tx.account(user_id).await?.map(|_| false).ok_or(Error::UnknownAccount);
        }
        self.end_everything(tx, user_id, SessionEnd::AccountInactive).await?;
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
        self.end_everything(tx, user_id, SessionEnd::RevokedRemotely).await
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
        tx.delete_account(user_id).await?;
        tx.commit().await?;
        self.session_ended(reason, ended);
        Ok(())
    }

    async fn end_everything(&self, mut tx: Tx, user_id: &str, reason: SessionEnd) -> Result<u64, Error> {
        let now = self.inner.clock.now();
        let ended = tx.end_sessions(EndSessions::OfUser(user_id), reason, now, self.counts()).await?.len() as u64;
        tx.commit().await?;
        self.session_ended(reason, ended);
        Ok(ended)
    }

    fn check(&self, password: &SecretText, email: &Email, name: &str) -> Result<(), Error> {
        let least = self.inner.rules.min_password_length;
        Ok(check_password(password.expose(), least, &[email.as_str(), name])?)
    }
}
