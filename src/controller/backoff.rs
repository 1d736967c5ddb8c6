//! How long to wait: longer after each failure of the same object, and never all at once.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::OwnerKey;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);

/// Consecutive failures by object.
#[derive(Default)]
pub(super) struct Backoff(Mutex<HashMap<OwnerKey, u32>>);

impl Backoff {
    /// Another failure; how long to wait before the next attempt.
    pub(super) fn failed(&self, key: &OwnerKey) -> Duration {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(key.clone()).or_default();
        let wait = FIRST.saturating_mul(2u32.saturating_pow(*count)).min(LONGEST);
        *count = count.saturating_add(1);
        spread(key, wait)
    }

    pub(super) fn succeeded(&self, key: &OwnerKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// `period` and up to a quarter more, always the same for one object, so that objects spread out over time.
pub(super) fn spread(key: &OwnerKey, period: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    period + period.mul_f64(f64::from((hasher.finish() % 256) as u8) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Kind;

    #[test]
    fn each_failure_waits_longer_up_to_a_minute() {
        let (backoff, key) = (Backoff::default(), OwnerKey::new(Kind::OAuthClient, "web", "portal"));
        let waits: Vec<_> = (0..12).map(|_| backoff.failed(&key)).collect();
        assert!(waits[0] < Duration::from_secs(1) && waits[1] > waits[0], "{waits:?}");
        assert!(waits[11] >= LONGEST && waits[11] <= LONGEST.mul_f64(1.25), "{waits:?}");
        backoff.succeeded(&key);
        assert_eq!(backoff.failed(&key), waits[0]);
    }

    #[test]
    fn objects_do_not_come_back_all_at_once() {
        let at = |name: &str| spread(&OwnerKey::new(Kind::OAuthClient, "web", name), Duration::from_secs(300));
        let distinct: std::collections::BTreeSet<_> = (0..40).map(|n| at(&n.to_string())).collect();
        assert!(distinct.len() > 20);
    }
}
