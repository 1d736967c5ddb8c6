//! The protocol over real HTTP, on a real database.

pub mod assertions;
mod authentication;
pub mod authorize;
mod code;
mod database_away;
mod documents;
pub mod harness;
mod introspection;
mod keys;
mod metadata;
pub mod person;
mod policy;
mod refusals;
mod registration;
mod revocation;
mod rotation;
mod token;
mod vault;
