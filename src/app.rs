//! The wiring: which parts there are, how they start, and how they end together.

pub mod api_server;
mod cluster;
pub mod database;
mod door;
pub mod dynamic;
pub mod jobs;
pub mod keys;
mod limits;
pub mod logging;
pub mod people;
mod running;
mod serve;
pub mod signal;
pub mod system;

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::activity;
use crate::config::Settings;
use crate::crd;
use crate::identity;
use crate::metrics;
use crate::oauth;
use crate::provision;
use crate::seal;
use crate::store;

pub use door::{Door, policy};
pub use serve::serve;

/// Why a command of the program failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to start the runtime")]
    Runtime(#[source] std::io::Error),
    #[error("failed to generate the custom resource definitions")]
    Crd(#[source] crd::Error),
    #[error("failed to write {}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("failed to make the folder {}", path.display())]
    DataDir { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Seal(#[from] seal::Error),
    #[error("failed to make random bytes")]
    Entropy(#[from] crate::domain::clock::EntropyUnavailable),
    #[error(transparent)]
    Metrics(#[from] metrics::Error),
    #[error("failed to start the authorization server")]
    OAuth(#[from] oauth::Error),
    #[error(transparent)]
    Identity(#[from] identity::Error),
    #[error(transparent)]
    Activity(#[from] activity::Error),
    #[error("failed to lead")]
    Provision(#[from] provision::Error),
    #[error("failed to open the {name} on {address}")]
    Listen { name: &'static str, address: SocketAddr, source: std::io::Error },
    #[error("the {name} ended by itself")]
    Ended { name: &'static str, source: Option<std::io::Error> },
    #[error("failed to use the cluster: {0}")]
    Cluster(String),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Refused(String),
}

impl Error {
    /// 2 when usage, configuration or what it points at is wrong, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::DataDir { .. } | Self::Usage(_) => 2,
            Self::Store(
                store::Error::Invalid { .. }
                | store::Error::AlreadyServed { .. }
                | store::Error::OtherInstallation { .. },
            ) => 2,
            Self::Seal(
                seal::Error::Home(_)
                | seal::Error::Malformed { .. }
                | seal::Error::Missing { .. }
                | seal::Error::Other { .. }
                | seal::Error::Lost { .. },
            ) => 2,
            _ => 1,
        }
    }
}

/// Applies what migrations are missing and says how many there were.
pub async fn migrate(settings: &Settings) -> Result<usize, Error> {
    Ok(database::beside(settings).await?.1)
}
