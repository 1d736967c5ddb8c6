//! People: who signs in with which password, from which browser, and until when.
//!
//! A password is looked at only after the attempt was counted (`lockout`), on a pool that cannot be exhausted
//! (`hasher`), and with the same work whether or not there is such a person: neither text, status nor time tells.

mod account;
mod error;
mod hasher;
mod lockout;
mod session;
mod sign_in;
mod tally;

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

pub use self::account::{Change, NewAccount, Update};
pub use self::error::Error;
use self::hasher::Hasher;
pub use self::session::{Device, Seen, Sweep};
pub use self::sign_in::{Entered, Knock};
use self::tally::Tally;
use crate::domain::user::SessionEnd;
use crate::domain::{Clock, Entropy, Observer};
use crate::store::Store;

/// What the room is made of.
pub struct Parts {
    /// Open and migrated.
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// Who counts sessions; none beside a server, which then counts what was done here.
    pub observer: Option<Arc<dyn Observer>>,
    pub rules: Rules,
}

/// How strict the room is; the configuration's sections `login` and `sessions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Password hashes that are computed at once; each takes 19 MiB.
    pub hashing: usize,
    /// Logins that may wait for one of them; one more is told to come back.
    pub max_waiting: usize,
    /// The fewest characters of a new password.
    pub min_password_length: usize,
    /// Failures are counted in windows of this length.
    pub failure_window: SignedDuration,
    /// Failures of one address from one network in a window.
    pub failures_per_pair: u32,
    /// Failures from one network in a window.
    pub failures_per_source: u32,
    /// Failures of one address from networks it has never signed in from, in a window.
    pub failures_per_identity: u32,
    /// A session ends when nothing was heard from it for so long.
    pub idle: SignedDuration,
    /// A session ends so long after the login, whatever was heard.
    pub absolute: SignedDuration,
    pub fingerprint: Fingerprint,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            hashing: 2,
            max_waiting: 64,
            min_password_length: 12,
            failure_window: SignedDuration::from_mins(15),
            failures_per_pair: 5,
            failures_per_source: 50,
            failures_per_identity: 50,
            idle: SignedDuration::from_hours(8),
            absolute: SignedDuration::from_hours(24 * 7),
            fingerprint: Fingerprint::Browser,
        }
    }
}

/// What of a browser must stay the same while a session lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fingerprint {
    /// What it calls itself, without version numbers, which change under a living session.
    Browser,
    /// That, and the network that it comes from.
    BrowserAndNetwork,
    None,
}

/// The room. Cheap to clone.
#[derive(Clone)]
pub struct Identity {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    observer: Option<Arc<dyn Observer>>,
    hasher: Hasher,
    tally: Tally,
    rules: Rules,
}

impl Identity {
    /// # Errors
    /// When the random source fails.
    pub fn new(parts: Parts) -> Result<Self, Error> {
        let Parts { store, clock, entropy, observer, rules } = parts;
        let hasher = Hasher::new(rules.hashing, rules.max_waiting, Arc::clone(&entropy))?;
        Ok(Self { inner: Arc::new(Inner { store, clock, entropy, observer, hasher, tally: Tally::default(), rules }) })
    }

    /// The fewest characters of a new password.
    pub fn min_password_length(&self) -> usize {
        self.inner.rules.min_password_length
    }

    fn session_ended(&self, reason: SessionEnd, sessions: u64) {
        if let Some(observer) = &self.inner.observer {
            observer.session_ended(reason, sessions);
        }
    }

    /// Whether ends are counted here.
    fn counts(&self) -> bool {
        self.inner.observer.is_some()
    }
}

/// How long a network stays known after a login from it.
const KNOWN_FOR: Duration = Duration::from_secs(90 * 24 * 3600);
