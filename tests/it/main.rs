//! One integration binary; its tree mirrors `src`.
#![allow(clippy::unwrap_used, clippy::expect_used)] // clippy.toml allows them in #[test] functions only, not in their helpers

mod activity;
mod attacks;
mod chart;
mod cli;
mod config;
mod controller;
mod crd;
mod directory;
mod docs;
mod drift;
mod faults;
mod http;
mod identity;
mod jobs;
mod oauth;
mod outbound;
mod peers;
mod provision;
mod seal;
mod store;
mod support;
mod tidy;
mod walks;
