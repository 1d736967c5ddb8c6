//! Section `dcr`: who may register a client, and for how long it stays (RFC 7591).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Error;

/// Dynamic client registration. Variables `HOLDFAST_DCR__…`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dcr {
    /// Until `holdfast admin dcr set` says otherwise: `open`, `approved_redirects` or `admin_only`. Default `approved_redirects`.
    pub mode: Mode,
    /// https redirect URIs, each exactly, that clients may register with `approved_redirects`. Default none.
    pub approved_redirects: BTreeSet<String>,
    /// Private-use schemes that clients may redirect to, also those of metadata documents and, without a dot in them,
    /// those of resources (RFC 8252 §7.1). Default `cursor`, `vscode`.
    pub private_use_schemes: BTreeSet<String>,
    /// How many registered clients there may be; one more takes the place of the oldest that was never used.
    /// Default 10000, 1 to 1000000.
    pub max_clients: i64,
    /// Registrations from one source address in an hour. Default 60, 1 to 100000.
    pub registrations_per_hour: u32,
    /// Hours after which a client that was never used ends. Default 24, 1 to 8760.
    pub unused_hours: i64,
    /// Days after the last token when a client ends, unless a grant of it lives. Default 90, 1 to 3650.
    pub idle_days: i64,
}

/// See [`Dcr::mode`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Anybody, with any https redirect URI.
    Open,
    /// Anybody, with redirect URIs on loopback, of a known private-use scheme, or that are approved.
    #[default]
    ApprovedRedirects,
    /// Who was invited by an administrator.
    AdminOnly,
}

impl Default for Dcr {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            approved_redirects: BTreeSet::new(),
            private_use_schemes: ["cursor", "vscode"].map(str::to_owned).into(),
            max_clients: 10_000,
            registrations_per_hour: 60,
            unused_hours: 24,
            idle_days: 90,
        }
    }
}

impl Dcr {
    pub(super) fn validate(&self) -> Result<(), Error> {
        if self.approved_redirects.iter().any(|uri| !uri.starts_with("https://") || uri.contains('*')) {
            return Err(Error::invalid("dcr.approved_redirects", "expected https URIs, each as it is registered"));
        }
        let scheme = |text: &str| {
            let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'.' | b'-');
            text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(inner)
        };
        if !self.private_use_schemes.iter().all(|text| scheme(text)) {
            return Err(Error::invalid("dcr.private_use_schemes", "expected schemes in lower case, without a colon"));
        }
        let ranges = [
            ("dcr.max_clients", self.max_clients, 1_000_000),
            ("dcr.registrations_per_hour", i64::from(self.registrations_per_hour), 100_000),
            ("dcr.unused_hours", self.unused_hours, 8760),
            ("dcr.idle_days", self.idle_days, 3650),
        ];
        super::within(&ranges)
    }
}
