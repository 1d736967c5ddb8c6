//! `holdfast serve`.

use std::path::PathBuf;

use super::{Failure, block_on};
use crate::app;
use crate::config::{self, Environment, Settings};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Hold the server to the manifests below this folder, without a cluster
    #[arg(long, value_name = "DIR")]
    policy_dir: Option<PathBuf>,
}

/// Serves until SIGTERM or SIGINT.
pub fn run(
    arguments: &Arguments,
    environment: Environment,
    settings: impl FnOnce(Environment) -> Result<Settings, config::Error>,
) -> Result<(), Failure> {
    let environment = match &arguments.policy_dir {
        Some(dir) => environment.with("HOLDFAST_POLICY_DIR", &dir.to_string_lossy()),
        None => environment,
    };
    let settings = settings(environment)?;
    block_on(app::serve(settings))
}
