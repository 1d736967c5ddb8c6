//! `holdfast admin session`: the browsers that people have signed in with.

use clap::Subcommand;

use super::output::Table;
use super::{Failure, block_on};
use crate::app::{Error, database, people};
use crate::config::Settings;
use crate::domain::Actor;
use crate::domain::user::{Email, SessionEnd};
use crate::identity::Identity;

#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// Sessions that live, the latest used first
    List {
        /// Of this person only
        #[arg(long, value_name = "EMAIL")]
        user: Option<String>,
    },
    /// End a session, and the tokens that came of it
    Revoke {
        #[arg(long)]
        id: String,
    },
}

/// Does what was asked, beside a server that may be running.
pub fn run(settings: &Settings, arguments: &Arguments) -> Result<Table, Failure> {
    block_on(async {
        let (store, _) = database::beside(settings).await?;
        let identity = people::beside(settings, &store)?;
        match arguments {
            Arguments::List { user } => list(&identity, user.as_deref()).await,
            Arguments::Revoke { id } => {
                let by = Actor::recorded("cli");
                match identity.end_session(None, id, SessionEnd::RevokedRemotely, &by).await? {
                    Some(user_id) => Ok(Table::one(vec![("revoked", id.clone()), ("user", user_id)])),
                    None => Err(Error::Refused(format!("no session {id} lives"))),
                }
            }
        }
    })
}

async fn list(identity: &Identity, user: Option<&str>) -> Result<Table, Error> {
    let user_id = match user {
        None => None,
        Some(text) => {
            let account = match Email::parse(text) {
                Some(email) => identity.account_by_email(&email).await?,
                None => None,
            };
            let unknown = || Error::Refused("there is no such account".to_owned());
            Some(account.ok_or_else(unknown)?.id)
        }
    };
    let devices = identity.devices(user_id.as_deref()).await?;
    let row = |device: crate::identity::Device| {
        let times = [device.created_at, device.authenticated_at, device.last_seen_at].map(|at| at.to_string());
        let [created, authenticated, last_seen] = times;
        vec![device.session_id, device.user_id, device.address, created, authenticated, last_seen, device.user_agent]
    };
    let columns = vec!["id", "user", "address", "created", "authenticated", "last_seen", "browser"];
    Ok(Table::list(columns, devices.into_iter().map(row).collect()))
}
