//! Where the master key lives: a file, or a Secret in a cluster.

use futures::future::BoxFuture;

use super::secret::SecretText;

/// A place that holds one master key, as base64 of its 32 bytes.
pub trait KeyHome: Send + Sync {
    /// `None` only when it is certain that there is no key; a read that failed is an error.
    fn read(&self) -> BoxFuture<'_, Result<Option<SecretText>, KeyHomeError>>;
    /// Puts the key there unless there is one: then that one stays, and this is no error.
    fn create<'a>(&'a self, key: &'a SecretText) -> BoxFuture<'a, Result<(), KeyHomeError>>;
    /// How people find it: `file /…/master.key`, `Secret holdfast/holdfast-master-key`.
    fn place(&self) -> String;
}

/// The place could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("failed to {doing} the master key in {place}")]
pub struct KeyHomeError {
    /// `read` or `create`.
    pub doing: &'static str,
    pub place: String,
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}
