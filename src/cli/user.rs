//! `holdfast admin user`: people who sign in, made and changed on the database itself.

use std::io::{BufRead, IsTerminal};

use clap::{Args, Subcommand, ValueEnum};

use super::output::Table;
use super::{Failure, block_on};
use crate::app::{Error, database, people};
use crate::config::Settings;
use crate::domain::user::{Email, is_name};
use crate::domain::{Account, AccountRole, Actor, SecretText};
use crate::identity::{self, Identity, NewAccount, Update};

#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// Everybody, in the order in which they were made
    List,
    /// One person
    Get(Who),
    /// Make an account. The first administrator is made here
    Create {
        #[arg(long, value_parser = email)]
        email: Email,
        /// What pages call this person
        #[arg(long, value_parser = name)]
        name: String,
        #[arg(long, value_enum, default_value = "user")]
        role: Role,
        #[command(flatten)]
        password: Password,
    },
    /// Change an account
    Update {
        #[command(flatten)]
        who: Who,
        #[arg(long, value_parser = email)]
        new_email: Option<Email>,
        #[arg(long, value_parser = name)]
        name: Option<String>,
        #[arg(long, value_enum)]
        role: Option<Role>,
    },
    /// Set a password; ends every session and every token of this person
    Password {
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        password: Password,
    },
    /// Let nobody sign in as this person; ends every session and every token
    Disable(Who),
    /// Let this person sign in again
    Enable(Who),
    /// End every session and every token of this person
    ForceLogout(Who),
    /// Remove this person with everything that belongs to the account
    Delete(Who),
}

/// One person, by address or by id.
#[derive(Debug, Args)]
#[group(id = "selector", required = true, multiple = false)]
pub struct Who {
    #[arg(long, value_parser = email)]
    email: Option<Email>,
    /// usr_…
    #[arg(long)]
    id: Option<String>,
}

/// Where the password comes from; by default from a prompt.
#[derive(Debug, Args)]
#[group(id = "source", multiple = false)]
pub struct Password {
    /// Read the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
    /// The password itself. Other users of this machine can see it in the list of processes
    #[arg(long, value_name = "PASSWORD")]
    password: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Role {
    /// Everything
    Admin,
    /// Reads and changes policy
    Operator,
    /// Reads
    Viewer,
    /// Signs in to applications
    User,
}

impl From<Role> for AccountRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Admin => Self::Admin,
            Role::Operator => Self::Operator,
            Role::Viewer => Self::Viewer,
            Role::User => Self::User,
        }
    }
}

fn email(text: &str) -> Result<Email, String> {
    Email::parse(text).ok_or_else(|| "an address such as ada@example.com".to_owned())
}

fn name(text: &str) -> Result<String, String> {
    is_name(text).then(|| text.to_owned()).ok_or_else(|| "1 to 200 characters in one line".to_owned())
}

/// Does what was asked, beside a server that may be running.
pub fn run(settings: &Settings, arguments: Arguments) -> Result<Table, Failure> {
    block_on(async {
        let (store, _) = database::beside(settings).await?;
        let identity = people::beside(settings, &store)?;
        match arguments {
            Arguments::List => list(&identity).await,
            Arguments::Create { email, name, role, password } => {
                let password = password.read()?;
                let new = NewAccount { email, name, role: role.into(), password };
                Ok(shown(identity.create(new, &actor()).await.map_err(refused)?))
            }
            Arguments::Update { who, new_email, name, role } => {
                let id = who.find(&identity).await?.id;
                let update = Update { email: new_email, name, role: role.map(AccountRole::from) };
                Ok(shown(identity.update(&id, update, &actor()).await.map_err(refused)?))
            }
            Arguments::Password { who, password } => {
                let account = who.find(&identity).await?;
                identity.reset_password(&account.id, &password.read()?, &actor()).await.map_err(refused)?;
                Ok(Table::one(vec![("password_set", account.email.to_string())]))
            }
            Arguments::Get(who) => Ok(shown(who.find(&identity).await?)),
            Arguments::Disable(who) => {
                let id = who.find(&identity).await?.id;
                identity.disable(&id, &actor()).await?;
                Ok(shown(Who::by_id(id).find(&identity).await?))
            }
            Arguments::Enable(who) => {
                let id = who.find(&identity).await?.id;
                identity.enable(&id, &actor()).await?;
                Ok(shown(Who::by_id(id).find(&identity).await?))
            }
            Arguments::ForceLogout(who) => {
                let id = who.find(&identity).await?.id;
                let ended = identity.force_logout(&id, &actor()).await?;
                Ok(Table::one(vec![("sessions_ended", ended.to_string())]))
            }
            Arguments::Delete(who) => {
                let account = who.find(&identity).await?;
                identity.delete(&account.id, &actor()).await?;
                Ok(Table::one(vec![("deleted", account.email.to_string())]))
            }
        }
    })
}

fn actor() -> Actor {
    Actor::recorded("cli")
}

/// What was asked for and cannot be is one plain sentence.
fn refused(error: identity::Error) -> Error {
    match error {
        identity::Error::Weak(_) | identity::Error::Taken | identity::Error::UnknownAccount => {
            Error::Refused(error.to_string())
        }
        error => error.into(),
    }
}

impl Who {
    fn by_id(id: String) -> Self {
        Self { email: None, id: Some(id) }
    }

    async fn find(&self, identity: &Identity) -> Result<Account, Error> {
        let found = match (&self.email, &self.id) {
            (Some(email), _) => identity.account_by_email(email).await?,
            (None, id) => identity.account(id.as_deref().unwrap_or_default()).await?,
        };
        found.ok_or_else(|| refused(identity::Error::UnknownAccount))
    }
}

impl Password {
    fn read(&self) -> Result<SecretText, Error> {
        if let Some(password) = &self.password {
            return Ok(SecretText::new(password.as_str()));
        }
        let unread = |what: &str| Error::Refused(format!("failed to read the password: {what}"));
        if self.password_stdin {
            let mut line = String::new();
            let read = std::io::stdin().lock().read_line(&mut line);
            read.map_err(|error| unread(&error.to_string()))?;
            return Ok(SecretText::new(line.trim_end_matches(['\r', '\n'])));
        }
        if !std::io::stderr().is_terminal() {
            return Err(unread("there is no terminal to ask on; use --password-stdin"));
        }
        let ask = |what: &str| {
            let typed = rpassword::prompt_password(what).map_err(|error| unread(&error.to_string()));
            typed.map(SecretText::new)
        };
        let (first, second) = (ask("Password: ")?, ask("Once more: ")?);
        if first.expose() == second.expose() { Ok(first) } else { Err(unread("the two differ")) }
    }
}

const COLUMNS: [&str; 7] = ["id", "email", "name", "role", "status", "created", "password_set"];

fn row(account: Account) -> Vec<String> {
    vec![
        account.id,
        account.email.to_string(),
        account.name,
        account.role.as_str().to_owned(),
        if account.disabled_at.is_some() { "disabled" } else { "active" }.to_owned(),
        account.created_at.to_string(),
        account.password_set_at.map(|at| at.to_string()).unwrap_or_default(),
    ]
}

fn shown(account: Account) -> Table {
    Table::one(COLUMNS.into_iter().zip(row(account)).collect())
}

async fn list(identity: &Identity) -> Result<Table, Error> {
    const PAGE: u32 = 500;
    let mut rows: Vec<Vec<String>> = Vec::new();
    loop {
        let after = rows.last().and_then(|row| row.first()).cloned().unwrap_or_default();
        let page = identity.accounts(&after, PAGE).await?;
        let whole = page.len() < PAGE as usize;
        rows.extend(page.into_iter().map(row));
        if whole {
            return Ok(Table::list(COLUMNS.to_vec(), rows));
        }
    }
}
