//! The operator on bad days: a proxy between it and the API server does what networks and servers do, and after each
//! fault the invariants are checked. FT-01 to FT-11; see `docs/faults.md`.

mod conflicts;
mod crashes;
pub mod invariants;
mod leaders;
mod outages;
pub mod proxy;
mod refusals;
mod secrets;
pub mod site;
mod stale;
mod watches;
