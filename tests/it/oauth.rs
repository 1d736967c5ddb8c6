//! The protocol over real HTTP, on a real database.

pub mod assertions;
mod authentication;
pub mod authorize;
mod code;
mod database_away;
mod device;
mod documents;
mod dpop;
mod exchange;
pub mod harness;
mod introspection;
mod keys;
mod killed;
mod matrix;
mod metadata;
pub mod person;
mod policy;
pub mod prover;
mod races;
mod refresh;
mod refusals;
mod registration;
mod revocation;
mod rotation;
mod token;
mod truth;
mod vault;
