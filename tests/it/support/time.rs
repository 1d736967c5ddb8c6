//! A clock that stands still until it is told, and chance.

use std::sync::atomic::{AtomicI64, Ordering};

use holdfast::domain::clock::EntropyUnavailable;
use jiff::Timestamp;

/// Starts at a fixed second of 2026.
pub struct Clock(AtomicI64);

impl Default for Clock {
    fn default() -> Self {
        Self(AtomicI64::new(1_790_000_000_000_000))
    }
}

impl Clock {
    pub fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    pub fn at(&self) -> Timestamp {
        Timestamp::from_microsecond(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

impl holdfast::domain::Clock for Clock {
    fn now(&self) -> Timestamp {
        self.at()
    }
}

pub struct Chance;

impl holdfast::domain::Entropy for Chance {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
        for chunk in bytes.chunks_mut(16) {
            let random = uuid::Uuid::new_v4();
            chunk.copy_from_slice(&random.as_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}
