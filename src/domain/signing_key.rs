//! The life of a signing key: published, active, retiring, retired; and what is due to happen to it.
//!
//! A key signs only after it was published for longer than verifiers keep a key set, and stays published until the
//! last token that it signed has expired. So every token verifies against a key set that is fetched at any time of the
//! token's life, and against one that a verifier still keeps from before.

use jiff::{SignedDuration, Timestamp};

use super::resource_server::{AccessToken, SigningAlgorithm};

/// Where a key is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Published, not signing yet.
    Next,
    Active,
    /// Published until the last token that it signed has expired.
    Retiring,
    /// Published no more, and its private half is gone.
    Retired,
}

impl KeyState {
    pub const ALL: [Self; 4] = [Self::Next, Self::Active, Self::Retiring, Self::Retired];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether the key set has it (RFC 7517 §5).
    pub const fn is_published(self) -> bool {
        !matches!(self, Self::Retired)
    }
}

/// Where private halves are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStore {
    /// Sealed under the master key, beside the public half.
    Database,
    /// PEM files of a folder.
    File,
    /// A Transit engine of Vault or OpenBao; it never leaves it.
    Vault,
}

impl KeyStore {
    pub const ALL: [Self; 3] = [Self::Database, Self::File, Self::Vault];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::File => "file",
            Self::Vault => "vault",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|store| store.as_str() == text)
    }
}

/// A key as the schedule sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLife {
    pub kid: String,
    pub algorithm: SigningAlgorithm,
    pub state: KeyState,
    pub store: KeyStore,
    /// When it was to begin to sign, or did.
    pub activate_at: Timestamp,
    /// When it is taken out of the key set; set while retiring.
    pub retire_at: Option<Timestamp>,
}

/// Somebody asked for new keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotationRequest {
    /// Does not wait until verifiers have fetched the key set again, only until the replicas have it.
    pub urgent: bool,
}

/// When keys are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRotation {
    /// From the first signature of a key to that of the next; `None` = only on request.
    pub period: Option<SignedDuration>,
    /// From the publication of a key to its first signature.
    pub publish_ahead: SignedDuration,
    /// Where new keys are made.
    pub store: KeyStore,
}

/// Something is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyStep {
    /// A new key, to be active at that time.
    Publish { algorithm: SigningAlgorithm, activate_at: Timestamp },
    /// One that is published already becomes active earlier than was planned.
    Hasten { kid: String, activate_at: Timestamp },
    /// It signs from now on; what was active of its algorithm retires at that time.
    Activate { kid: String, others_retire_at: Timestamp },
    /// It leaves the key set.
    Retire { kid: String },
}

/// How long the replicas may take to follow the database.
pub const FOLLOW: SignedDuration = SignedDuration::from_secs(2);

/// How long a key stays published after its last signature: twice the longest life of a token, for a replica that
/// heard late that it is over.
pub const KEEP: SignedDuration = SignedDuration::from_secs(2 * *AccessToken::LIFETIMES.end());

/// What is due now, in this order.
pub fn due(keys: &[KeyLife], rotation: KeyRotation, asked: Option<RotationRequest>, now: Timestamp) -> Vec<KeyStep> {
    let mut steps = Vec::new();
    for algorithm in SigningAlgorithm::ALL {
        let of = |state| keys.iter().filter(move |key| key.algorithm == algorithm && key.state == state);
        let next = of(KeyState::Next).min_by_key(|key| (key.activate_at, &key.kid));
        match next {
            Some(next) if next.activate_at <= now => {
                steps.push(KeyStep::Activate { kid: next.kid.clone(), others_retire_at: now + KEEP });
            }
            Some(next) => {
                let lead = asked.map(|asked| lead(rotation, asked.urgent));
                if let Some(lead) = lead.filter(|lead| now + *lead < next.activate_at) {
                    steps.push(KeyStep::Hasten { kid: next.kid.clone(), activate_at: now + lead });
                }
            }
            None => {
                if let Some(activate_at) = next_activation(of(KeyState::Active), rotation, asked, now) {
                    steps.push(KeyStep::Publish { algorithm, activate_at });
                }
            }
        }
    }
    let over = |key: &&KeyLife| key.state == KeyState::Retiring && key.retire_at.is_some_and(|at| at <= now);
    steps.extend(keys.iter().filter(over).map(|key| KeyStep::Retire { kid: key.kid.clone() }));
    steps
}

fn lead(rotation: KeyRotation, urgent: bool) -> SignedDuration {
    if urgent { FOLLOW.min(rotation.publish_ahead) } else { rotation.publish_ahead }
}

/// When a key that is published now is to become active; `None` when none is due.
fn next_activation<'a>(
    active: impl Iterator<Item = &'a KeyLife>,
    rotation: KeyRotation,
    asked: Option<RotationRequest>,
    now: Timestamp,
) -> Option<Timestamp> {
    let present = active.max_by_key(|key| key.activate_at)?;
    if let Some(asked) = asked {
        return Some(now + lead(rotation, asked.urgent));
    }
    if present.store != rotation.store {
        return Some(now + rotation.publish_ahead);
    }
    let end = present.activate_at + rotation.period?;
    (end - rotation.publish_ahead <= now).then(|| end.max(now + rotation.publish_ahead))
}

#[cfg(test)]
mod tests;
