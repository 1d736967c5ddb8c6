//! Limits of requests, from the configuration to who keeps them.

use super::Error;
use crate::config::Settings;
use crate::http::Sources;
use crate::metrics::Endpoint;
use crate::oauth::ClientLimits;

/// Of clients that authenticate.
pub fn of_clients(settings: &Settings) -> ClientLimits {
    let limits = &settings.config.rate_limits;
    ClientLimits {
        token: limits.token_per_minute,
        introspect: limits.introspect_per_minute,
        revoke: limits.revoke_per_minute,
        par: limits.par_per_minute,
        device: limits.device_per_minute,
        policy: limits.policy_per_minute,
    }
}

/// Of everybody else at the public port.
pub fn of_sources(settings: &Settings) -> Result<Sources, Error> {
    let limits = &settings.config.rate_limits;
    let per_minute = vec![
        (Endpoint::Device, limits.device_per_minute),
        (Endpoint::Authorize, limits.authorize_per_minute),
        (Endpoint::Login, limits.login_per_minute),
        (Endpoint::Register, limits.register_per_minute),
    ];
    sources(settings, per_minute)
}

/// At the admin port.
pub fn of_admins(settings: &Settings) -> Result<Sources, Error> {
    sources(settings, vec![(Endpoint::Admin, settings.config.rate_limits.admin_per_minute)])
}

fn sources(settings: &Settings, per_minute: Vec<(Endpoint, u32)>) -> Result<Sources, Error> {
    let trusted_proxies = settings.config.server.proxies();
    let trusted_proxies = trusted_proxies.map_err(|error| Error::Usage(error.to_string()))?;
    Ok(Sources { trusted_proxies, per_minute })
}
