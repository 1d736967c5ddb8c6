//! How often a client may come: it has a budget for each endpoint.

use std::net::IpAddr;

use super::AuthorizationServer;
use super::client_auth::Authenticated;
use super::error::Error;
use crate::domain::source::network;
use crate::limit::Limiter;

/// Endpoints where clients authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientEndpoint {
    Token,
    Introspect,
    Revoke,
    Par,
    Device,
    Policy,
}

/// Requests of one client in a minute at each of them; 0 = no limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClientLimits {
    pub token: u32,
    pub introspect: u32,
    pub revoke: u32,
    pub par: u32,
    pub device: u32,
    /// Of a resource server, or of whoever acts as it.
    pub policy: u32,
}

#[derive(Default)]
pub(super) struct Budgets {
    /// By [`ClientEndpoint`].
    limiters: [Option<Limiter<String>>; 6],
}

impl Budgets {
    pub fn new(limits: ClientLimits) -> Self {
        let ClientLimits { token, introspect, revoke, par, device, policy } = limits;
        let limiter = |per_minute: u32| (per_minute > 0).then(|| Limiter::per_minute(per_minute));
        Self { limiters: [token, introspect, revoke, par, device, policy].map(limiter) }
    }

    pub fn spend(&self, endpoint: ClientEndpoint, who: &String) -> Result<(), Error> {
        let Some(limiter) = &self.limiters[endpoint as usize] else { return Ok(()) };
        limiter.count(who).map_err(|retry_after| Error::Throttled { retry_after })
    }
}

impl AuthorizationServer {
    /// Counts a request against its sender: by its id whoever proved who it is, by id and source a public client, whose
    /// id everybody may use.
    ///
    /// # Errors
    /// When there were too many.
    pub(super) fn count(&self, endpoint: ClientEndpoint, sender: &Authenticated, source: IpAddr) -> Result<(), Error> {
        match sender.is_proved() {
            true => self.inner.budgets.spend(endpoint, sender.caller.name()),
            false => self.inner.budgets.spend(endpoint, &format!("{} {}", network(source), sender.caller.id())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S21
    #[test]
    fn a_budget_is_each_client_s_own() {
        let budgets = Budgets::new(ClientLimits { token: 2, introspect: 1, ..ClientLimits::default() });
        let (one, other) = ("one".to_owned(), "other".to_owned());
        assert!(
            budgets.spend(ClientEndpoint::Token, &one).is_ok() && budgets.spend(ClientEndpoint::Token, &one).is_ok()
        );
        assert!(matches!(budgets.spend(ClientEndpoint::Token, &one), Err(Error::Throttled { .. })));
        assert!(budgets.spend(ClientEndpoint::Token, &other).is_ok());
        for _ in 0..1000 {
            assert!(budgets.spend(ClientEndpoint::Revoke, &one).is_ok(), "no limit");
        }
    }
}
