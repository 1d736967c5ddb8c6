//! What an object asks for: its policy, and how far Holdfast may go to hold the server to it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::credential::Rotation;
use super::owner::Owner;
use super::secret::SecretHash;
use super::spec::Spec;

/// Everything that one reconcile needs to know, resolved and validated.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    pub owner: Owner,
    /// The client id or other public id that the object asks for; `None` = one is generated.
    pub wanted_id: Option<String>,
    /// The id that the object's status names: a row of that id which nobody remembers managing is compared, not adopted.
    pub known_id: Option<String>,
    pub spec: Spec,
    pub drift: DriftMode,
    /// Fields left alone when they drift; Security fields are only reported (Warn) even then.
    pub ignore_fields: BTreeSet<String>,
    pub deletion: DeletionPolicy,
    pub adoption: AdoptionPolicy,
    /// The owner's namespace is trusted (mechanics §16): it may adopt rows that nobody owns.
    pub trusted: bool,
    /// Configuration says that the resource URI's host belongs to the owner's namespace, whoever was first.
    pub host_granted: bool,
    /// Drift is found and nothing is written.
    pub paused: bool,
    pub secret: SecretSource,
    /// Every object that it refers to is there. What is adopted loses nothing while another object is awaited.
    pub whole: bool,
}

/// Where the secret of a client or resource server comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum SecretSource {
    None,
    /// Made here and published; see `provision::secret`.
    Generated(Rotation),
    /// Read from the user's Secret; the replaced one lives on for the overlap.
    Referenced {
        hash: SecretHash,
        rotation: Rotation,
    },
    /// The user's Secret could not be used this time: what is live stays live.
    Unresolved,
}

/// What happens to drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DriftMode {
    /// Report and correct.
    Enforce,
    /// Report and keep.
    Warn,
    /// Only count.
    Ignore,
}

impl DriftMode {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "Enforce",
            Self::Warn => "Warn",
            Self::Ignore => "Ignore",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeletionPolicy {
    Delete,
    Retain,
}

impl DeletionPolicy {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "Delete",
            Self::Retain => "Retain",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdoptionPolicy {
    Never,
    IfUnowned,
    Force,
}
