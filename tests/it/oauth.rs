//! The protocol over real HTTP, on a real database.

mod authentication;
mod database_away;
pub mod harness;
mod introspection;
mod keys;
mod metadata;
mod policy;
mod revocation;
mod token;
