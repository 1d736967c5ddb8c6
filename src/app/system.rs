//! The system's clock and its random source: the only places where either is read.

use jiff::Timestamp;

use crate::domain::clock::EntropyUnavailable;
use crate::domain::{Clock, Entropy};

/// The clock on the wall, UTC.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // everything else takes this clock as an argument
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The operating system's generator, through the cryptographic library.
#[derive(Debug, Clone, Copy)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
        aws_lc_rs::rand::fill(bytes).map_err(|_| EntropyUnavailable)
    }
}
