//! The doors for requests: the public port, the admin port, the metrics port. Every answer is JSON, errors too.

pub mod admin;
mod extract;
mod gate;
mod health;
mod metrics;
mod observe;
pub mod public;
mod respond;
mod serve;

pub use self::gate::Sources;
pub use self::health::{Checks, Health};
pub use self::metrics::{MetricsPage, router as metrics_router};
pub use self::serve::serve;
