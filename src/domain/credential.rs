//! The life of a client credential: pending, current, retiring.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::secret::SecretHash;

/// All three authenticate; a crash between any two steps leaves at least one that works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialState {
    /// Committed before the Secret is written; at most one.
    Pending,
    /// The value that was read back from the Secret.
    Current,
    /// Replaced; authenticates until `retire_at`.
    Retiring,
}

impl CredentialState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Current => "current",
            Self::Retiring => "retiring",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Current, Self::Retiring].into_iter().find(|s| s.as_str() == text)
    }
}

/// One live hash of a principal (a client id, or a resource server's id).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Shown in status; says nothing about the value.
    pub id: String,
    pub hash: SecretHash,
    pub state: CredentialState,
    pub issued_at: Timestamp,
    /// Set while retiring.
    pub retire_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
}

impl Credential {
    /// Whether the hash still authenticates at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.retire_at.is_none_or(|end| now < end)
    }
}

/// When a secret is replaced, and for how long the old one lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// Seconds between rotations; `None` = only by `rotate_issued_before`.
    pub period_seconds: Option<i64>,
    /// Seconds both secrets authenticate. Default 86400.
    pub overlap_seconds: i64,
    /// A secret issued before this is rotated once this has passed.
    pub rotate_issued_before: Option<Timestamp>,
    /// Secrets and tokens issued before this end at once.
    pub revoke_issued_before: Option<Timestamp>,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { period_seconds: None, overlap_seconds: 86_400, rotate_issued_before: None, revoke_issued_before: None }
    }
}

impl Rotation {
    /// When a secret issued at `issued` is next to be replaced; `None` = never.
    pub fn next(&self, issued: Timestamp) -> Option<Timestamp> {
        let by_period = self.period_seconds.map(|s| issued + SignedDuration::from_secs(s));
        let by_level = self.rotate_issued_before.filter(|level| issued < *level);
        [by_period, by_level].into_iter().flatten().min()
    }

    /// Whether a secret issued at `issued` is to be replaced now.
    pub fn is_due(&self, issued: Timestamp, now: Timestamp) -> bool {
        self.next(issued).is_some_and(|when| when <= now)
    }

    /// The end of a secret that is replaced at `now`.
    pub fn retire_at(&self, now: Timestamp) -> Timestamp {
        now + SignedDuration::from_secs(self.overlap_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn rotate_issued_before_is_a_level() {
        let level = Rotation { rotate_issued_before: Some(at(100)), ..Rotation::default() };
        assert!(!level.is_due(at(50), at(99)), "it acts once its time has passed");
        assert!(level.is_due(at(50), at(100)));
        assert!(!level.is_due(at(100), at(1000)), "and never on what replaced it");
    }

    #[test]
    fn a_period_rotates_on_time_and_the_earlier_cause_wins() {
        let both = Rotation { period_seconds: Some(10), rotate_issued_before: Some(at(500)), ..Rotation::default() };
        assert_eq!(both.next(at(100)), Some(at(110)));
        assert!(!both.is_due(at(100), at(109)));
        assert!(both.is_due(at(100), at(110)));
    }
}
