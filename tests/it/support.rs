//! What tests of several rooms share.

pub mod browser;
#[allow(dead_code)] // a helper may be written before the test that needs it
pub mod chromium;
#[allow(dead_code)] // as above
pub mod cluster;
pub mod elsewhere;
pub mod lossy;
pub mod postgres;
pub mod server;
pub mod time;
