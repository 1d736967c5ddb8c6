//! The ports: administration, health, metrics, and errors that are always JSON.

mod admin;
mod limits;
mod log;
mod plan;
mod ports;
