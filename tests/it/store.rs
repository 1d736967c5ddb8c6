//! The store on both engines, one body a test.

pub mod engine;
mod entities;
mod samples;
