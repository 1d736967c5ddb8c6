//! What configuration says about which objects may say what, and what holds where they say nothing.

use std::collections::{BTreeMap, BTreeSet};

use url::Url;

use crate::domain::DriftMode;

/// The installation's rules for objects (mechanics of trust, defaults).
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Name of the installation.
    pub installation: String,
    /// The issuer; its host is for trusted namespaces only.
    pub issuer: Option<Url>,
    /// `operator.trusted_namespaces`.
    pub trusted: Trusted,
    /// `operator.resource_hosts`: the namespace that each of these hosts belongs to.
    pub resource_hosts: BTreeMap<String, String>,
    /// Whether `allowedNamespaces.from: Selector` can work: not where only listed namespaces are watched.
    pub selectors: bool,
    /// `operator.drift.mode`.
    pub drift_mode: DriftMode,
    /// `tokens.default_lifetime_seconds`, 60 to 3600.
    pub token_lifetime_seconds: i64,
    /// Private-use schemes without a dot that redirect URIs may have; those with a dot always may (RFC 8252 §7.1).
    pub private_use_schemes: BTreeSet<String>,
}

/// Namespaces that may say what has power over the whole installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trusted {
    /// The policy directory: whoever writes it is the administrator.
    All,
    Only(BTreeSet<String>),
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            installation: "default".to_owned(),
            issuer: None,
            trusted: Trusted::Only(BTreeSet::new()),
            resource_hosts: BTreeMap::new(),
            selectors: true,
            drift_mode: DriftMode::Enforce,
            token_lifetime_seconds: 900,
            private_use_schemes: ["cursor", "vscode"].map(str::to_owned).into(),
        }
    }
}

impl Policy {
    pub fn trusts(&self, namespace: &str) -> bool {
        match &self.trusted {
            Trusted::All => true,
            Trusted::Only(namespaces) => namespaces.contains(namespace),
        }
    }
}
