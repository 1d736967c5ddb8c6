//! `holdfast purge`: clears away what has expired, beside a server that may be running.

use std::time::Duration;

use tokio::time::Instant;

use super::output::Table;
use super::{Failure, block_on};
use crate::app::system::SystemClock;
use crate::app::{Error, database, jobs};
use crate::config::Settings;
use crate::domain::purge::PurgeTarget;
use crate::domain::{Clock, chain};
use crate::jobs::purge::{Unfinished, sweep};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only these targets, separated by commas
    #[arg(long, value_delimiter = ',', value_parser = target, value_name = "TARGET,…")]
    only: Vec<PurgeTarget>,
    /// Stop after this long; 0 = never
    #[arg(long, default_value = "10m", value_parser = duration)]
    timeout: Duration,
}

fn target(text: &str) -> Result<PurgeTarget, String> {
    let known = || PurgeTarget::ALL.iter().map(|target| target.as_str()).collect::<Vec<_>>().join(", ");
    PurgeTarget::parse(text).ok_or_else(|| format!("known are {}", known()))
}

fn duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let parsed: Result<jiff::SignedDuration, _> = text.parse();
    let expected = || "a duration such as 10m, or 0".to_owned();
    parsed.ok().and_then(|duration| Duration::try_from(duration).ok()).ok_or_else(expected)
}

/// Exit code 1 if a target failed or the time ran out; the others are cleared all the same.
pub fn run(settings: &Settings, arguments: &Arguments) -> Result<Table, Failure> {
    block_on(async {
        let (store, _) = database::beside(settings).await?;
        let targets = if arguments.only.is_empty() { PurgeTarget::ALL } else { &arguments.only };
        let deadline = (!arguments.timeout.is_zero()).then(|| Instant::now() + arguments.timeout);
        let swept = sweep(&store, targets, (jobs::keep(settings), SystemClock.now()), None, deadline).await;
        let (mut rows, mut failed) = (Vec::new(), Vec::new());
        for (target, result) in &swept {
            let name = target.as_str().to_owned();
            match result {
                Ok(count) => rows.push(vec![name, count.to_string()]),
                Err(error @ Unfinished::Time(_)) => failed.push(format!("{name}: {error}")),
                Err(Unfinished::Store(error)) => failed.push(format!("{name}: {}", chain(error))),
            }
        }
        if failed.is_empty() {
            return Ok(Table::list(vec!["target", "rows"], rows));
        }
        Err(Error::Refused(format!("failed to purge {}", failed.join("; "))))
    })
}
