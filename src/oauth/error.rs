//! Why a request was not answered as asked.

use std::time::Duration;

use super::keys::FolderError;
use super::signer::KeyError;
use crate::domain::clock::EntropyUnavailable;
use crate::domain::refusal::Refusal;
use crate::domain::resource_server::SigningAlgorithm;
use crate::domain::reviewer::ReviewError;
use crate::outbound::TransitError;
use crate::seal;
use crate::store;

/// A refusal, a failure of the database, or a fault of our own.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An expected no. `client_id` only of a client that exists.
    #[error("refused: {}", reason.as_str())]
    Refused { reason: Refusal, client_id: Option<String> },
    /// A code or refresh token was used again, and what came of it was ended.
    #[error("refused: {}", reason.as_str())]
    Reused { reason: Refusal, client_id: String, grant_id: uuid::Uuid, ended: store::Ended },
    /// A DPoP proof is to be made with this nonce.
    #[error("a DPoP nonce is required")]
    NonceRequired { nonce: String },
    /// Too many failed authentications from this address.
    #[error("too many failed authentications")]
    Limited { retry_after: Duration },
    /// Too many requests of this client, or from this address.
    #[error("too many requests")]
    Throttled { retry_after: Duration },
    /// Nothing was decided: the database is away, busy, or policy changes faster than it can be read.
    #[error("failed to reach the database in time")]
    Unavailable(#[source] Option<store::Error>),
    #[error("failed to use the database")]
    Store(#[source] store::Error),
    #[error("failed to open or seal the {} signing key", .algorithm.as_str())]
    Seal { algorithm: SigningAlgorithm, source: seal::Error },
    #[error("the signing key {kid} does not match its public half")]
    OtherKey { kid: String },
    #[error("there is no active {} signing key", .0.as_str())]
    NoKey(SigningAlgorithm),
    /// The private half is in a store that this process cannot read.
    #[error("the private half of the signing key {kid} is not in its store")]
    KeyAway { kid: String },
    #[error("keys.store {0} is not set up")]
    NoStore(&'static str),
    /// The engine that holds the keys cannot be reached, or signs with another key.
    #[error("failed to use the Transit engine")]
    Engine(#[source] Option<TransitError>),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Entropy(#[from] EntropyUnavailable),
    #[error(transparent)]
    Review(#[from] ReviewError),
    #[error("the issuer is not a URL")]
    Issuer(#[source] url::ParseError),
    /// An API key that is unknown or revoked.
    #[error("unknown or revoked API key")]
    UnknownApiKey,
}

impl Error {
    /// The reason of a refusal.
    pub const fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused { reason, .. } | Self::Reused { reason, .. } => Some(*reason),
            Self::NonceRequired { .. } => Some(Refusal::NonceRequired),
            Self::Limited { .. } => Some(Refusal::TooManyFailures),
            _ => None,
        }
    }

    /// The same refusal, of a client that is known.
    pub(super) fn of(reason: Refusal, client_id: &str) -> Self {
        Self::Refused { reason, client_id: Some(client_id.to_owned()) }
    }
}

impl From<Refusal> for Error {
    fn from(reason: Refusal) -> Self {
        Self::Refused { reason, client_id: None }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        if error.is_unavailable() { Self::Unavailable(Some(error)) } else { Self::Store(error) }
    }
}
