//! The store on both engines, one body a test.

mod audit;
mod away;
mod consents;
pub mod engine;
mod entities;
mod feed;
mod fencing;
mod issuance;
mod keys;
mod lineage;
mod open;
mod purge;
mod remembered;
mod replay;
pub mod samples;
