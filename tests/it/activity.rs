//! What happens to a live policy, and what those who enforce it are told.

mod access_log;
mod derived;
mod front;
mod killed;
mod log;
mod policy;
mod policy_accounts;
mod policy_consequences;
mod policy_manifest;
mod policy_points;
mod policy_stream;
mod program;
mod stage;
