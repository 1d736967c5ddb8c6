//! The controller against a real API server, its store a SQLite file of the test's own.

mod deletion;
mod drift;
mod harness;
mod lease;
mod references;
mod secrets;
mod walk;
