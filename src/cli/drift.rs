//! `holdfast drift`: what happened to a live policy, read and dismissed on the database itself.

use std::sync::Arc;

use clap::Subcommand;

use super::output::Table;
use super::{Failure, block_on};
use crate::activity::{Activity, PAGE, Page, Parts, Rules};
use crate::app::system::SystemClock;
use crate::app::{Error, database};
use crate::config::Settings;
use crate::domain::observer::Unobserved;
use crate::domain::{ActivityFilter, ActivityRecord, ActivityType, Actor, Kind, OwnerKey};
use crate::store::Store;

#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// The newest events of a resource server
    List {
        /// Id of the resource server, rs_…, or namespace/name of its object
        resource_server: String,
        /// Only events of this type; may be given more than once
        #[arg(long = "type", value_parser = parse_type)]
        types: Vec<ActivityType>,
        /// Only what nobody has dismissed
        #[arg(long)]
        undismissed: bool,
        /// So many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=PAGE))]
        limit: i64,
    },
    /// One event, with its payload
    Show {
        /// Id of the resource server, rs_…, or namespace/name of its object
        resource_server: String,
        /// Id of the event
        event: i64,
    },
    /// Note that somebody has seen an event
    Dismiss {
        /// Id of the resource server, rs_…, or namespace/name of its object
        resource_server: String,
        /// Id of the event
        event: i64,
    },
}

fn parse_type(text: &str) -> Result<ActivityType, String> {
    ActivityType::parse(text).ok_or_else(|| format!("there is no type {text}"))
}

/// Does what was asked, beside a server that may be running.
pub fn run(settings: &Settings, arguments: &Arguments) -> Result<Table, Failure> {
    block_on(async {
        let (store, _) = database::beside(settings).await?;
        let room = room(settings, &store);
        match arguments {
            Arguments::List { resource_server, types, undismissed, limit } => {
                let filter = ActivityFilter {
                    types: types.clone(),
                    dismissed: undismissed.then_some(false),
                    ..ActivityFilter::default()
                };
                let id = id(&store, resource_server).await?;
                let page = room.log(&id, &filter, *limit).await?.ok_or_else(|| unknown(resource_server))?;
                Ok(list(page, resource_server))
            }
            Arguments::Show { resource_server, event } => {
                let id = id(&store, resource_server).await?;
                let record = store.read().await?.activity(&id, *event).await?;
                Ok(shown(record.ok_or_else(|| no_such(resource_server, *event))?))
            }
            Arguments::Dismiss { resource_server, event } => {
                let id = id(&store, resource_server).await?;
                let record = room.dismiss(&id, *event, &Actor::recorded("cli")).await?;
                Ok(shown(record.ok_or_else(|| no_such(resource_server, *event))?))
            }
        }
    })
}

/// The room of a command beside a server.
pub fn room(settings: &Settings, store: &Store) -> Activity {
    let (clock, observer) = (Arc::new(SystemClock), Arc::new(Unobserved));
    let (issuer, rules) = (settings.issuer.clone(), Rules::default());
    Activity::new(Parts { store: store.clone(), clock, observer, issuer, rules })
}

/// The id of what was named, also of one that is gone.
pub async fn id(store: &Store, named: &str) -> Result<String, Error> {
    let Some((namespace, name)) = named.split_once('/') else { return Ok(named.to_owned()) };
    let owner = OwnerKey::new(Kind::ResourceServer, namespace, name);
    let managed = store.read().await?.managed(&owner).await?;
    Ok(managed.ok_or_else(|| unknown(named))?.entity_id)
}

pub fn unknown(named: &str) -> Error {
    Error::Refused(format!("there is no resource server {named}, and there never was"))
}

fn no_such(named: &str, event: i64) -> Error {
    Error::Refused(format!("{named} has no event {event}"))
}

fn list(page: Page, named: &str) -> Table {
    let row = |record: ActivityRecord| {
        let event = record.activity.event.as_str().to_owned();
        let dismissed = record.dismissed.map(|(_, by)| by.to_string()).unwrap_or_default();
        let (at, by) = (record.cause.at.to_string(), record.cause.actor.to_string());
        let outside = record.cause.outside.to_string();
        vec![record.id.to_string(), at, event, by, outside, dismissed]
    };
    let columns = vec!["id", "occurred_at", "event_type", "occurred_by", "outside", "dismissed_by"];
    let table = Table::list(columns, page.records.into_iter().map(row).collect());
    match page.launch {
        Some(_) => table,
        None => table.noted(format!("{named} was not launched yet, so that it has no events")),
    }
}

fn shown(record: ActivityRecord) -> Table {
    let (dismissed_at, dismissed_by) =
        record.dismissed.map(|(at, by)| (at.to_string(), by.to_string())).unwrap_or_default();
    let version = |version: Option<i64>| version.map(|version| version.to_string()).unwrap_or_default();
    Table::one(vec![
        ("id", record.id.to_string()),
        ("rs_id", record.resource_server_id),
        ("resource_uri", record.resource_uri),
        ("owner", record.owner.unwrap_or_default()),
        ("event_type", record.activity.event.as_str().to_owned()),
        ("event_payload", serde_json::Value::Object(record.activity.payload).to_string()),
        ("occurred_at", record.cause.at.to_string()),
        ("occurred_by", record.cause.actor.to_string()),
        ("outside", record.cause.outside.to_string()),
        ("prior_policy_version", version(record.cause.prior_version)),
        ("policy_version", version(record.cause.version)),
        ("tools_affected", record.activity.tools_affected.to_string()),
        ("dismissed_at", dismissed_at),
        ("dismissed_by", dismissed_by),
    ])
}
