//! What happens to a live policy, and what those who enforce it are told: the log of changes, the policy that
//! enforcement points run, the manifests that they publish.

use std::sync::Arc;

use crate::domain::{Clock, Observer};
use crate::store::Store;

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
