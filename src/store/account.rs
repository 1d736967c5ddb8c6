//! People who can sign in, and the hashes of their passwords.

use jiff::Timestamp;

use crate::domain::user::{Account, AccountRole, AuthSource, Email};

use super::Error;
use super::time::{micros, optional, stamp};
use super::tx::{Connection, Tx, on, row};

const COLUMNS: &str = "id, email, name, role, created_at, disabled_at, password_set_at";

row!(AccountRow {
    id: String,
    email: String,
    name: String,
    role: String,
    created_at: i64,
    disabled_at: Option<i64>,
    password_set_at: Option<i64>,
});

impl AccountRow {
    fn read(self) -> Result<Account, Error> {
        let corrupt = || Error::Corrupt { table: "account", key: self.id.clone() };
        Ok(Account {
            email: Email::parse(&self.email).ok_or_else(corrupt)?,
            role: AccountRole::parse(&self.role).ok_or_else(corrupt)?,
            created_at: stamp(self.created_at, corrupt)?,
            disabled_at: optional(self.disabled_at, corrupt)?,
            password_set_at: optional(self.password_set_at, corrupt)?,
            id: self.id,
            name: self.name,
        })
    }
}

row!(PasswordRow { id: String, password_hash: Option<String>, disabled_at: Option<i64> });

/// What a password is compared with. It is no secret that can be used as it is, and still it is shown nowhere.
pub struct PasswordOf {
    pub user_id: String,
    /// PHC string.
    pub hash: Option<String>,
    pub disabled: bool,
}

impl Tx {
    pub async fn account(&mut self, id: &str) -> Result<Option<Account>, Error> {
        self.account_where("id", id).await
    }

    pub async fn account_by_email(&mut self, email: &Email) -> Result<Option<Account>, Error> {
        self.account_where("email", email.as_str()).await
    }

    async fn account_where(&mut self, column: &str, key: &str) -> Result<Option<Account>, Error> {
        let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM account WHERE {column} = $1"));
        let row = on!(self, c => sqlx::query_as::<_, AccountRow>(sql).bind(key).fetch_optional(c).await)?;
        row.map(AccountRow::read).transpose()
    }

    /// Accounts by id from behind `after`, which is the order in which they were made.
    pub async fn accounts(&mut self, after: &str, limit: u32) -> Result<Vec<Account>, Error> {
        let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM account WHERE id > $1 ORDER BY id LIMIT $2"));
        let rows = on!(self, c => sqlx::query_as::<_, AccountRow>(sql)
            .bind(after).bind(i64::from(limit)).fetch_all(c).await)?;
        rows.into_iter().map(AccountRow::read).collect()
    }

    /// Adds a person; [`Error::Conflict`] when the address is taken.
    pub async fn insert_account(&mut self, account: &Account, hash: Option<&str>) -> Result<(), Error> {
        let sql = "INSERT INTO account
            (id, email, name, role, source, password_hash, password_set_at, created_at, disabled_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        on!(self, c => sqlx::query(sql)
            .bind(&account.id)
            .bind(account.email.as_str())
            .bind(&account.name)
            .bind(account.role.as_str())
            .bind(AuthSource::Local.as_str())
            .bind(hash)
            .bind(micros(account.password_set_at))
            .bind(account.created_at.as_microsecond())
            .bind(micros(account.disabled_at))
            .execute(c).await.map(drop))?;
        Ok(())
    }

    /// Changes address, name and role; false when there is no such person.
    pub async fn update_account(&mut self, account: &Account) -> Result<bool, Error> {
        let sql = "UPDATE account SET email = $2, name = $3, role = $4 WHERE id = $1";
        let touched = on!(self, c => sqlx::query(sql)
            .bind(&account.id).bind(account.email.as_str()).bind(&account.name).bind(account.role.as_str())
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(touched == 1)
    }

    /// False when there is no such person.
    pub async fn set_password(&mut self, user_id: &str, hash: &str, now: Timestamp) -> Result<bool, Error> {
        let sql = "UPDATE account SET password_hash = $2, password_set_at = $3 WHERE id = $1";
        let touched = on!(self, c => sqlx::query(sql).bind(user_id).bind(hash).bind(now.as_microsecond())
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(touched == 1)
    }

    /// Disables since that moment, or enables; false when that is so already, or there is no such person.
    pub async fn set_disabled(&mut self, user_id: &str, since: Option<Timestamp>) -> Result<bool, Error> {
        let sql = "UPDATE account SET disabled_at = $2
            WHERE id = $1 AND (disabled_at IS NULL) = (CAST($2 AS BIGINT) IS NOT NULL)";
        let touched = on!(self, c => sqlx::query(sql).bind(user_id).bind(micros(since))
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(touched == 1)
    }

    /// Removes a person with the rows of login sessions and role assignments; false when there was none.
    pub async fn delete_account(&mut self, user_id: &str) -> Result<bool, Error> {
        for sql in ["DELETE FROM role_assignment WHERE user_id = $1", "DELETE FROM login_session WHERE user_id = $1"] {
            on!(self, c => sqlx::query(sql).bind(user_id).execute(c).await.map(drop))?;
        }
        let sql = "DELETE FROM account WHERE id = $1";
        Ok(on!(self, c => sqlx::query(sql).bind(user_id).execute(c).await.map(|done| done.rows_affected()))? == 1)
    }

    /// What to compare a password with.
    pub async fn password_of(&mut self, email: &Email) -> Result<Option<PasswordOf>, Error> {
        let sql = "SELECT id, password_hash, disabled_at FROM account WHERE email = $1";
        let row = on!(self, c => sqlx::query_as::<_, PasswordRow>(sql).bind(email.as_str()).fetch_optional(c).await)?;
        Ok(row.map(|row| PasswordOf { user_id: row.id, hash: row.password_hash, disabled: row.disabled_at.is_some() }))
    }

    /// Whether this person is there and not disabled. Until the transaction ends nobody disables, deletes or changes
    /// the password of this person, so that what is begun here is seen by what ends it.
    pub async fn hold_account(&mut self, user_id: &str) -> Result<bool, Error> {
        Ok(self.held_password(user_id).await?.is_some())
    }

    /// The same, and the hash of the password.
    pub(super) async fn held_password(&mut self, user_id: &str) -> Result<Option<Option<String>>, Error> {
        match &mut self.connection {
            Connection::Sqlite(transaction) => super::sqlite::hold_account(transaction, user_id).await,
            Connection::Postgres(transaction) => super::postgres::hold_account(transaction, user_id).await,
        }
    }

    /// Whether this person is there, not disabled, and still has the password with that hash; held as by
    /// [`Tx::hold_account`].
    pub async fn hold_password(&mut self, user_id: &str, hash: &str) -> Result<bool, Error> {
        Ok(self.held_password(user_id).await?.flatten().as_deref() == Some(hash))
    }
}
