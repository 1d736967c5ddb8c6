//! How often codes may be typed: who guesses finds nothing in the time that a code lives (RFC 8628 §5.1).

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Codes that one session may type in a minute.
const PER_SESSION: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);
/// Codes that all of them together may type in a minute, at one replica. In the half hour that a code can live at
/// most, 18000 tries meet one of a thousand waiting codes with a chance of less than one in a thousand.
const TOGETHER: NonZeroU32 = NonZeroU32::MIN.saturating_add(599);
/// Old sessions are forgotten every so many tries.
const SWEEP: u32 = 256;

pub(in crate::oauth) struct Tries {
    sessions: DefaultKeyedRateLimiter<String>,
    together: DefaultDirectRateLimiter,
    seen: AtomicU32,
}

impl Default for Tries {
    fn default() -> Self {
        Self {
            sessions: RateLimiter::keyed(Quota::per_minute(PER_SESSION)),
            together: RateLimiter::direct(Quota::per_minute(TOGETHER)),
            seen: AtomicU32::new(0),
        }
    }
}

impl Tries {
    /// Counts a try.
    ///
    /// # Errors
    /// How long to wait, once there were too many.
    pub fn count(&self, session_id: &str) -> Result<(), Duration> {
        if self.seen.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            self.sessions.retain_recent();
        }
        let now = DefaultClock::default().now();
        self.sessions.check_key(&session_id.to_owned()).map_err(|until| until.wait_time_from(now))?;
        self.together.check().map_err(|until| until.wait_time_from(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// L-01
    #[test]
    fn a_session_types_five_codes_a_minute() {
        let tries = Tries::default();
        assert!((0..5).all(|_| tries.count("one").is_ok()));
        assert!(tries.count("one").unwrap_err() <= Duration::from_secs(12));
        assert!(tries.count("another").is_ok());
        assert!((0..700).any(|n| tries.count(&n.to_string()).is_err()), "and all of them together so many");
    }
}
