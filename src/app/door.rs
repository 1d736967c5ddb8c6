//! Where policy comes from: a cluster, a folder, or neither.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch::Sender;

use super::cluster::Cluster;
use super::running::Running;
use super::{Error, database};
use crate::config::{MasterKeyPlace, Mode, Settings};
use crate::directory;
use crate::domain::enforcement::Enforcement;
use crate::domain::reviewer::Reviewer;
use crate::domain::{Actor, Clock, DriftMode, Epoch, KeyHome, StatusBoard};
use crate::jobs;
use crate::manifest::{Policy, Trusted};
use crate::metrics::Metrics;
use crate::provision::Provisioner;
use crate::seal::KeyFile;
use crate::store::Store;

/// The door that the configuration opens.
pub enum Door {
    /// Only the admin API changes policy.
    None(Arc<directory::Board>),
    Directory(Arc<directory::Board>),
    Cluster(Box<Cluster>),
}

/// What a door needs to be entered.
pub struct Parts<'a> {
    pub settings: &'a Settings,
    pub provisioner: Provisioner,
    pub store: Store,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    pub enforcement: Arc<dyn Enforcement>,
    pub lead: Sender<Option<Epoch>>,
}

impl Door {
    pub async fn open(settings: &Settings) -> Result<Self, Error> {
        Ok(match settings.config.policy_dir {
            Some(_) => Self::Directory(Arc::default()),
            None if settings.config.operator.enabled => Self::Cluster(Box::new(Cluster::connect(settings).await?)),
            None => Self::None(Arc::default()),
        })
    }

    /// What the database is bound to.
    pub fn cluster(&self) -> &str {
        match self {
            Self::None(_) | Self::Directory(_) => database::NO_CLUSTER,
            Self::Cluster(cluster) => &cluster.uid,
        }
    }

    /// Who its transactions say they are.
    pub fn actor(&self) -> Actor {
        match self {
            Self::None(_) | Self::Directory(_) => Actor::directory(),
            Self::Cluster(_) => Actor::controller(),
        }
    }

    /// The operator's own namespace.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::None(_) | Self::Directory(_) => None,
            Self::Cluster(cluster) => Some(cluster.namespace()),
        }
    }

    /// Who knows whose a ServiceAccount token is.
    pub fn reviewer(&self) -> Option<Arc<dyn Reviewer>> {
        match self {
            Self::None(_) | Self::Directory(_) => None,
            Self::Cluster(cluster) => Some(Arc::new(cluster.token_reviews())),
        }
    }

    /// Whether there is something to lead.
    pub fn leads(&self) -> bool {
        !matches!(self, Self::None(_))
    }

    pub fn board(&self) -> Arc<dyn StatusBoard> {
        match self {
            Self::None(board) | Self::Directory(board) => Arc::clone(board) as Arc<dyn StatusBoard>,
            Self::Cluster(cluster) => Arc::new(cluster.board.clone()),
        }
    }

    /// Where the master key is.
    pub fn key_home(&self, settings: &Settings) -> Result<Box<dyn KeyHome>, Error> {
        match (&settings.master_key, self) {
            (MasterKeyPlace::File(path), _) => Ok(Box::new(KeyFile::new(path))),
            (MasterKeyPlace::Secret(name), Self::Cluster(cluster)) => Ok(Box::new(cluster.master_key(name))),
            (MasterKeyPlace::Secret(_), _) => Err(Error::Usage("keys.master_key_secret needs a cluster".to_owned())),
        }
    }

    /// Starts what comes in by it.
    pub async fn enter(self, parts: Parts<'_>, running: &mut Running) -> Result<(), Error> {
        let board = match self {
            Self::None(_) => {
                let (store, alone) = (parts.store, parts.settings.database_url.engine() == "sqlite");
                running.door("lease", move |stop| jobs::lead(store, alone, (parts.lead, parts.metrics), stop));
                return Ok(());
            }
            Self::Cluster(cluster) => return cluster.enter(parts, running),
            Self::Directory(board) => board,
        };
        // the file lock or the database's epoch row is all the lease there is without a cluster
        let epoch = parts.provisioner.take_over().await?;
        parts.lead.send_replace(Some(epoch));
        parts.metrics.leader(Some(epoch));
        let settings = parts.settings;
        let folder = settings.config.policy_dir.clone().unwrap_or_default();
        let directory = directory::Parts {
            folder,
            secrets: settings.data_dir.clone().unwrap_or_default().join("secrets"),
            issuer: settings.issuer.clone(),
            policy: policy(settings, None),
            confirm: settings.config.operator.brake.confirm.clone(),
            scan: settings.config.operator.drift.scan_interval,
            provisioner: parts.provisioner,
            metrics: parts.metrics,
            clock: parts.clock,
            board,
        };
        let (lead, store) = (parts.lead, parts.store);
        // the lock on its file is all the lease that SQLite needs
        if settings.database_url.engine() != "sqlite" {
            running.background("lease", move |stop| jobs::hold(store, epoch, stop));
        }
        running.door("policy directory", move |stop| async move {
            directory::run(directory, stop).await;
            // nothing is written from here on
            lead.send_replace(None);
        });
        Ok(())
    }
}

/// The installation's rules for objects; `own` is the operator's namespace in a cluster.
pub fn policy(settings: &Settings, own: Option<&str>) -> Policy {
    let config = &settings.config;
    let trusted = match (&config.operator.trusted_namespaces, own) {
        (Some(listed), _) => Trusted::Only(listed.iter().cloned().collect()),
        (None, Some(own)) => Trusted::Only(BTreeSet::from([own.to_owned()])),
        (None, None) => Trusted::All,
    };
    Policy {
        installation: config.installation.clone(),
        issuer: url::Url::parse(&settings.issuer).ok(),
        trusted,
        resource_hosts: config.operator.resource_hosts.clone(),
        selectors: own.is_none() || config.operator.namespaces.is_empty(),
        drift_mode: match config.operator.drift.mode {
            Mode::Enforce => DriftMode::Enforce,
            Mode::Warn => DriftMode::Warn,
            Mode::Ignore => DriftMode::Ignore,
        },
        token_lifetime_seconds: config.tokens.default_lifetime_seconds,
        private_use_schemes: config.dcr.private_use_schemes.clone(),
    }
}
