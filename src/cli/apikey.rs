//! `holdfast admin apikey`: keys of the admin port, made and ended on the database itself.

use clap::{Subcommand, ValueEnum};
use serde_json::json;

use super::output::Table;
use super::{Failure, block_on};
use crate::app::system::{SystemClock, SystemEntropy};
use crate::app::{Error, database};
use crate::config::Settings;
use crate::domain::{Actor, AuditKind, Clock, Record, SecretText};
use crate::store::{self, ApiKey, ApiRole, Store, Tx};

#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// Make a key; it is shown this once
    Create {
        /// What to call it in logs and drift reports: a-z, 0-9, -, _ and .
        #[arg(long, value_parser = name)]
        name: String,
        #[arg(long, value_enum)]
        role: Role,
    },
    /// All keys, revoked ones too, never their values
    List,
    /// End a key at once
    Revoke {
        #[arg(long, value_parser = name)]
        name: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Role {
    /// Everything
    Admin,
    /// Reads and changes policy
    Operator,
    /// Reads
    Viewer,
}

/// A name stands in logs and in the actor of a change: nothing in it may look like something else.
fn name(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
    if (1..=63).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    Err("1 to 63 of a-z, 0-9, -, _ and .".to_owned())
}

/// Does what was asked, beside a server that may be running.
pub fn run(settings: &Settings, arguments: &Arguments) -> Result<Table, Failure> {
    block_on(async {
        let (store, _) = database::beside(settings).await?;
        match arguments {
            Arguments::Create { name, role } => create(&store, name, *role).await,
            Arguments::List => list(&store).await,
            Arguments::Revoke { name } => revoke(&store, name).await,
        }
    })
}

fn actor() -> Actor {
    Actor::recorded("cli")
}

async fn create(store: &Store, name: &str, role: Role) -> Result<Table, Error> {
    let role = match role {
        Role::Admin => ApiRole::Admin,
        Role::Operator => ApiRole::Operator,
        Role::Viewer => ApiRole::Viewer,
    };
    // the prefix lets scanners of repositories recognise what leaked
    let key = SecretText::new(format!("hfk_{}", SecretText::generate(&SystemEntropy)?.expose()));
    let row = ApiKey { name: name.to_owned(), role, created_at: SystemClock.now(), revoked_at: None };
    let mut tx = store.write(&actor()).await?;
    match tx.put_api_key(&row, &key.hash()).await {
        Err(store::Error::Conflict { .. }) => {
            return Err(Error::Refused(format!("an API key called {name} exists already, or existed")));
        }
        other => other?,
    }
    record(&mut tx, AuditKind::ApiKeyCreated, &row.name).await?;
    tx.commit().await?;
    Ok(Table::one(vec![("name", row.name), ("role", role.as_str().to_owned()), ("key", key.expose().to_owned())]))
}

async fn record(tx: &mut Tx, kind: AuditKind, name: &str) -> Result<(), store::Error> {
    let detail = json!({ "name": name });
    tx.audit(kind, &Record { detail, ..Record::new(SystemClock.now(), actor()) }).await
}

async fn list(store: &Store) -> Result<Table, Error> {
    let keys = store.read().await?.api_keys().await?;
    let row = |key: ApiKey| {
        let revoked = key.revoked_at.map(|at| at.to_string()).unwrap_or_default();
        vec![key.name, key.role.as_str().to_owned(), key.created_at.to_string(), revoked]
    };
    Ok(Table::list(vec!["name", "role", "created", "revoked"], keys.into_iter().map(row).collect()))
}

async fn revoke(store: &Store, name: &str) -> Result<Table, Error> {
    let mut tx = store.write(&actor()).await?;
    if !tx.revoke_api_key(name, SystemClock.now()).await? {
        return Err(Error::Refused(format!("no API key called {name} is in force")));
    }
    record(&mut tx, AuditKind::ApiKeyRevoked, name).await?;
    tx.commit().await?;
    Ok(Table::one(vec![("revoked", name.to_owned())]))
}
