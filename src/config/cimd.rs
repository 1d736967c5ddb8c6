//! Section `cimd`: clients that a document at the URL of their id describes.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Error;

/// Client ID metadata documents. Variables `HOLDFAST_CIMD__…`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cimd {
    /// Whether `https://…` client ids are fetched at all. Default true.
    pub enabled: bool,
    /// Domains, with all names below them, whose documents are trusted. Default none.
    pub allowed_domains: BTreeSet<String>,
    /// Domains, with all names below them, whose documents are refused; also those that are known. Default none.
    pub denied_domains: BTreeSet<String>,
    /// What holds for every other domain: `allow`, `warn` on the consent page, or `deny`. Default `allow`.
    pub other_domains: OtherDomains,
    /// Whether redirect URIs, but those on loopback, must be on the document's own host. Default false.
    pub same_host_redirects: bool,
    /// Seconds for which a document is fresh at least, whatever it says. Default 300, 60 to 86400.
    pub min_fresh_seconds: i64,
    /// And at most. Default 86400, 60 to 604800.
    pub max_fresh_seconds: i64,
    /// Hours for which grants go on with the last good document when it cannot be fetched. Default 168, 1 to 8760.
    pub last_good_hours: i64,
    /// How many such clients there may be; one more takes the place of the oldest that was never used.
    /// Default 10000, 1 to 1000000.
    pub max_clients: i64,
    /// Fetches that one source address may cause in a minute. Default 30, 1 to 10000.
    pub fetches_per_source: u32,
    /// Fetches from one host in a minute. Default 60, 1 to 10000.
    pub fetches_per_host: u32,
}

/// See [`Cimd::other_domains`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OtherDomains {
    #[default]
    Allow,
    Warn,
    Deny,
}

impl Default for Cimd {
    fn default() -> Self {
        Self {
            enabled: true,
            allowed_domains: BTreeSet::new(),
            denied_domains: BTreeSet::new(),
            other_domains: OtherDomains::default(),
            same_host_redirects: false,
            min_fresh_seconds: 300,
            max_fresh_seconds: 86_400,
            last_good_hours: 168,
            max_clients: 10_000,
            fetches_per_source: 30,
            fetches_per_host: 60,
        }
    }
}

impl Cimd {
    pub(super) fn validate(&self) -> Result<(), Error> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
        let domain = |text: &String| {
            !text.is_empty() && text.bytes().all(inner) && !text.starts_with('.') && !text.ends_with('.')
        };
        for (key, list) in
            [("cimd.allowed_domains", &self.allowed_domains), ("cimd.denied_domains", &self.denied_domains)]
        {
            if !list.iter().all(domain) {
                return Err(Error::invalid(key, "expected domains such as example.com, in lower case"));
            }
        }
        if self.min_fresh_seconds < 60 || self.min_fresh_seconds > self.max_fresh_seconds {
            return Err(Error::invalid("cimd.min_fresh_seconds", "expected 60 to cimd.max_fresh_seconds"));
        }
        super::within(&[
            ("cimd.max_fresh_seconds", self.max_fresh_seconds, 604_800),
            ("cimd.last_good_hours", self.last_good_hours, 8760),
            ("cimd.max_clients", self.max_clients, 1_000_000),
            ("cimd.fetches_per_source", i64::from(self.fetches_per_source), 10_000),
            ("cimd.fetches_per_host", i64::from(self.fetches_per_host), 10_000),
        ])
    }
}
