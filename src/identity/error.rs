//! Why the room said no, or could not answer.

use std::time::Duration;

use crate::domain::clock::EntropyUnavailable;
use crate::domain::user::WeakPassword;
use crate::store;

/// What went wrong, as far as a caller can act on it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Unknown address, wrong password, disabled person: told apart by nobody.
    #[error("the address and the password do not fit")]
    Mismatch,
    /// Too many failures; nobody has looked at the password.
    #[error("too many failed logins")]
    Locked { retry_after: Duration },
    /// All hands are full.
    #[error("too many logins at once")]
    Busy,
    #[error(transparent)]
    Weak(#[from] WeakPassword),
    /// The address is another person's.
    #[error("another account has this e-mail address")]
    Taken,
    #[error("there is no such account")]
    UnknownAccount,
    #[error("there is no such session")]
    UnknownSession,
    #[error("failed to hash a password")]
    Hash,
    #[error(transparent)]
    Entropy(#[from] EntropyUnavailable),
    /// The database is away or busy: nothing was decided, try again.
    #[error("failed to reach the database")]
    Unavailable(#[source] store::Error),
    #[error(transparent)]
    Store(store::Error),
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Conflict { table } if table == "account" => Self::Taken,
            error if error.is_unavailable() => Self::Unavailable(error),
            error => Self::Store(error),
        }
    }
}
