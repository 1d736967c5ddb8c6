//! `holdfast admin dcr`: who may register a client, switched on the database itself, beside a server that may be running.

use clap::{Subcommand, ValueEnum};

use super::output::Table;
use super::{Failure, block_on};
use crate::app::system::SystemClock;
use crate::app::{database, dynamic};
use crate::config::Settings;
use crate::domain::{Actor, Clock};
use crate::oauth;

#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// Who may register a client now
    Get,
    /// Switch it; every replica follows within a second
    Set {
        #[arg(long, value_enum)]
        mode: Mode,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Mode {
    /// Anybody, with any https redirect URI
    Open,
    /// Anybody, with redirect URIs on loopback, of a known private-use scheme, or that are approved
    ApprovedRedirects,
    /// Who was invited by an administrator
    AdminOnly,
}

pub fn run(settings: &Settings, arguments: &Arguments) -> Result<Table, Failure> {
    block_on(async {
        let (store, _) = database::beside(settings).await?;
        let mode = match arguments {
            Arguments::Get => {
                let configured = dynamic::mode(settings.config.dcr.mode);
                oauth::kept_mode(&store).await?.unwrap_or(configured)
            }
            Arguments::Set { mode } => {
                let mode = match mode {
                    Mode::Open => oauth::Mode::Open,
                    Mode::ApprovedRedirects => oauth::Mode::ApprovedRedirects,
                    Mode::AdminOnly => oauth::Mode::AdminOnly,
                };
                oauth::set_mode(&store, mode, &Actor::recorded("cli"), SystemClock.now()).await?;
                mode
            }
        };
        Ok(Table::one(vec![("mode", mode.as_str().to_owned())]))
    })
}
