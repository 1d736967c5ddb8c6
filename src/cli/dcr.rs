//! `holdfast admin dcr`: who may register a client, switched on the database itself, beside a server that may be running.

use clap::{Subcommand, ValueEnum};
use jiff::SignedDuration;

use super::output::Table;
use super::{Failure, block_on};
use crate::app::system::{SystemClock, SystemEntropy};
use crate::app::{Error, database, dynamic};
use crate::config::Settings;
use crate::domain::{Actor, Clock};
use crate::oauth::{self, invitation};
use crate::store::Store;

#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// Who may register a client now
    Get,
    /// Switch it; every replica follows within a second
    Set {
        #[arg(long, value_enum)]
        mode: Mode,
    },
    /// Invitations: initial access tokens, with which a registration is welcome in every mode
    #[command(subcommand)]
    Invitation(Invitation),
}

#[derive(Debug, Subcommand)]
pub enum Invitation {
    /// Make one; its token is shown this once
    Create {
        /// How many clients may register with it: 1 to 10000
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        uses: i64,
        /// How long it is good: 1 minute to 365 days
        #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
        expires_in: SignedDuration,
    },
    /// Those that still invite somebody, never their tokens
    List,
    /// End one at once; who has registered with it stays
    Revoke {
        #[arg(long)]
        id: String,
    },
}

/// As in the configuration file: 90m, 7d.
fn duration(text: &str) -> Result<SignedDuration, String> {
    let fits = |duration: &SignedDuration| invitation::Wanted::sensible(1, duration.as_secs()).is_some();
    text.parse().ok().filter(fits).ok_or_else(|| "expected 1m to 8760h, e.g. 24h".to_owned())
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
            Arguments::Invitation(arguments) => return invitations(&store, arguments).await,
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

async fn invitations(store: &Store, arguments: &Invitation) -> Result<Table, Error> {
    let (now, actor) = (SystemClock.now(), Actor::recorded("cli"));
    match arguments {
        Invitation::Create { uses, expires_in } => {
            let wanted = invitation::Wanted { uses: *uses, lifetime: *expires_in };
            let made = invitation::Invited::new(wanted, &SystemEntropy, now)?;
            made.keep(store, (wanted, now), &actor).await?;
            Ok(Table::one(vec![
                ("id", made.id),
                ("token", made.token.expose().to_owned()),
                ("uses", uses.to_string()),
                ("expires", made.expires_at.to_string()),
            ]))
        }
        Invitation::List => {
            let row = |found: crate::store::Invitation| {
                vec![found.id, found.uses_left.to_string(), found.expires_at.to_string(), found.by]
            };
            let found = invitation::invitations(store, now).await?;
            Ok(Table::list(vec!["id", "uses_left", "expires", "by"], found.into_iter().map(row).collect()))
        }
        Invitation::Revoke { id } => match invitation::end_invitation(store, id, &actor, now).await? {
            true => Ok(Table::one(vec![("revoked", id.clone())])),
            false => Err(Error::Refused(format!("there is no invitation {id}"))),
        },
    }
}
