//! From configuration to how strangers' clients are dealt with.

use std::sync::Arc;

use jiff::SignedDuration;

use super::Error;
use super::door::{Door, policy};
use crate::config::Settings;
use crate::config::cimd::OtherDomains;
use crate::config::dcr;
use crate::domain::Observer;
use crate::manifest::Trusted;
use crate::oauth::{DocumentOptions, Domains, DynamicParts, Mode, RedirectPolicy, RegistrationOptions, Verdict};
use crate::outbound::{self, Outbound};

/// Until somebody switches it.
pub const fn mode(mode: dcr::Mode) -> Mode {
    match mode {
        dcr::Mode::Open => Mode::Open,
        dcr::Mode::ApprovedRedirects => Mode::ApprovedRedirects,
        dcr::Mode::AdminOnly => Mode::AdminOnly,
    }
}

pub fn parts(settings: &Settings, door: &Door, observer: Arc<dyn Observer>) -> Result<DynamicParts, Error> {
    let (dcr, cimd) = (&settings.config.dcr, &settings.config.cimd);
    let redirects = RedirectPolicy {
        private_use_schemes: dcr.private_use_schemes.clone(),
        approved: dcr.approved_redirects.clone(),
        only_approved: false,
    };
    Ok(DynamicParts {
        registration: RegistrationOptions {
            mode: mode(dcr.mode),
            redirects: redirects.clone(),
            max_clients: dcr.max_clients,
            per_hour: dcr.registrations_per_hour,
        },
        documents: DocumentOptions {
            enabled: cimd.enabled,
            domains: Domains {
                allowed: cimd.allowed_domains.clone(),
                denied: cimd.denied_domains.clone(),
                others: match cimd.other_domains {
                    OtherDomains::Allow => Verdict::Allowed,
                    OtherDomains::Warn => Verdict::Warned,
                    OtherDomains::Deny => Verdict::Denied,
                },
            },
            same_host: cimd.same_host_redirects,
            redirects,
            fresh: (
                SignedDuration::from_secs(cimd.min_fresh_seconds),
                SignedDuration::from_secs(cimd.max_fresh_seconds),
            ),
            last_good: SignedDuration::from_hours(cimd.last_good_hours),
            max_clients: cimd.max_clients,
            per_source: cimd.fetches_per_source,
            per_host: cimd.fetches_per_host,
        },
        outbound: outbound(settings)?,
        observer,
        trusted: match policy(settings, door.namespace()).trusted {
            Trusted::All => None,
            Trusted::Only(namespaces) => Some(namespaces),
        },
    })
}

fn outbound(settings: &Settings) -> Result<Outbound, Error> {
    let config = &settings.config.outbound;
    let authorities = match &config.ca_file {
        Some(path) => std::fs::read(path)
            .map_err(|error| Error::Usage(format!("failed to read outbound.ca_file {}: {error}", path.display())))?,
        None => Vec::new(),
    };
    let outbound = Outbound::new(outbound::Options {
        // what is neither is refused with the configuration
        allowed_private: config.allowed_private.iter().filter_map(|text| text.parse().ok()).collect(),
        loopback: config.loopback,
        authorities,
        ..outbound::Options::default()
    });
    if !outbound.is_usable() {
        tracing::warn!(
            event = "outbound_unusable",
            "no certificate authorities: nothing can be fetched from elsewhere"
        );
    }
    Ok(outbound)
}
