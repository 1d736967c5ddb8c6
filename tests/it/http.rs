//! The ports: administration, health, metrics, and errors that are always JSON.

mod admin;
mod log;
mod ports;
