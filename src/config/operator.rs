//! Section `operator`: which resources are held, and who may write what.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Error, label};
use crate::domain::brake::Limits;

/// The operator. Variables `HOLDFAST_OPERATOR__…`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Operator {
    /// Whether to reconcile the custom resources of a cluster (`KUBECONFIG`, or the pod's own). Default false; the chart says true.
    pub enabled: bool,
    /// Namespaces to watch. Default `[]`, which is all of them.
    pub namespaces: Vec<String>,
    /// Namespaces whose authors are as powerful as the administrator.
    /// Default: in a cluster the operator's own, with a policy directory all.
    pub trusted_namespaces: Option<Vec<String>>,
    /// What happens to drift.
    pub drift: Drift,
    /// How much may be deleted at once.
    pub brake: Brake,
    /// Which namespace the host of a resource URI belongs to, host: namespace. Default `{}`: other hosts belong to who is
    /// first.
    pub resource_hosts: BTreeMap<String, String>,
    /// Name of the Lease that replicas compete for. Default `holdfast`.
    pub lease_name: String,
    /// The operator's own namespace. Default the pod's, else that of the kubeconfig's context.
    pub namespace: Option<String>,
}

/// What happens to drift.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drift {
    /// `Enforce` corrects, `Warn` keeps and reports, `Ignore` counts; where a resource says nothing itself. Default `Enforce`.
    pub mode: Mode,
    /// How often all rows are compared with what was applied, spread by a quarter. Default `5m`, 10s to 24h.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub scan_interval: Duration,
}

impl Default for Drift {
    fn default() -> Self {
        Self { mode: Mode::default(), scan_interval: Duration::from_secs(300) }
    }
}

/// See [`Drift::mode`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    #[default]
    Enforce,
    Warn,
    Ignore,
}

/// How many deletions a minute pass; the others wait until somebody confirms the brake. Released rows do not count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Brake {
    /// In one namespace. Default 10; 0 = any number.
    pub per_namespace: u32,
    /// In all of them. Default 50; 0 = any number.
    pub overall: u32,
    /// The id of a brake to confirm at the next start; an id that is not open changes nothing. Default none.
    pub confirm: Option<String>,
}

impl Default for Brake {
    fn default() -> Self {
        Self { per_namespace: 10, overall: 50, confirm: None }
    }
}

impl Brake {
    pub fn limits(&self) -> Limits {
        Limits { per_namespace: self.per_namespace, overall: self.overall }
    }
}

impl Default for Operator {
    fn default() -> Self {
        Self {
            enabled: false,
            namespaces: Vec::new(),
            trusted_namespaces: None,
            drift: Drift::default(),
            brake: Brake::default(),
            resource_hosts: BTreeMap::new(),
            lease_name: "holdfast".to_owned(),
            namespace: None,
        }
    }
}

impl Operator {
    pub(super) fn validate(&self) -> Result<(), Error> {
        for name in &self.namespaces {
            label("operator.namespaces", name)?;
        }
        for name in self.trusted_namespaces.iter().flatten() {
            label("operator.trusted_namespaces", name)?;
        }
        if let Some(name) = &self.namespace {
            label("operator.namespace", name)?;
        }
        if !(Duration::from_secs(10)..=Duration::from_secs(86_400)).contains(&self.drift.scan_interval) {
            return Err(Error::invalid("operator.drift.scan_interval", "expected 10s to 24h"));
        }
        for (host, namespace) in &self.resource_hosts {
            let uri = url::Url::parse(&format!("https://{host}/")).ok();
            if uri.as_ref().and_then(url::Url::host_str) != Some(host) {
                let problem = "expected a host as it stands in a resource URI, e.g. mcp.example.com";
                return Err(Error::invalid("operator.resource_hosts", problem));
            }
            label("operator.resource_hosts", namespace)?;
        }
        label("operator.lease_name", &self.lease_name)
    }
}
