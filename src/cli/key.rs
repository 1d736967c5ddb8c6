//! `holdfast admin key`: signing keys, looked at and asked for on the database itself.

use clap::Subcommand;

use super::output::Table;
use super::{Failure, block_on};
use crate::app::system::SystemClock;
use crate::app::{Error, database};
use crate::config::Settings;
use crate::domain::signing_key::RotationRequest;
use crate::domain::{Actor, Clock};
use crate::store::SigningKey;

#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// All signing keys, retired ones too, never their private halves
    List,
    /// Ask the server for new keys: published at once, signing after keys.rotation.publish_ahead
    Rotate {
        /// Sign with them as soon as the replicas have them; verifiers that keep a key set must fetch it again
        #[arg(long)]
        now: bool,
    },
}

/// Does what was asked, beside a server that may be running.
pub fn run(settings: &Settings, arguments: &Arguments) -> Result<Table, Failure> {
    block_on(async {
        let (store, _) = database::beside(settings).await?;
        match arguments {
            Arguments::List => {
                let keys = store.read().await?.signing_keys().await?;
                let columns = vec!["kid", "algorithm", "state", "store", "created", "activates", "retires"];
                Ok(Table::list(columns, keys.into_iter().map(row).collect()))
            }
            Arguments::Rotate { now } => {
                let who = Actor::recorded("cli");
                let mut tx = store.write(&who).await?;
                tx.request_key_rotation(RotationRequest { urgent: *now }, &who, SystemClock.now()).await?;
                tx.commit().await?;
                Ok::<_, Error>(Table::one(vec![("rotation", "requested".to_owned())]))
            }
        }
    })
}

fn row(key: SigningKey) -> Vec<String> {
    let life = key.life;
    vec![
        life.kid,
        life.algorithm.as_str().to_owned(),
        life.state.as_str().to_owned(),
        life.store.as_str().to_owned(),
        key.created_at.to_string(),
        life.activate_at.to_string(),
        life.retire_at.map(|at| at.to_string()).unwrap_or_default(),
    ]
}
