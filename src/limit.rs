//! How often somebody may come: to everybody a budget of their own, spent at once or piece by piece and filled again
//! evenly. A limit costs a look into a map, so that it may stand before everything else; each replica counts alone.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::domain::source::network;

/// Who was quiet for a while is forgotten every so many requests.
const SWEEP: u32 = 1024;

pub struct Limiter<K: Clone + Eq + Hash> {
    budgets: DefaultKeyedRateLimiter<K>,
    seen: AtomicU32,
}

impl<K: Clone + Eq + Hash> Limiter<K> {
    /// So many in a minute, all at once if need be; 0 counts as 1.
    pub fn per_minute(most: u32) -> Self {
        Self::new(Quota::per_minute(at_least_one(most)))
    }

    /// So many in an hour, all at once if need be; 0 counts as 1.
    pub fn per_hour(most: u32) -> Self {
        Self::new(Quota::per_hour(at_least_one(most)))
    }

    fn new(quota: Quota) -> Self {
        Self { budgets: RateLimiter::keyed(quota), seen: AtomicU32::new(0) }
    }

    /// Counts one.
    ///
    /// # Errors
    /// How long to wait, once there were too many.
    pub fn count(&self, who: &K) -> Result<(), Duration> {
        if self.seen.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            self.budgets.retain_recent();
        }
        // the limiter's own clock: making one asks the processor what it is, which a virtual machine answers in 10 µs
        self.budgets.check_key(who).map_err(|until| until.wait_time_from(self.budgets.clock().now()))
    }
}

impl Limiter<IpAddr> {
    /// Counts one against the network of this source.
    ///
    /// # Errors
    /// How long to wait, once there were too many.
    pub fn count_source(&self, source: IpAddr) -> Result<(), Duration> {
        self.count(&network(source))
    }
}

fn at_least_one(most: u32) -> NonZeroU32 {
    NonZeroU32::new(most).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_runs_dry_and_its_neighbour_does_not() {
        let limiter = Limiter::per_minute(2);
        let at = |text: &str| limiter.count_source(text.parse().unwrap());
        assert!(at("192.0.2.1").is_ok() && at("::ffff:192.0.2.1").is_ok());
        assert!(at("192.0.2.1").unwrap_err() <= Duration::from_secs(30));
        assert!(at("192.0.2.2").is_ok());
        assert!(at("2001:db8::1").is_ok() && at("2001:db8::2").is_ok() && at("2001:db8::3").is_err());
    }

    #[test]
    fn an_hour_is_longer_than_a_minute() {
        let limiter = Limiter::per_hour(1);
        assert!(limiter.count(&"one").is_ok());
        let wait = limiter.count(&"one").unwrap_err();
        assert!(wait > Duration::from_secs(3000) && wait <= Duration::from_secs(3600), "{wait:?}");
    }
}
