//! How often codes may be typed: who guesses finds nothing in the time that a code lives (RFC 8628 §5.1).

use std::time::Duration;

use crate::limit::Limiter;

/// Codes that one session may type in a minute.
const PER_SESSION: u32 = 5;
/// Codes that all of them together may type in a minute, at one replica. In the half hour that a code can live at
/// most, 18000 tries meet one of a thousand waiting codes with a chance of less than one in a thousand.
const TOGETHER: u32 = 600;

pub(in crate::oauth) struct Tries {
    sessions: Limiter<String>,
    together: Limiter<()>,
}

impl Default for Tries {
    fn default() -> Self {
        Self { sessions: Limiter::per_minute(PER_SESSION), together: Limiter::per_minute(TOGETHER) }
    }
}

impl Tries {
    /// Counts a try.
    ///
    /// # Errors
    /// How long to wait, once there were too many.
    pub fn count(&self, session_id: &str) -> Result<(), Duration> {
        self.sessions.count(&session_id.to_owned())?;
        self.together.count(&())
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
