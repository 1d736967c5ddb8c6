//! The protocol over real HTTP, on a real database.

mod authentication;
pub mod authorize;
mod code;
mod database_away;
pub mod harness;
mod introspection;
mod keys;
mod metadata;
pub mod person;
mod policy;
mod refusals;
mod revocation;
mod rotation;
mod token;
mod vault;
