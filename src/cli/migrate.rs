//! `holdfast migrate`.

use super::output::Table;
use super::{Failure, block_on};
use crate::app;
use crate::config::Settings;

/// Applies what is missing; a second run applies nothing.
pub fn run(settings: &Settings) -> Result<Table, Failure> {
    let applied = block_on(app::migrate(settings))?;
    Ok(Table::one(vec![("applied", applied.to_string())]))
}
