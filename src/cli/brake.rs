//! `holdfast brake`: deletions that wait because there were too many, listed and let go beside a server that may run.

use clap::Subcommand;

use super::output::Table;
use super::{Failure, block_on};
use crate::app::system::SystemClock;
use crate::app::{Error, database};
use crate::config::Settings;
use crate::domain::{Actor, Clock};
use crate::provision::{confirm_brake, open_brakes};

#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// Every deletion that waits, and the id of the brake that holds it
    List,
    /// Let go exactly what this brake holds; what is deleted later may open another one
    Confirm {
        /// As `list`, the object's condition and its Event show it
        id: String,
    },
}

/// Does what was asked, beside a server that may be running.
pub fn run(settings: &Settings, arguments: &Arguments) -> Result<Table, Failure> {
    block_on(async {
        let (store, _) = database::beside(settings).await?;
        match arguments {
            Arguments::List => {
                let mut rows = Vec::new();
                for open in open_brakes(&store).await? {
                    let brake = &open.brake;
                    let row = |hold: &crate::domain::brake::Hold| {
                        let scope = brake.scope.to_string();
                        vec![brake.id.clone(), scope, hold.owner.to_string(), hold.held_at.to_string()]
                    };
                    rows.extend(open.held.iter().map(row));
                }
                Ok(Table::list(vec!["id", "holds", "object", "since"], rows))
            }
            Arguments::Confirm { id } => {
                match confirm_brake(&store, id, &Actor::recorded("cli"), SystemClock.now()).await? {
                    Some(released) => {
                        Ok(Table::one(vec![("confirmed", id.clone()), ("released", released.len().to_string())]))
                    }
                    None => Err(Error::Refused(format!("no brake {id} is open"))),
                }
            }
        }
    })
}
