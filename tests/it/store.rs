//! The store on both engines, one body a test.

pub mod engine;
mod entities;
mod feed;
mod fencing;
mod issuance;
mod keys;
mod open;
mod remembered;
mod samples;
