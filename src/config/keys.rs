//! Section `keys`: where the master key lives that encrypts keys at rest, where signing keys live, and when they change.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Error;

/// Keys at rest and signing keys. Variables `HOLDFAST_KEYS__…`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// File with the master key; made once, with mode 0600, when the database is new.
    /// Default `master.key` in `$XDG_DATA_HOME/holdfast`, or in `~/.local/share/holdfast`.
    pub master_key_file: Option<PathBuf>,
    /// Secret of the operator's namespace with the master key, instead of a file; made once. Needs a cluster. Default none.
    pub master_key_secret: Option<String>,
    /// Where new signing keys are kept: `database` (sealed under the master key), `file` or `vault`. Default `database`.
    pub store: Store,
    /// The store `file`.
    pub file: File,
    /// The store `vault`.
    pub vault: Vault,
    /// When signing keys are replaced.
    pub rotation: Rotation,
}

/// Where private halves are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    #[default]
    Database,
    File,
    Vault,
}

/// PEM files, one PKCS#8 key each.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct File {
    /// The folder; every replica needs the same files. Default `signing-keys` beside the default master key.
    pub folder: Option<PathBuf>,
}

/// A Transit engine of Vault or OpenBao.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Vault {
    /// `https://vault.example.com:8200`; http only on loopback. Default none; required with `store: vault`.
    pub address: Option<String>,
    /// Where the Transit engine is mounted. Default `transit`.
    pub mount: String,
    /// What the names of the three keys begin with: `holdfast-es256` and so on. Default `holdfast`.
    pub key_prefix: String,
    /// Namespace of OpenBao or Vault Enterprise. Default none.
    pub namespace: Option<String>,
    /// File with a token, read again every half minute. Default none.
    pub token_file: Option<PathBuf>,
    /// The Kubernetes auth method, instead of a token file.
    pub kubernetes: VaultKubernetes,
    /// File with more certificate authorities, in PEM. Default none.
    pub ca_file: Option<PathBuf>,
    /// How long one call may take. Default `2s`, 10ms to 30s.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub timeout: Duration,
}

/// The Kubernetes auth method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VaultKubernetes {
    /// The role to log in as. Default none: the method is not used.
    pub role: Option<String>,
    /// Where the method is mounted. Default `kubernetes`.
    pub mount: String,
    /// The projected ServiceAccount token. Default `/var/run/secrets/kubernetes.io/serviceaccount/token`.
    pub token_file: PathBuf,
}

/// When signing keys are replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rotation {
    /// From the first signature of a key to that of the next, e.g. `720h`; null = only on request. Default `720h`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::optional")]
    pub period: Option<Duration>,
    /// From the publication of a key to its first signature; a key set is never kept for longer (at most 5 minutes).
    /// Default `1h`, at least 1s, at most half of the period.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub publish_ahead: Duration,
}

impl Default for Vault {
    fn default() -> Self {
        Self {
            address: None,
            mount: "transit".to_owned(),
            key_prefix: "holdfast".to_owned(),
            namespace: None,
            token_file: None,
            kubernetes: VaultKubernetes::default(),
            ca_file: None,
            timeout: Duration::from_secs(2),
        }
    }
}

impl Default for VaultKubernetes {
    fn default() -> Self {
        Self {
            role: None,
            mount: "kubernetes".to_owned(),
            token_file: "/var/run/secrets/kubernetes.io/serviceaccount/token".into(),
        }
    }
}

impl Default for Rotation {
    fn default() -> Self {
        Self { period: Some(Duration::from_secs(720 * 3600)), publish_ahead: Duration::from_secs(3600) }
    }
}

impl Keys {
    pub(super) fn validate(&self, cluster: bool) -> Result<(), Error> {
        match (&self.master_key_file, &self.master_key_secret) {
            (Some(_), Some(_)) => {
                return Err(Error::invalid("keys", "master_key_file and master_key_secret exclude each other"));
            }
            (None, Some(_)) if !cluster => {
                return Err(Error::invalid("keys.master_key_secret", "needs a cluster (operator.enabled: true)"));
            }
            _ => {}
        }
        if self.store == Store::Vault {
            self.vault.validate()?;
        }
        self.rotation.validate()
    }
}

impl Vault {
    fn validate(&self) -> Result<(), Error> {
        let Some(address) = &self.address else {
            return Err(Error::invalid("keys.vault.address", "required with keys.store: vault"));
        };
        let url = url::Url::parse(address).ok().filter(|url| url.host_str().is_some() && !address.ends_with('/'));
        let expected = "expected a URL such as https://vault.example.com:8200, without a slash at its end";
        let url = url.ok_or_else(|| Error::invalid("keys.vault.address", expected))?;
        let bare = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        if !bare || url.password().is_some() {
            return Err(Error::invalid("keys.vault.address", expected));
        }
        if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(&url)) {
            return Err(Error::invalid("keys.vault.address", "expected https: tokens are sent there"));
        }
        for (key, text) in [("keys.vault.mount", &self.mount), ("keys.vault.key_prefix", &self.key_prefix)] {
            name(key, text)?;
        }
        name("keys.vault.kubernetes.mount", &self.kubernetes.mount)?;
        if self.token_file.is_some() == self.kubernetes.role.is_some() {
            return Err(Error::invalid("keys.vault", "expected one of token_file and kubernetes.role"));
        }
        if !(Duration::from_millis(10)..=Duration::from_secs(30)).contains(&self.timeout) {
            return Err(Error::invalid("keys.vault.timeout", "expected 10ms to 30s"));
        }
        Ok(())
    }
}

fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// A name goes into a path as it is.
fn name(key: &str, text: &str) -> Result<(), Error> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'/' | b'.');
    let good = (1..=128).contains(&text.len()) && text.bytes().all(plain) && !text.contains("..");
    let good = good && !text.starts_with('/') && !text.ends_with('/');
    good.then_some(()).ok_or_else(|| Error::invalid(key, "expected letters, digits, -, _, . and /"))
}

impl Rotation {
    fn validate(&self) -> Result<(), Error> {
        if self.publish_ahead < Duration::from_secs(1) {
            return Err(Error::invalid("keys.rotation.publish_ahead", "expected at least 1s"));
        }
        match self.period {
            Some(period) if period < self.publish_ahead * 2 => {
                Err(Error::invalid("keys.rotation.period", "expected at least twice publish_ahead, or null"))
            }
            _ => Ok(()),
        }
    }
}
