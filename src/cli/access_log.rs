//! `holdfast access-log`: the calls that enforcement points report, read from the database itself.

use clap::Subcommand;
use jiff::Timestamp;

use super::drift::{id, room, unknown};
use super::output::Table;
use super::{Failure, block_on};
use crate::activity::{AccessPage, PAGE};
use crate::app::database;
use crate::config::Settings;
use crate::domain::decision::{AccessFilter, AccessRecord, DecisionOutcome, DecisionReason};

#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// The newest calls of a resource server
    List(Box<List>),
}

#[derive(Debug, clap::Args)]
pub struct List {
    /// Id of the resource server, rs_…, or namespace/name of its object
    resource_server: String,
    /// Only for this subject, e.g. usr_…
    #[arg(long)]
    user: Option<String>,
    /// Only by this client
    #[arg(long)]
    client: Option<String>,
    /// Only of this tool
    #[arg(long)]
    tool: Option<String>,
    /// Only those that were allowed, or denied
    #[arg(long, value_parser = outcome)]
    outcome: Option<DecisionOutcome>,
    /// Only those that were denied for this reason
    #[arg(long, value_parser = reason)]
    reason: Option<DecisionReason>,
    /// From this moment on, e.g. 2026-11-28T14:00:00Z
    #[arg(long)]
    since: Option<Timestamp>,
    /// Before this moment
    #[arg(long)]
    until: Option<Timestamp>,
    /// So many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=PAGE))]
    limit: i64,
}

fn outcome(text: &str) -> Result<DecisionOutcome, String> {
    DecisionOutcome::parse(text).ok_or_else(|| "expected allowed or denied".to_owned())
}

fn reason(text: &str) -> Result<DecisionReason, String> {
    let known = || DecisionReason::ALL.iter().map(|reason| reason.as_str()).collect::<Vec<_>>().join(", ");
    DecisionReason::parse(text).ok_or_else(|| format!("known are {}", known()))
}

/// Reads what was asked for, beside a server that may be running.
pub fn run(settings: &Settings, arguments: &Arguments) -> Result<Table, Failure> {
    let Arguments::List(asked) = arguments;
    let filter = AccessFilter {
        subject: asked.user.clone(),
        client_id: asked.client.clone(),
        tool: asked.tool.clone(),
        outcome: asked.outcome,
        reason: asked.reason,
        since: asked.since,
        until: asked.until,
        before: None,
    };
    block_on(async {
        let (store, _) = database::beside(settings).await?;
        let id = id(&store, &asked.resource_server).await?;
        let page = room(settings, &store).access_log(&id, &filter, asked.limit).await?;
        Ok(list(page.ok_or_else(|| unknown(&asked.resource_server))?))
    })
}

fn list(page: AccessPage) -> Table {
    let row = |record: AccessRecord| {
        let AccessRecord { decision, enforcement_point, reported_by, .. } = record;
        let scopes: Vec<String> = decision.scopes.into_iter().collect();
        let millis = decision.duration_micros.map(|micros| (micros as f64 / 1000.0).to_string());
        vec![
            decision.at.to_string(),
            decision.outcome.as_str().to_owned(),
            decision.tool,
            decision.reason.map(DecisionReason::as_str).unwrap_or_default().to_owned(),
            decision.client_id.unwrap_or_default(),
            decision.subject.unwrap_or_default(),
            scopes.join(" "),
            millis.unwrap_or_default(),
            enforcement_point.unwrap_or_default(),
            reported_by.to_string(),
            decision.id,
        ]
    };
    let columns = vec![
        "time",
        "outcome",
        "tool",
        "reason",
        "client_id",
        "subject",
        "scopes",
        "duration_ms",
        "enforcement_point",
        "reported_by",
        "id",
    ];
    Table::list(columns, page.records.into_iter().map(row).collect())
}
