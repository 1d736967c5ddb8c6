//! The brake on mass deletion: how many deletions a minute are nobody's mistake, and which brake opens beyond. Pure.

use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};

use super::owner::OwnerKey;

/// Deletions count for so long.
pub const WINDOW: SignedDuration = SignedDuration::from_secs(60);

/// How many deletions a minute pass; 0 = any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub per_namespace: u32,
    pub overall: u32,
}

impl Limits {
    /// Nothing is ever held.
    pub const NONE: Self = Self { per_namespace: 0, overall: 0 };
}

/// Whose deletions a brake holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    Namespace(String),
    All,
}

impl Scope {
    /// The empty name is no namespace's, and stands for all.
    pub fn parse(namespace: &str) -> Self {
        if namespace.is_empty() { Self::All } else { Self::Namespace(namespace.to_owned()) }
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::Namespace(name) => name,
            Self::All => "",
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Namespace(name) => write!(f, "namespace {name}"),
            Self::All => f.write_str("all namespaces"),
        }
    }
}

/// Null = all namespaces.
impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Namespace(name) => serializer.serialize_some(name),
            Self::All => serializer.serialize_none(),
        }
    }
}

/// A brake that is open: everything in its scope that is to be deleted waits until somebody confirms it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Brake {
    /// Random, so that nobody confirms what they have not seen.
    pub id: String,
    #[serde(rename = "namespace")]
    pub scope: Scope,
    #[serde(rename = "openedTime")]
    pub opened_at: Timestamp,
}

/// A deletion that waits, or waited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hold {
    pub owner: OwnerKey,
    #[serde(skip)]
    pub brake_id: String,
    #[serde(rename = "heldTime")]
    pub held_at: Timestamp,
    /// Its brake was confirmed: it may go.
    #[serde(skip)]
    pub released: bool,
}

/// A brake that is open, with what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenBrake {
    #[serde(flatten)]
    pub brake: Brake,
    pub held: Vec<Hold>,
}

/// Deletions within the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    pub in_namespace: u32,
    pub overall: u32,
}

/// The brake that one more deletion in `namespace` opens, if it is one too many. The wider one is asked first.
pub fn opens(limits: Limits, tally: Tally, namespace: &str) -> Option<Scope> {
    let full = |limit: u32, count: u32| limit > 0 && count >= limit;
    if full(limits.overall, tally.overall) {
        return Some(Scope::All);
    }
    full(limits.per_namespace, tally.in_namespace).then(|| Scope::Namespace(namespace.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_too_many_opens_the_brake_and_zero_is_no_limit() {
        let limits = Limits { per_namespace: 2, overall: 5 };
        let open = |in_namespace, overall| opens(limits, Tally { in_namespace, overall }, "web");
        assert_eq!(open(1, 4), None);
        assert_eq!(open(2, 4), Some(Scope::Namespace("web".into())));
        assert_eq!(open(2, 5), Some(Scope::All));
        assert_eq!(open(0, 5), Some(Scope::All));
        assert_eq!(opens(Limits::NONE, Tally { in_namespace: 999, overall: 999 }, "web"), None);
        let wide = Limits { per_namespace: 2, overall: 0 };
        assert_eq!(opens(wide, Tally { in_namespace: 1, overall: 999 }, "web"), None);
    }
}
