//! The cluster's side of the wiring: a client, an identity, and the controller.

use kube::{Client, Config};

use super::Error;
use super::api_server;
use super::door::{Parts, policy};
use super::running::Running;
use super::system::SystemEntropy;
use crate::config::Settings;
use crate::controller::{self, Board, MasterKeySecret, TokenReviews};
use crate::domain::{Entropy, chain};

/// A cluster that answers.
pub struct Cluster {
    client: Client,
    /// uid of kube-system: what the database is bound to.
    pub uid: String,
    /// The operator's own.
    namespace: String,
    pub board: Board,
}

impl Cluster {
    /// From `KUBECONFIG`, `~/.kube/config` or the pod's service account.
    pub async fn connect(settings: &Settings) -> Result<Self, Error> {
        let unusable = |error: &dyn std::error::Error| Error::Usage(format!("no cluster to use: {}", chain(error)));
        let config = Config::infer().await.map_err(|error| unusable(&error))?;
        let given = settings.config.operator.namespace.as_ref().or(settings.pod_namespace.as_ref());
        let namespace = given.cloned().unwrap_or_else(|| config.default_namespace.clone());
        let client = api_server::client(config).map_err(|error| unusable(&error))?;
        let uid = controller::cluster_uid(&client).await.map_err(|error| Error::Cluster(error.chain()))?;
        Ok(Self { client, uid, namespace, board: Board::default() })
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    pub fn master_key(&self, secret: &str) -> MasterKeySecret {
        MasterKeySecret::new(self.client.clone(), &self.namespace, secret)
    }

    pub fn token_reviews(&self) -> TokenReviews {
        TokenReviews::new(self.client.clone())
    }

    /// Starts the controller, which competes for the Lease.
    pub fn enter(self, parts: Parts<'_>, running: &mut Running) -> Result<(), Error> {
        let operator = &parts.settings.config.operator;
        let settings = controller::Settings {
            policy: policy(parts.settings, Some(&self.namespace)),
            issuer: parts.settings.issuer.clone(),
            namespaces: operator.namespaces.clone(),
            identity: identity(parts.settings)?,
            rescan: operator.drift.scan_interval,
            confirm: operator.brake.confirm.clone(),
            lease: (self.namespace, operator.lease_name.clone()),
        };
        let parts = controller::Parts {
            client: self.client,
            provisioner: parts.provisioner,
            metrics: parts.metrics,
            clock: parts.clock,
            settings,
            leadership: parts.lead,
            board: self.board,
            enforcement: parts.enforcement,
        };
        running.door("controller", |stop| controller::run(parts, stop));
        Ok(())
    }
}

/// The pod's name, and something that no process before or beside this one has.
fn identity(settings: &Settings) -> Result<String, Error> {
    let mut bytes = [0u8; 4];
    SystemEntropy.fill(&mut bytes)?;
    let name = settings.pod_name.as_deref().unwrap_or("holdfast");
    Ok(format!("{name}-{:08x}", u32::from_be_bytes(bytes)))
}
