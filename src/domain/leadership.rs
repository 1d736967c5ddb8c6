//! Who may write for the controller, and the number that proves it.

use tokio::sync::watch;

/// A fencing epoch: each leader's is greater than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub i64);

/// The present epoch of this process while it leads; `None` while it does not.
pub type Leadership = watch::Receiver<Option<Epoch>>;
