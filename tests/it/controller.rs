//! The controller against a real API server, its store a SQLite file of the test's own.

mod activity;
mod adoption;
mod alone;
mod brake;
mod definitions;
mod deletion;
mod drift;
pub mod enforcement;
mod faults;
mod gitops;
pub mod harness;
mod lease;
mod lifecycle;
mod orphans;
mod references;
mod secrets;
mod strangers;
mod walk;
