//! The configuration: one YAML file, overridden by `HOLDFAST_SECTION__KEY` variables; an unknown key is refused.

pub mod cimd;
pub mod database;
pub mod dcr;
pub mod device;
pub mod dpop;
pub mod enforcement;
pub mod exchange;
pub mod keys;
pub mod logging;
pub mod login;
pub mod metrics;
pub mod operator;
pub mod outbound;
pub mod par;
pub mod purge;
pub mod rate_limits;
pub mod server;
pub mod sessions;
pub mod settings;
pub mod source;
pub mod tokens;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use database::DatabaseUrl;
pub use logging::Format;
pub use operator::Mode;
pub use settings::{MasterKeyPlace, Settings};
pub use source::{Environment, load};

/// The file as it is written. [`Settings`] is what follows from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name of this installation, a DNS label; a database belongs to one. Default `default`.
    pub installation: String,
    /// Issuer URL, the `iss` of every token (RFC 8414 §2), without a slash at its end: https, or http on
    /// localhost, 127.0.0.1 or [::1].
    /// Default `http://localhost:9000`; required when a listener is not on loopback, and in a pod.
    pub issuer: Option<String>,
    /// Listeners.
    pub server: server::Server,
    /// The database.
    pub database: database::Database,
    /// Keys at rest.
    pub keys: keys::Keys,
    /// How people sign in.
    pub login: login::Login,
    /// How long they stay signed in.
    pub sessions: sessions::Sessions,
    /// Issued tokens.
    pub tokens: tokens::Tokens,
    /// Pushed authorization requests.
    pub par: par::Par,
    /// DPoP proofs.
    pub dpop: dpop::Dpop,
    /// The device grant.
    pub device: device::Device,
    /// Tokens made from tokens.
    pub exchange: exchange::Exchange,
    /// Who enforces policy.
    pub enforcement: enforcement::Enforcement,
    /// The Kubernetes operator.
    pub operator: operator::Operator,
    /// A folder of manifests to hold the server to, instead of a cluster. Default none.
    pub policy_dir: Option<PathBuf>,
    /// Metrics.
    pub metrics: metrics::Metrics,
    /// The log.
    pub logging: logging::Logging,
    /// Clearing away what has expired.
    pub purge: purge::Purge,
    /// The audit.
    pub audit: purge::Audit,
    /// Calls that enforcement points report.
    pub access_log: purge::AccessLog,
    /// What one source address may try.
    pub rate_limits: rate_limits::RateLimits,
    /// Dynamic client registration.
    pub dcr: dcr::Dcr,
    /// Client ID metadata documents.
    pub cimd: cimd::Cimd,
    /// What is fetched from elsewhere.
    pub outbound: outbound::Outbound,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            installation: "default".to_owned(),
            issuer: None,
            server: server::Server::default(),
            database: database::Database::default(),
            keys: keys::Keys::default(),
            login: login::Login::default(),
            sessions: sessions::Sessions::default(),
            tokens: tokens::Tokens::default(),
            par: par::Par::default(),
            dpop: dpop::Dpop::default(),
            device: device::Device::default(),
            exchange: exchange::Exchange::default(),
            enforcement: enforcement::Enforcement::default(),
            operator: operator::Operator::default(),
            policy_dir: None,
            metrics: metrics::Metrics::default(),
            logging: logging::Logging::default(),
            purge: purge::Purge::default(),
            audit: purge::Audit::default(),
            access_log: purge::AccessLog::default(),
            rate_limits: rate_limits::RateLimits::default(),
            dcr: dcr::Dcr::default(),
            cimd: cimd::Cimd::default(),
            outbound: outbound::Outbound::default(),
        }
    }
}

/// Why there is no usable configuration. Each is one line and names the key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to read the configuration file {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("failed to parse the configuration file {}", path.display())]
    Parse { path: PathBuf, source: serde_yaml::Error },
    #[error("{key} uses ${{{variable}}}, which is not set")]
    Unresolved { key: String, variable: String },
    #[error("{key} holds a `${{` that is not of the form ${{NAME}}; write `$${{` for the characters themselves")]
    Malformed { key: String },
    #[error("unknown key {key} in {place}; known here: {known}")]
    Unknown { key: String, place: String, known: String },
    #[error("{key} in {place}: {problem}")]
    Value { key: String, place: String, problem: String },
    #[error("{key}: {problem}")]
    Invalid { key: String, problem: String },
}

impl Error {
    /// The value of `key` cannot be used; `problem` says what is expected instead.
    pub fn invalid(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid { key: key.into(), problem: problem.into() }
    }
}

impl Config {
    /// Whether every value is one that can be used, alone and together.
    pub fn validate(&self) -> Result<(), Error> {
        label("installation", &self.installation)?;
        self.server.validate()?;
        self.database.validate()?;
        self.keys.validate(self.operator.enabled)?;
        self.login.validate()?;
        self.sessions.validate()?;
        self.tokens.validate()?;
        self.par.validate()?;
        self.dpop.validate()?;
        self.device.validate()?;
        self.exchange.validate()?;
        self.enforcement.validate()?;
        self.operator.validate()?;
        self.metrics.validate()?;
        self.purge.validate()?;
        self.audit.validate()?;
        self.access_log.validate()?;
        self.rate_limits.validate()?;
        self.dcr.validate()?;
        self.cimd.validate()?;
        self.outbound.validate()?;
        if self.operator.enabled && self.policy_dir.is_some() {
            return Err(Error::invalid("policy_dir", "a policy directory and operator.enabled exclude each other"));
        }
        Ok(())
    }
}

/// Each value from 1 to its maximum.
fn within(ranges: &[(&str, i64, i64)]) -> Result<(), Error> {
    match ranges.iter().find(|(_, value, most)| !(1..=*most).contains(value)) {
        None => Ok(()),
        Some((key, _, most)) => Err(Error::invalid(*key, format!("expected 1 to {most}"))),
    }
}

/// A DNS label (RFC 1123 §2.1), as namespaces are named.
fn label(key: &str, text: &str) -> Result<(), Error> {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let good =
        (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-');
    good.then_some(()).ok_or_else(|| Error::invalid(key, "expected 1 to 63 of a-z, 0-9 and -, with no - at either end"))
}
