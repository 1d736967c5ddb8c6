//! How often an address may fail: a guess costs a database read, so strangers get only so many.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Old addresses are forgotten every so many failures.
const SWEEP: u32 = 1024;

pub(super) struct Failures {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    seen: AtomicU32,
}

impl Failures {
    /// So many in a minute, all at once if need be.
    pub fn new(per_minute: u32) -> Self {
        let quota = Quota::per_minute(NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN));
        Self { limiter: RateLimiter::keyed(quota), seen: AtomicU32::new(0) }
    }

    /// Counts a failure.
    ///
    /// # Errors
    /// How long to wait, once there were too many.
    pub fn count(&self, source: IpAddr) -> Result<(), Duration> {
        if self.seen.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            self.limiter.retain_recent();
        }
        let now = DefaultClock::default().now();
        self.limiter.check_key(&network(source)).map_err(|until| until.wait_time_from(now))
    }
}

/// Whoever has one IPv6 address has its whole /64.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_runs_dry_and_its_neighbour_does_not() {
        let failures = Failures::new(2);
        let at = |text: &str| failures.count(text.parse().unwrap());
        assert!(at("192.0.2.1").is_ok() && at("::ffff:192.0.2.1").is_ok());
        assert!(at("192.0.2.1").unwrap_err() <= Duration::from_secs(30));
        assert!(at("192.0.2.2").is_ok());
        assert!(at("2001:db8::1").is_ok() && at("2001:db8::2").is_ok() && at("2001:db8::3").is_err());
    }
}
