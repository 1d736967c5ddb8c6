//! The store on both engines, one body a test.

mod engine;
mod entities;
mod samples;
