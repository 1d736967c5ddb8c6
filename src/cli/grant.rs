//! `holdfast admin grant`: what users have granted, seen and ended on the database itself.

use clap::Subcommand;

use super::output::Table;
use super::{Failure, block_on};
use crate::app::system::SystemClock;
use crate::app::{Error, database};
use crate::config::Settings;
use crate::domain::{Actor, Clock};
use crate::oauth::{Withdraw, withdraw};
use crate::store::{Consent, Store};

#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// What a user has agreed to
    ListUserGrants {
        /// Id of the user, usr_…
        #[arg(long)]
        user: String,
    },
    /// End a consent, with every token that came of it
    RevokeConsent {
        /// Id of the consent, cns_…
        #[arg(long)]
        id: String,
    },
}

/// Does what was asked, beside a server that may be running.
pub fn run(settings: &Settings, arguments: &Arguments) -> Result<Table, Failure> {
    block_on(async {
        let (store, _) = database::beside(settings).await?;
        match arguments {
            Arguments::ListUserGrants { user } => list(&store, user).await,
            Arguments::RevokeConsent { id } => revoke(&store, id).await,
        }
    })
}

async fn list(store: &Store, user: &str) -> Result<Table, Error> {
    let consents = store.read().await?.consents_of(user).await?;
    let row = |consent: Consent| {
        let scopes = consent.shown.scopes.into_keys().collect::<Vec<_>>().join(" ");
        let (granted, used) = (consent.granted_at.to_string(), consent.updated_at.to_string());
        vec![consent.id, consent.client_id, consent.resource_server_id, scopes, granted, used]
    };
    let columns = vec!["id", "client", "resource_server", "scopes", "granted", "last_used"];
    Ok(Table::list(columns, consents.into_iter().map(row).collect()))
}

async fn revoke(store: &Store, id: &str) -> Result<Table, Error> {
    match withdraw(store, id, Withdraw::Any, &Actor::recorded("cli"), SystemClock.now()).await? {
        Some(ended) => Ok(Table::one(vec![
            ("revoked", id.to_owned()),
            ("grants", ended.grants.to_string()),
            ("tokens", ended.tokens.to_string()),
        ])),
        None => Err(Error::Refused(format!("no consent {id} is in force"))),
    }
}
