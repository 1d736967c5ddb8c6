//! Section `operator`: which resources are held, and who may write what.

use serde::{Deserialize, Serialize};

use super::{Error, label};

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
    /// Name of the Lease that replicas compete for. Default `holdfast`.
    pub lease_name: String,
    /// The operator's own namespace. Default the pod's, else that of the kubeconfig's context.
    pub namespace: Option<String>,
}

/// What happens to drift.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drift {
    /// `Enforce` corrects, `Warn` keeps and reports, `Ignore` counts; where a resource says nothing itself. Default `Enforce`.
    pub mode: Mode,
}

/// See [`Drift::mode`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    #[default]
    Enforce,
    Warn,
    Ignore,
}

impl Default for Operator {
    fn default() -> Self {
        Self {
            enabled: false,
            namespaces: Vec::new(),
            trusted_namespaces: None,
            drift: Drift::default(),
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
        label("operator.lease_name", &self.lease_name)
    }
}
