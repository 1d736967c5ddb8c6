//! What happens to a live policy, and what those who enforce it are told: the log of changes, the policy that
//! enforcement points run, the manifests that they publish.

mod log;

use std::sync::Arc;

use crate::domain::{Clock, Observer};
use crate::store::{self, Store};

pub use log::{PAGE, Page};

/// What this room could not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// The same call may work later.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_unavailable(),
        }
    }
}

/// What the room is made of.
pub struct Parts {
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    pub observer: Arc<dyn Observer>,
}

/// The room. Cheap to clone.
#[derive(Clone)]
pub struct Activity {
    inner: Arc<Parts>,
}

impl Activity {
    pub fn new(parts: Parts) -> Self {
        Self { inner: Arc::new(parts) }
    }
}
