//! How often somebody may come: a guess costs a database read, so strangers get few; a client has a budget for each
//! endpoint.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::AuthorizationServer;
use super::client_auth::Authenticated;
use super::error::Error;
use crate::domain::source::network;

/// Who was quiet for a while is forgotten every so many requests.
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

    /// So many in an hour, all at once if need be.
    pub fn per_hour(most: u32) -> Self {
        let quota = Quota::per_hour(NonZeroU32::new(most).unwrap_or(NonZeroU32::MIN));
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

/// The same by name: how often a host may be troubled.
pub(super) struct Names {
    limiter: DefaultKeyedRateLimiter<String>,
    seen: AtomicU32,
}

impl Names {
    pub fn new(per_minute: u32) -> Self {
        let quota = Quota::per_minute(NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN));
        Self { limiter: RateLimiter::keyed(quota), seen: AtomicU32::new(0) }
    }

    /// Counts one.
    ///
    /// # Errors
    /// How long to wait, once there were too many.
    pub fn count(&self, name: &str) -> Result<(), Duration> {
        if self.seen.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            self.limiter.retain_recent();
        }
        let now = DefaultClock::default().now();
        self.limiter.check_key(&name.to_ascii_lowercase()).map_err(|until| until.wait_time_from(now))
    }
}

/// Endpoints where clients authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientEndpoint {
    Token,
    Introspect,
    Revoke,
    Par,
    Device,
}

/// Requests of one client in a minute at each of them; 0 = no limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClientLimits {
    pub token: u32,
    pub introspect: u32,
    pub revoke: u32,
    pub par: u32,
    pub device: u32,
}

#[derive(Default)]
pub(super) struct Budgets {
    /// By [`ClientEndpoint`].
    limiters: [Option<DefaultKeyedRateLimiter<String>>; 5],
    seen: AtomicU32,
}

impl Budgets {
    pub fn new(limits: ClientLimits) -> Self {
        let ClientLimits { token, introspect, revoke, par, device } = limits;
        let limiter = |per_minute| NonZeroU32::new(per_minute).map(|n| RateLimiter::keyed(Quota::per_minute(n)));
        Self { limiters: [token, introspect, revoke, par, device].map(limiter), seen: AtomicU32::new(0) }
    }

    fn spend(&self, endpoint: ClientEndpoint, who: &String) -> Result<(), Error> {
        let Some(limiter) = &self.limiters[endpoint as usize] else { return Ok(()) };
        let spent = limiter.check_key(who);
        if self.seen.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            self.limiters.iter().flatten().for_each(|limiter| limiter.retain_recent());
        }
        let now = DefaultClock::default().now();
        spent.map_err(|until| Error::Throttled { retry_after: until.wait_time_from(now) })
    }
}

impl AuthorizationServer {
    /// Counts a request against its sender: by its id whoever proved who it is, by id and source a public client, whose
    /// id everybody may use.
    ///
    /// # Errors
    /// When there were too many.
    pub(super) fn count(&self, endpoint: ClientEndpoint, sender: &Authenticated, source: IpAddr) -> Result<(), Error> {
        match sender.credential.is_some() || sender.assertion.is_some() {
            true => self.inner.budgets.spend(endpoint, sender.caller.name()),
            false => self.inner.budgets.spend(endpoint, &format!("{} {}", network(source), sender.caller.id())),
        }
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

    /// S21: what is counted costs next to nothing beside a signature.
    #[test]
    fn a_budget_is_each_client_s_own_and_costs_nothing_noticeable() {
        let budgets = Budgets::new(ClientLimits { token: 2, introspect: 100_000_000, ..ClientLimits::default() });
        let (one, other) = ("one".to_owned(), "other".to_owned());
        assert!(
            budgets.spend(ClientEndpoint::Token, &one).is_ok() && budgets.spend(ClientEndpoint::Token, &one).is_ok()
        );
        assert!(matches!(budgets.spend(ClientEndpoint::Token, &one), Err(Error::Throttled { .. })));
        assert!(budgets.spend(ClientEndpoint::Token, &other).is_ok());
        for _ in 0..1000 {
            assert!(budgets.spend(ClientEndpoint::Revoke, &one).is_ok(), "no limit");
        }
        let began = std::time::Instant::now();
        for _ in 0..20_000 {
            assert!(budgets.spend(ClientEndpoint::Introspect, &one).is_ok());
        }
        let each = began.elapsed() / 20_000;
        assert!(each < Duration::from_micros(50), "{each:?} in a build without optimisation");
    }
}
