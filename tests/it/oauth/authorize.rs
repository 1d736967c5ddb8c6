//! The authorization endpoint, with a browser.

mod chromium;
mod documents;
mod pushed;
mod refusals;
pub mod stage;
mod transactions;
mod walk;
mod withdrawal;
